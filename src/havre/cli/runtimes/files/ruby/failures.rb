# frozen_string_literal: true

require 'json'

module LambdaClient
  # Errors as Lambda tells them.
  module Failures
    OWN = __dir__

    # +phase+: Init or Function.
    def self.of(error, phase)
      { errorMessage: text(error.message), errorType: "#{phase}<#{error.class}>", stackTrace: trace(error) }
    end

    # For X-Ray, in a header: one line.
    def self.cause(error)
      frames = (error.backtrace_locations || []).map { |at| { path: at.path, line: at.lineno, label: at.label } }
      exception = { type: error.class.to_s, message: text(error.message), stack: frames }
      JSON.generate({ working_directory: Dir.pwd, paths: [], exceptions: [exception] }, ascii_only: true)
    end

    def self.trace(error)
      (error.backtrace || []).reject { |line| line.start_with?(OWN, '<internal:') }.map { |line| text(line) }
    end

    def self.text(words)
      words.to_s.dup.encode(Encoding::UTF_8, invalid: :replace, undef: :replace).scrub
    end
  end
end
