#!/bin/sh
# Once, when the runtime is built: the client is compiled, and what it loads kept in an archive of classes.
set -e
cd /var/runtime
jackson=/usr/share/java/jackson-core.jar:/usr/share/java/jackson-annotations.jar:/usr/share/java/jackson-databind.jar
find src -name '*.java' > /tmp/sources
java -m jdk.compiler/com.sun.tools.javac.Main -nowarn -proc:none -Xlint:-options -g -d /tmp/classes -cp "$jackson" @/tmp/sources
mkdir -p lib /var/lang/lib
java -m jdk.jartool/sun.tools.jar.Main --create --file lib/client.jar -C /tmp/classes .
rm -r src /tmp/classes /tmp/sources
java -XX:ArchiveClassesAtExit=/var/lang/lib/runtime.jsa -XX:+UseSerialGC -XX:-UsePerfData -Xlog:cds=off -Xlog:cds+dynamic=off \
    -classpath @CLASSES@ havre.lambda.Rehearsal > /dev/null
[ -s /var/lang/lib/runtime.jsa ]
