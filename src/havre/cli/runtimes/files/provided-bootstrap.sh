#!/bin/sh
# The program is the function's own, as in AWS's base images: /var/task/bootstrap, else /opt/bootstrap.
for program in /var/task/bootstrap /opt/bootstrap; do
    if [ -x "$program" ]; then exec "$program"; fi
done
echo "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]" 1>&2
exit 1
