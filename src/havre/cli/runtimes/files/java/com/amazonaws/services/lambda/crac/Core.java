package com.amazonaws.services.lambda.crac;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.WeakHashMap;

public final class Core {
    private static final Context<Resource> GLOBAL = new Global();

    private Core() {}

    public static Context<Resource> getGlobalContext() {
        return GLOBAL;
    }

    /** Only Lambda itself takes snapshots. */
    public static void checkpointRestore() throws CheckpointException, RestoreException {
        throw new UnsupportedOperationException("checkpointRestore is not supported in AWS Lambda");
    }

    /** Those that registered last hear of the snapshot first, and of the restoration last. */
    private static final class Global extends Context<Resource> {
        private final Map<Resource, Long> registered = new WeakHashMap<>();
        private long next;

        @Override
        public synchronized void register(Resource resource) {
            registered.put(resource, next++);
        }

        @Override
        public synchronized void beforeCheckpoint(Context<? extends Resource> context) throws CheckpointException {
            CheckpointException failed = new CheckpointException();
            List<Resource> resources = inOrder();
            for (int i = resources.size() - 1; i >= 0; i--) {
                try {
                    resources.get(i).beforeCheckpoint(this);
                } catch (Exception e) {
                    failed.addSuppressed(e);
                }
            }
            if (failed.getSuppressed().length > 0) throw failed;
        }

        @Override
        public synchronized void afterRestore(Context<? extends Resource> context) throws RestoreException {
            RestoreException failed = new RestoreException();
            for (Resource resource : inOrder()) {
                try {
                    resource.afterRestore(this);
                } catch (Exception e) {
                    failed.addSuppressed(e);
                }
            }
            if (failed.getSuppressed().length > 0) throw failed;
        }

        private List<Resource> inOrder() {
            List<Resource> found = new ArrayList<>(registered.keySet());
            found.sort((a, b) -> Long.compare(registered.get(a), registered.get(b)));
            return found;
        }
    }
}
