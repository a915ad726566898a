# frozen_string_literal: true

require 'json'
require 'socket'

module LambdaClient
  # Lambda's Runtime API over one connection.
  class Api
    # It does not answer any more: the environment ends.
    class Gone < StandardError; end

    ROOT = '/2018-06-01/runtime'
    LARGEST_CAUSE = 1 << 20

    def initialize(address)
      @host, @port = address.split(':')
    end

    # [request id, body, headers]
    def next_invocation
      status, headers, body = ask('GET', '/invocation/next')
      raise Gone, "the Runtime API gives no invocation: #{status}" unless status == 200

      [headers['lambda-runtime-aws-request-id'], body, headers]
    end

    def respond(id, body, kind)
      ask('POST', "/invocation/#{id}/response", body, 'Content-Type' => kind)
    end

    def fail(id, failure, error)
      ask('POST', "/invocation/#{id}/error", JSON.generate(failure), headers(failure, error))
    end

    def fail_init(failure)
      ask('POST', '/init/error', JSON.generate(failure), headers(failure))
    end

    private

    def headers(failure, error = nil)
      found = { 'Content-Type' => 'application/vnd.aws.lambda.error+json',
                'Lambda-Runtime-Function-Error-Type' => failure[:errorType].delete("\r\n") }
      cause = error && Failures.cause(error)
      found['Lambda-Runtime-Function-XRay-Error-Cause'] = cause if cause && cause.bytesize < LARGEST_CAUSE
      found
    end

    def ask(method, path, body = nil, headers = {})
      lines = ["#{method} #{ROOT}#{path} HTTP/1.1", "Host: #{@host}:#{@port}"]
      lines << "Content-Length: #{body.bytesize}" if body
      lines += headers.map { |name, value| "#{name}: #{value}" }
      socket = connection
      socket.write(lines.join("\r\n"), "\r\n\r\n", body || '')
      read(socket)
    rescue SystemCallError, IOError => e
      raise Gone, "the Runtime API does not answer: #{e.message}"
    end

    def connection
      @connection ||= TCPSocket.new(@host, Integer(@port)).tap { |s| s.setsockopt(:TCP, :NODELAY, 1) }
    end

    # [status, headers, body]
    def read(socket)
      first = socket.gets or raise Gone, 'the Runtime API has ended'
      headers = {}
      while (line = socket.gets) && line != "\r\n"
        name, value = line.chomp.split(':', 2)
        headers[name.downcase] = value.strip
      end
      body = socket.read(headers.fetch('content-length', '0').to_i) || ''
      [first.split[1].to_i, headers, body.force_encoding(Encoding::UTF_8)]
    end
  end
end
