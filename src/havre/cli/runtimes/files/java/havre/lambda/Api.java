package havre.lambda;

import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/** Lambda's Runtime API over one connection. */
final class Api {
    private static final String ROOT = "/2018-06-01/runtime";
    private static final int LARGEST_CAUSE = 1 << 20;
    private static final int PIECE = 1 << 16;

    /** A request's answer, or an invocation. Names of headers in small letters. */
    static final class Answer {
        final int status;
        final Map<String, String> headers;
        final byte[] body;

        Answer(int status, Map<String, String> headers, byte[] body) {
            this.status = status;
            this.headers = headers;
            this.body = body;
        }

        String id() {
            return headers.get("lambda-runtime-aws-request-id");
        }
    }

    private final String host;
    private final int port;
    private Socket socket;
    private InputStream input;

    Api(String address) {
        String[] parts = address.split(":");
        host = parts[0];
        port = Integer.parseInt(parts[1]);
    }

    Answer next() throws IOException {
        Answer answer = ask("GET", "/invocation/next", null, "");
        if (answer.status != 200) throw new IOException("the Runtime API gives no invocation: " + answer.status);
        return answer;
    }

    void respond(String id, byte[] body) throws IOException {
        ask("POST", "/invocation/" + id + "/response", body, "Content-Type: application/json\r\n");
    }

    void fail(String id, Failures failure) throws IOException {
        ask("POST", "/invocation/" + id + "/error", failure.json(), headers(failure));
    }

    void failInit(Failures failure) throws IOException {
        ask("POST", "/init/error", failure.json(), headers(failure));
    }

    void restoreNext() throws IOException {
        Answer answer = ask("GET", "/restore/next", null, "");
        if (answer.status != 200) throw new IOException("the Runtime API restores nothing: " + answer.status);
    }

    void failRestore(Failures failure) throws IOException {
        ask("POST", "/restore/error", failure.json(), headers(failure));
    }

    private static String headers(Failures failure) {
        String found = "Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: " + failure.kind() + "\r\n";
        String cause = failure.cause();
        return cause.length() < LARGEST_CAUSE ? found + "Lambda-Runtime-Function-XRay-Error-Cause: " + cause + "\r\n" : found;
    }

    private Answer ask(String method, String path, byte[] body, String headers) throws IOException {
        if (socket == null) {
            socket = new Socket(host, port);
            socket.setTcpNoDelay(true);
            input = new BufferedInputStream(socket.getInputStream(), PIECE);
        }
        String length = body == null ? "" : "Content-Length: " + body.length + "\r\n";
        String text = method + " " + ROOT + path + " HTTP/1.1\r\nHost: " + host + ":" + port + "\r\n" + headers + length + "\r\n";
        byte[] head = text.getBytes(StandardCharsets.US_ASCII);
        OutputStream output = socket.getOutputStream();
        if (body == null) {
            output.write(head);
        } else {
            byte[] all = new byte[head.length + body.length];
            System.arraycopy(head, 0, all, 0, head.length);
            System.arraycopy(body, 0, all, head.length, body.length);
            output.write(all);
        }
        return read();
    }

    private Answer read() throws IOException {
        int status = Integer.parseInt(line().split(" ")[1]);
        Map<String, String> headers = new HashMap<>();
        for (String line = line(); !line.isEmpty(); line = line()) {
            int colon = line.indexOf(':');
            headers.put(line.substring(0, colon).toLowerCase(Locale.ROOT), line.substring(colon + 1).trim());
        }
        int length = Integer.parseInt(headers.getOrDefault("content-length", "0"));
        byte[] body = input.readNBytes(length);
        if (body.length < length) throw new EOFException("the Runtime API has ended");
        return new Answer(status, headers, body);
    }

    private String line() throws IOException {
        StringBuilder found = new StringBuilder();
        for (int c = input.read(); c != '\n'; c = input.read()) {
            if (c < 0) throw new EOFException("the Runtime API has ended");
            if (c != '\r') found.append((char) c);
        }
        return found.toString();
    }
}
