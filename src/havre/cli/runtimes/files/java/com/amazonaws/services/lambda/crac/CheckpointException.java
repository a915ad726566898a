package com.amazonaws.services.lambda.crac;

public class CheckpointException extends Exception {
    private static final long serialVersionUID = 1;
}
