package com.amazonaws.services.lambda.crac;

/** What wants to hear of the snapshot; functions come here through org.crac, which looks for this package. */
public interface Resource {
    void beforeCheckpoint(Context<? extends Resource> context) throws Exception;

    void afterRestore(Context<? extends Resource> context) throws Exception;
}
