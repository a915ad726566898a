# frozen_string_literal: true

require 'json'
require 'logger'

module LambdaClient
  # What is logged: messages of several lines stay together, and name their request.
  module Lines
    FRAME = 0xa55a0003

    class << self
      attr_accessor :request_id

      def begin
        number = ENV.delete('_LAMBDA_TELEMETRY_LOG_FD')
        @file = number ? IO.for_fd(number.to_i, 'wb', autoclose: false).tap { |file| file.sync = true } : nil
        Logger.prepend(Tagged)
      end

      def write(message)
        return $stdout.write(message) if @file.nil?

        content = message.dup.force_encoding(Encoding::BINARY)
        at = Process.clock_gettime(Process::CLOCK_REALTIME, :microsecond)
        @file.write([FRAME, content.bytesize, at].pack('NNQ>') + content)
      end

      def failure(title, found)
        write("#{title}\n#{JSON.generate(found)}\n")
      end
    end

    # Where a Logger writes to when that is standard output: each message whole.
    class Device
      def write(message)
        Lines.write(message)
      end

      def close; end
    end

    # As Ruby's own lines, with the request.
    class Formatter < Logger::Formatter
      def call(severity, time, progname, message)
        at = time.strftime('%Y-%m-%dT%H:%M:%S.%6N')
        "#{severity[0]}, [#{at} ##{Process.pid}] #{severity.rjust(5)} #{Lines.request_id} -- #{progname}: #{msg2str(message)}\n"
      end
    end

    # For loggers that functions make.
    module Tagged
      def initialize(device, *rest, **options)
        super(device.equal?($stdout) || device.equal?(STDOUT) ? Device.new : device, *rest, **options)
        self.formatter ||= Formatter.new
      end
    end
  end
end
