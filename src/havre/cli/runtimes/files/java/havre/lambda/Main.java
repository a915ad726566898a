package havre.lambda;

import com.amazonaws.services.lambda.crac.Core;
import java.io.IOException;
import java.security.Security;

/**
 * A runtime interface client for Java: what the function gets and what comes of it, one invocation after the other; on a
 * capacity provider in as many threads as there are invocations at once, which have the handler in common.
 */
public final class Main {
    private static final String TRACE = "com.amazonaws.xray.traceHeader";
    private static final String NEGATIVE_TTL = "networkaddress.cache.negative.ttl";
    private static final int NO_SNAPSHOT = 64;

    private final String address;
    private final Api api;
    private final int threads = Integer.parseInt(System.getenv().getOrDefault("AWS_LAMBDA_MAX_CONCURRENCY", "0"));
    private final Lines lines = new Lines();
    private Handler handler;
    private Failures.Unready unready;

    private Main(String address) {
        this.address = address;
        this.api = new Api(address);
    }

    public static void main(String[] arguments) throws Exception {
        Security.setProperty(NEGATIVE_TTL, System.getenv().getOrDefault("AWS_LAMBDA_JAVA_NETWORKADDRESS_CACHE_NEGATIVE_TTL", "1"));
        String task = System.getenv().getOrDefault("LAMBDA_TASK_ROOT", "/var/task");
        boolean snapshot = "snap-start".equals(System.getenv("AWS_LAMBDA_INITIALIZATION_TYPE"));
        new Main(System.getenv("AWS_LAMBDA_RUNTIME_API")).work(System.getenv("_HANDLER"), task, snapshot);
    }

    /** Until the Runtime API ends. */
    void work(String name, String task, boolean snapshot) throws Exception {
        lines.install();
        FunctionClasses classes = new FunctionClasses(task, "/opt/java");
        Thread.currentThread().setContextClassLoader(classes);
        try {
            handler = Handler.find(name == null ? "" : name, classes);
        } catch (Failures.Unready e) {
            unready = e;
        } catch (Throwable e) {
            Failures failure = Failures.ofClass(name.split("::")[0], e);
            lines.failure(failure);
            api.failInit(failure);
            System.exit(1);
        }
        if (snapshot) snapshot();
        if (threads > 0) together();
        else serve(api);
        System.exit(1);
    }

    private void serve(Api api) throws IOException {
        boolean goes = true;
        while (goes) goes = one(api);
    }

    /** Until all threads have ended. */
    private void together() throws InterruptedException {
        Thread[] all = new Thread[threads];
        for (int i = 0; i < threads; i++) {
            all[i] = new Thread(this::thread, "invocations-" + i);
            all[i].start();
        }
        for (Thread thread : all) thread.join();
    }

    private void thread() {
        try {
            serve(new Api(address));
        } catch (IOException e) {
            lines.log("the Runtime API: " + e.getMessage());
        }
    }

    private void snapshot() throws IOException {
        try {
            Core.getGlobalContext().beforeCheckpoint(null);
        } catch (Exception e) {
            Failures failure = Failures.of(e, "Runtime.BeforeCheckpointError");
            lines.failure(failure);
            api.failInit(failure);
            System.exit(NO_SNAPSHOT);
        }
        System.gc();
        api.restoreNext();
        try {
            Core.getGlobalContext().afterRestore(null);
        } catch (Exception e) {
            Failures failure = Failures.of(e, "Runtime.AfterRestoreError");
            lines.failure(failure);
            api.failRestore(failure);
            System.exit(NO_SNAPSHOT);
        }
    }

    /** Whether the virtual machine is good for another invocation. */
    private boolean one(Api api) throws IOException {
        Api.Answer invocation = api.next();
        if (threads == 0) trace(invocation.headers.get("lambda-runtime-trace-id"));
        lines.of(invocation.id());
        byte[] answer;
        try {
            if (unready != null) throw unready;
            answer = handler.call(invocation.body, new FunctionContext(invocation.headers, lines));
        } catch (Throwable e) {
            Failures failure = Failures.of(e);
            lines.failure(failure);
            api.fail(invocation.id(), failure);
            return !(e instanceof VirtualMachineError);
        } finally {
            Thread.interrupted();
            System.out.flush();
        }
        api.respond(invocation.id(), answer);
        return true;
    }

    /** A property of the whole process: of one invocation alone, where there are no others beside it. */
    private static void trace(String header) {
        if (header == null) System.clearProperty(TRACE);
        else System.setProperty(TRACE, header);
    }

    /** For building a runtime: everything that an invocation uses is loaded once, and kept in an archive of classes. */
    static void rehearse(String address, String handler, String task) throws Exception {
        new Main(address).work(handler, task, false);
    }
}
