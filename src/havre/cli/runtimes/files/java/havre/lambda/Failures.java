package havre.lambda;

import com.fasterxml.jackson.core.JsonGenerator;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** An error as Lambda tells it: errorMessage, errorType, stackTrace, cause. */
final class Failures {
    private static final int DEEPEST = 32;

    private final Throwable error;
    private final String message;
    private final String kind;

    private Failures(Throwable error, String message, String kind) {
        this.error = error;
        this.message = message;
        this.kind = kind;
    }

    static Failures of(Throwable error) {
        return new Failures(error, error.getMessage(), "Unhandled");
    }

    /** Of what went wrong around a hook of SnapStart. */
    static Failures of(Throwable error, String kind) {
        return new Failures(error, error.getMessage(), kind);
    }

    static Failures ofClass(String name, Throwable error) {
        String why = error.getMessage() == null ? "" : ": " + error.getMessage();
        return new Failures(error, "Error loading class " + name + why, "Runtime.BadFunctionCode");
    }

    String kind() {
        return kind;
    }

    byte[] json() {
        return written(told(error, message, newSet(), 0));
    }

    /** For X-Ray, in a header: one line of ASCII. */
    String cause() {
        List<Object> stack = new ArrayList<>();
        for (StackTraceElement at : own(error)) {
            Map<String, Object> frame = new LinkedHashMap<>();
            frame.put("label", at.getMethodName());
            frame.put("path", at.getFileName());
            frame.put("line", at.getLineNumber());
            stack.add(frame);
        }
        Map<String, Object> exception = new LinkedHashMap<>();
        exception.put("message", message);
        exception.put("type", name(error));
        exception.put("stack", stack);
        Map<String, Object> cause = new LinkedHashMap<>();
        cause.put("working_directory", System.getProperty("user.dir"));
        cause.put("exceptions", Collections.singletonList(exception));
        cause.put("paths", Collections.emptyList());
        return new String(written(cause), StandardCharsets.US_ASCII);
    }

    /** For the log, as Java prints it. */
    String text() {
        StringBuilder found = new StringBuilder();
        String type = error instanceof Unready ? ((Unready) error).kind : error.getClass().getName();
        found.append(message == null ? type : message + ": " + type).append('\n');
        if (!(error instanceof Unready)) trace(found, error, newSet());
        return found.toString();
    }

    private static void trace(StringBuilder found, Throwable error, Set<Throwable> seen) {
        found.append(error).append('\n');
        for (StackTraceElement at : own(error)) found.append("\tat ").append(at).append('\n');
        for (Throwable other : error.getSuppressed()) {
            if (seen.add(other)) trace(found.append("Suppressed: "), other, seen);
        }
        Throwable cause = error.getCause();
        if (cause != null && seen.add(cause)) trace(found.append("Caused by: "), cause, seen);
    }

    private static Map<String, Object> told(Throwable error, String message, Set<Throwable> seen, int depth) {
        Map<String, Object> found = new LinkedHashMap<>();
        found.put("errorMessage", message);
        found.put("errorType", error instanceof Unready ? ((Unready) error).kind : name(error));
        if (!(error instanceof Unready)) {
            List<String> trace = new ArrayList<>();
            for (StackTraceElement at : own(error)) trace.add(at.toString());
            found.put("stackTrace", trace);
        }
        Throwable cause = error.getCause();
        if (cause != null && depth < DEEPEST && seen.add(cause)) {
            found.put("cause", told(cause, cause.getMessage(), seen, depth + 1));
        }
        return found;
    }

    /** Without what called the function. */
    private static List<StackTraceElement> own(Throwable error) {
        List<StackTraceElement> found = new ArrayList<>();
        for (StackTraceElement at : error.getStackTrace()) {
            if (at.getClassName().startsWith("havre.lambda.")) break;
            found.add(at);
        }
        while (!found.isEmpty() && reflects(found.get(found.size() - 1).getClassName())) found.remove(found.size() - 1);
        return found;
    }

    private static boolean reflects(String name) {
        return name.startsWith("java.lang.reflect.") || name.startsWith("jdk.internal.reflect.")
            || name.startsWith("java.lang.invoke.") || name.equals("java.lang.Class");
    }

    private static String name(Throwable error) {
        String name = error.getClass().getCanonicalName();
        return name == null ? error.getClass().getName() : name;
    }

    private static Set<Throwable> newSet() {
        return Collections.newSetFromMap(new IdentityHashMap<>());
    }

    private static byte[] written(Object value) {
        ByteArrayOutputStream output = new ByteArrayOutputStream();
        try (JsonGenerator generator = Json.PLAIN.getFactory().createGenerator(output)) {
            generator.enable(JsonGenerator.Feature.ESCAPE_NON_ASCII);
            Json.PLAIN.writeValue(generator, value);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return output.toByteArray();
    }

    /** A function that cannot be invoked as it is named: each invocation is told so. */
    static final class Unready extends RuntimeException {
        private static final long serialVersionUID = 1;
        final String kind;

        Unready(String message, String kind) {
            super(message, null, false, false);
            this.kind = kind;
        }
    }
}
