#!/bin/sh
# Once, when the runtime is built: nothing is compiled when a function starts, whose files cannot be written to.
exec /var/lang/bin/python3 -m compileall -q -j2 --invalidation-mode=unchecked-hash /var/runtime /usr/lib/python@VERSION@
