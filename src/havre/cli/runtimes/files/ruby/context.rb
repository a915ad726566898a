# frozen_string_literal: true

require 'json'

module LambdaClient
  # What a handler gets beside its event.
  class Context
    attr_reader :aws_request_id, :invoked_function_arn, :log_group_name, :log_stream_name, :function_name,
                :memory_limit_in_mb, :function_version, :identity, :client_context, :deadline_ms, :tenant_id

    def initialize(headers)
      @aws_request_id = headers['lambda-runtime-aws-request-id']
      @invoked_function_arn = headers['lambda-runtime-invoked-function-arn']
      @deadline_ms = headers['lambda-runtime-deadline-ms'].to_i
      @tenant_id = headers['lambda-runtime-aws-tenant-id']
      @identity = parsed(headers['lambda-runtime-cognito-identity'])
      @client_context = parsed(headers['lambda-runtime-client-context'])
      @log_group_name = ENV.fetch('AWS_LAMBDA_LOG_GROUP_NAME', nil)
      @log_stream_name = ENV.fetch('AWS_LAMBDA_LOG_STREAM_NAME', nil)
      @function_name = ENV.fetch('AWS_LAMBDA_FUNCTION_NAME', nil)
      @memory_limit_in_mb = ENV.fetch('AWS_LAMBDA_FUNCTION_MEMORY_SIZE', nil)
      @function_version = ENV.fetch('AWS_LAMBDA_FUNCTION_VERSION', nil)
    end

    def get_remaining_time_in_millis # rubocop:disable Naming/AccessorMethodName (AWS's name)
      left = @deadline_ms - (Time.now.to_f * 1000).to_i
      left.positive? ? left : 0
    end

    private

    def parsed(text)
      JSON.parse(text) if text && !text.empty?
    end
  end
end
