#!/bin/sh
export AWS_EXECUTION_ENV="${AWS_EXECUTION_ENV:-AWS_Lambda_nodejs@VERSION@.x}"
export NODE_PATH="${NODE_PATH:-/opt/nodejs/node@VERSION@/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task}"
set -- --expose-gc --max-http-header-size 81920
if [ -n "$AWS_LAMBDA_FUNCTION_MEMORY_SIZE" ]; then
    young=$((AWS_LAMBDA_FUNCTION_MEMORY_SIZE / 10))
    set -- "$@" "--max-semi-space-size=$((young / 2))" "--max-old-space-size=$((AWS_LAMBDA_FUNCTION_MEMORY_SIZE - young))"
fi
for experiment in @EXPERIMENTS@; do # which NODE_OPTIONS brings back, as on AWS
    case " $NODE_OPTIONS " in
        *" --experimental-$experiment "*) ;;
        *) set -- "$@" "--no-experimental-$experiment" ;;
    esac
done
set -- /var/lang/bin/node "$@" /var/runtime/index.mjs
if [ -n "$AWS_LAMBDA_EXEC_WRAPPER" ]; then
    [ -e "$AWS_LAMBDA_EXEC_WRAPPER" ] || { echo "$AWS_LAMBDA_EXEC_WRAPPER: does not exist" 1>&2; exit 127; }
    [ -x "$AWS_LAMBDA_EXEC_WRAPPER" ] || { echo "$AWS_LAMBDA_EXEC_WRAPPER: is not an executable" 1>&2; exit 126; }
    exec "$AWS_LAMBDA_EXEC_WRAPPER" "$@"
fi
exec "$@"
