#!/bin/sh
exec /var/lang/bin/python@VERSION@ -m pip "$@"
