#!/bin/sh
# The entry point of Lambda's base images: the handler is the image's command.
if [ $# -ne 1 ]; then
    echo "entrypoint requires the handler name to be the first argument" 1>&2
    exit 142
fi
export _HANDLER="$1"
if [ -z "${AWS_LAMBDA_RUNTIME_API}" ]; then
    if [ -x /usr/local/bin/aws-lambda-rie ]; then exec /usr/local/bin/aws-lambda-rie /var/runtime/bootstrap; fi
    echo "AWS_LAMBDA_RUNTIME_API is not set: this image runs as a Lambda function" 1>&2
    exit 1
fi
exec /var/runtime/bootstrap
