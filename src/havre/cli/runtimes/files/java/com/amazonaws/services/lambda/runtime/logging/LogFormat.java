package com.amazonaws.services.lambda.runtime.logging;

public enum LogFormat {
    JSON,
    TEXT;

    public static LogFormat fromString(String format) {
        return "JSON".equalsIgnoreCase(format) ? JSON : TEXT;
    }
}
