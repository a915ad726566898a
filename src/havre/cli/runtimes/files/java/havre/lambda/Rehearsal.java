package havre.lambda;

import com.amazonaws.services.lambda.runtime.Context;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.List;
import java.util.Map;

/** Once, when a runtime is built: some invocations, so that the archive of classes has what they need. */
public final class Rehearsal {
    private static final String[] EVENTS = {
        "{\"name\": \"x\", \"number\": 1, \"many\": [1.5, true, null], \"more\": {\"a\": \"b\"}}", "{\"name\": \"fails\"}",
    };

    private Rehearsal() {}

    public static class Event {
        public String name;
        public Long number;
        public List<Object> many;
        public Map<String, String> more;
    }

    /** The function that is played. */
    public static Object play(Event event, Context context) {
        if ("fails".equals(event.name)) throw new IllegalStateException("as expected", new RuntimeException());
        context.getLogger().log("rehearsed in " + context.getRemainingTimeInMillis() + "\n");
        return Collections.singletonMap("event", event);
    }

    public static void main(String[] arguments) throws Exception {
        ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        Thread answers = new Thread(() -> {
            try (Socket socket = server.accept()) {
                serve(socket);
                System.exit(0);
            } catch (IOException e) {
                e.printStackTrace();
                System.exit(1);
            }
        });
        answers.setDaemon(true);
        answers.start();
        Main.rehearse("127.0.0.1:" + server.getLocalPort(), "havre.lambda.Rehearsal::play", "/var/task");
    }

    private static void serve(Socket socket) throws IOException {
        BufferedReader input = new BufferedReader(new InputStreamReader(socket.getInputStream(), StandardCharsets.US_ASCII));
        for (int served = 0; ; ) {
            String request = input.readLine();
            int length = 0;
            for (String line = input.readLine(); line != null && !line.isEmpty(); line = input.readLine()) {
                if (line.startsWith("Content-Length: ")) length = Integer.parseInt(line.substring(16));
            }
            input.skip(length);
            boolean next = request.startsWith("GET");
            if (next && served == EVENTS.length) return;
            String body = next ? EVENTS[served++] : "{}";
            String head = "HTTP/1.1 " + (next ? "200 OK" : "202 Accepted") + "\r\nLambda-Runtime-Aws-Request-Id: 1\r\n"
                + "Lambda-Runtime-Deadline-Ms: 9999999999999\r\nContent-Length: " + body.length() + "\r\n\r\n";
            socket.getOutputStream().write((head + body).getBytes(StandardCharsets.US_ASCII));
        }
    }
}
