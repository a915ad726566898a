# frozen_string_literal: true

# A runtime interface client for Ruby: what the function gets and what comes of it, one invocation after the other.

require 'json'
require 'stringio'
require_relative 'api'
require_relative 'context'
require_relative 'failures'
require_relative 'lines'

module LambdaClient
  # file.method, file.Class.method, dir/file.Module::Class.method
  class Handler
    def initialize(name)
      @file, *owner, @method = name.split('.')
      @owner = owner.first
      return if @method && owner.length < 2

      raise ArgumentError, "Invalid handler #{name}, must be of form FILENAME.METHOD or FILENAME.CLASS.METHOD where " \
                           'FILENAME corresponds with an existing Ruby source file FILENAME.rb, CLASS is an optional ' \
                           'module/class namespace and METHOD is a callable method. If using CLASS, METHOD must be a ' \
                           'class-level method.'
    end

    def load
      require File.join(ENV.fetch('LAMBDA_TASK_ROOT', '/var/task'), @file)
      @target = @owner ? Kernel.const_get(@owner) : TOPLEVEL_BINDING.receiver
      return if @target.respond_to?(@method, @owner.nil?)

      raise NoMethodError, "undefined method '#{@method}' for #{@owner || 'main'}"
    end

    def call(event, context)
      @target.send(@method, event: event, context: context)
    end
  end

  # Returns when an invocation was answered, whatever came of it.
  class Work
    def initialize(api, handler)
      @api = api
      @handler = handler
    end

    def one
      id, body, headers = @api.next_invocation
      Lines.request_id = id
      trace = headers['lambda-runtime-trace-id']
      trace ? ENV['_X_AMZN_TRACE_ID'] = trace : ENV.delete('_X_AMZN_TRACE_ID')
      @api.respond(id, *answer(body, headers))
    rescue Api::Gone
      raise
    rescue SystemExit, SignalException
      raise
    rescue Exception => e # rubocop:disable Lint/RescueException (a function may raise whatever it likes)
      failure = Failures.of(e, 'Function')
      Lines.failure('Error raised from handler method', failure)
      @api.fail(id, failure, e)
    end

    private

    def answer(body, headers)
      event = headers['content-type'].to_s.start_with?('application/json') ? JSON.parse(body) : body
      result, kind = @handler.call(event, Context.new(headers))
      case result
      when StringIO, File then [result.read, kind || 'application/unknown']
      else [JSON.generate(result), 'application/json']
      end
    end
  end

  def self.start
    $stdout.sync = $stderr.sync = true
    Lines.begin
    api = Api.new(ENV.fetch('AWS_LAMBDA_RUNTIME_API'))
    name = ENV.fetch('_HANDLER', '')
    begin
      handler = Handler.new(name)
      handler.load
    rescue Exception => e # rubocop:disable Lint/RescueException (a file may raise whatever it likes)
      failure = Failures.of(e, 'Init')
      Lines.failure("Init error when loading handler #{name}", failure)
      api.fail_init(failure)
      exit 1
    end
    work = Work.new(api, handler)
    loop { work.one }
  end
end

LambdaClient.start
