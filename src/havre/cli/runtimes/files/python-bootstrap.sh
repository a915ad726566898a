#!/bin/sh
export AWS_EXECUTION_ENV="${AWS_EXECUTION_ENV:-AWS_Lambda_python@VERSION@}"
set -- /var/lang/bin/python@VERSION@ /var/runtime/bootstrap.py
if [ -n "$AWS_LAMBDA_EXEC_WRAPPER" ]; then
    [ -e "$AWS_LAMBDA_EXEC_WRAPPER" ] || { echo "$AWS_LAMBDA_EXEC_WRAPPER: does not exist" 1>&2; exit 127; }
    [ -x "$AWS_LAMBDA_EXEC_WRAPPER" ] || { echo "$AWS_LAMBDA_EXEC_WRAPPER: is not an executable" 1>&2; exit 126; }
    exec "$AWS_LAMBDA_EXEC_WRAPPER" "$@"
fi
exec "$@"
