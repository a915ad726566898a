package com.amazonaws.services.lambda.runtime;

/** Set by AWS's appender for Log4j. */
public final class LambdaRuntimeInternal {
    private static boolean useLog4jAppender;

    private LambdaRuntimeInternal() {}

    public static void setUseLog4jAppender(boolean use) {
        useLog4jAppender = use;
    }

    public static boolean getUseLog4jAppender() {
        return useLog4jAppender;
    }
}
