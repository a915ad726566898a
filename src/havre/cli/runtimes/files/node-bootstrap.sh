#!/bin/sh
export AWS_EXECUTION_ENV="${AWS_EXECUTION_ENV:-AWS_Lambda_nodejs18.x}"
export NODE_PATH="${NODE_PATH:-/opt/nodejs/node18/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task}"
set -- /var/lang/bin/node --expose-gc --max-http-header-size 81920 /var/runtime/index.mjs
if [ -n "$AWS_LAMBDA_EXEC_WRAPPER" ]; then
    [ -e "$AWS_LAMBDA_EXEC_WRAPPER" ] || { echo "$AWS_LAMBDA_EXEC_WRAPPER: does not exist" 1>&2; exit 127; }
    [ -x "$AWS_LAMBDA_EXEC_WRAPPER" ] || { echo "$AWS_LAMBDA_EXEC_WRAPPER: is not an executable" 1>&2; exit 126; }
    exec "$AWS_LAMBDA_EXEC_WRAPPER" "$@"
fi
exec "$@"
