package havre.lambda;

import com.amazonaws.services.lambda.runtime.LambdaLogger;
import com.amazonaws.services.lambda.runtime.LambdaRuntime;
import com.amazonaws.services.lambda.runtime.logging.LogFormat;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.reflect.Field;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.LinkedHashMap;
import java.util.Map;

/** What is logged: messages of several lines stay together, in frames between what is printed. */
final class Lines implements LambdaLogger {
    private static final int FRAME = 0xa55a0003;

    private final FileOutputStream output = new FileOutputStream(FileDescriptor.out);
    private final boolean framed = "1".equals(System.getenv("_LAMBDA_TELEMETRY_LOG_FD"));
    private final LogFormat format = LogFormat.fromString(System.getenv("AWS_LAMBDA_LOG_FORMAT"));
    private final LogLevel least = level(System.getenv("AWS_LAMBDA_LOG_LEVEL"));
    private final boolean alone = System.getenv("AWS_LAMBDA_MAX_CONCURRENCY") == null;
    private final InheritableThreadLocal<String> own = new InheritableThreadLocal<>();
    private volatile String request = "";

    private static LogLevel level(String name) {
        return name == null || name.isEmpty() ? LogLevel.UNDEFINED : LogLevel.fromString(name);
    }

    /** Makes it the one that LambdaRuntime gives. */
    void install() throws ReflectiveOperationException {
        Field logger = LambdaRuntime.class.getDeclaredField("logger");
        logger.setAccessible(true);
        logger.set(null, this);
    }

    /** Of this thread, and of those that it starts, where others work on other invocations. */
    void of(String id) {
        if (alone) request = id;
        else own.set(id);
    }

    void failure(Failures failure) {
        log(failure.text(), format == LogFormat.JSON ? LogLevel.ERROR : LogLevel.UNDEFINED);
    }

    @Override
    public void log(String message) {
        log(message, LogLevel.UNDEFINED);
    }

    @Override
    public void log(byte[] message) {
        log(message, LogLevel.UNDEFINED);
    }

    @Override
    public void log(byte[] message, LogLevel level) {
        if (format == LogFormat.JSON) {
            log(new String(message, StandardCharsets.UTF_8), level);
        } else {
            write(message);
        }
    }

    @Override
    public void log(String message, LogLevel level) {
        String text = String.valueOf(message);
        if (format != LogFormat.JSON) {
            write((level == LogLevel.UNDEFINED ? text : "[" + level + "] " + text).getBytes(StandardCharsets.UTF_8));
        } else if (level == LogLevel.UNDEFINED || level.compareTo(least) >= 0) {
            write(structured(text, level));
        }
    }

    private byte[] structured(String text, LogLevel level) {
        Map<String, Object> found = new LinkedHashMap<>();
        found.put("timestamp", Instant.now().truncatedTo(ChronoUnit.MILLIS).toString());
        if (level != LogLevel.UNDEFINED) found.put("level", level.name());
        found.put("message", text);
        found.put("AWSRequestId", alone ? request : own.get());
        try {
            return Json.PLAIN.writeValueAsBytes(found);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private synchronized void write(byte[] message) {
        ByteBuffer frame = ByteBuffer.allocate(16 + message.length);
        if (framed) {
            long now = System.currentTimeMillis() * 1000;
            frame.putInt(FRAME).putInt(message.length).putLong(now);
        }
        frame.put(message);
        try {
            System.out.flush();
            output.write(frame.array(), 0, frame.position());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
