#!/bin/sh
export AWS_EXECUTION_ENV="${AWS_EXECUTION_ENV:-AWS_Lambda_@NAME@}"
memory=${AWS_LAMBDA_FUNCTION_MEMORY_SIZE:-512}
# The heap leaves room for what else a virtual machine needs: the function's memory is the bound of all of it.
heap=$((memory * 85 / 100))
[ $heap -le $((memory - 80)) ] || heap=$((memory - 80))
set -- "-XX:MaxHeapSize=${heap}m" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto \
    -XX:SharedArchiveFile=/var/lang/lib/runtime.jsa -XX:-UsePerfData -XX:+ErrorFileToStderr \
    -Djava.net.preferIPv4Stack=true -Dorg.crac.Core.Compat=com.amazonaws.services.lambda.crac \
    -classpath @CLASSES@ havre.lambda.Main "$_HANDLER"
set -- /var/lang/bin/java "$@"
if [ -n "$AWS_LAMBDA_EXEC_WRAPPER" ]; then
    [ -e "$AWS_LAMBDA_EXEC_WRAPPER" ] || { echo "$AWS_LAMBDA_EXEC_WRAPPER: does not exist" 1>&2; exit 127; }
    [ -x "$AWS_LAMBDA_EXEC_WRAPPER" ] || { echo "$AWS_LAMBDA_EXEC_WRAPPER: is not an executable" 1>&2; exit 126; }
    exec "$AWS_LAMBDA_EXEC_WRAPPER" "$@"
fi
exec "$@"
