package havre.lambda;

import com.amazonaws.services.lambda.crac.Core;
import java.io.IOException;
import java.security.Security;

/** A runtime interface client for Java: what the function gets and what comes of it, one invocation after the other. */
public final class Main {
    private static final String TRACE = "com.amazonaws.xray.traceHeader";
    private static final String NEGATIVE_TTL = "networkaddress.cache.negative.ttl";
    private static final int NO_SNAPSHOT = 64;

    private final Api api;
    private final Lines lines = new Lines();
    private Handler handler;
    private Failures.Unready unready;

    private Main(Api api) {
        this.api = api;
    }

    public static void main(String[] arguments) throws Exception {
        Security.setProperty(NEGATIVE_TTL, System.getenv().getOrDefault("AWS_LAMBDA_JAVA_NETWORKADDRESS_CACHE_NEGATIVE_TTL", "1"));
        String task = System.getenv().getOrDefault("LAMBDA_TASK_ROOT", "/var/task");
        boolean snapshot = "snap-start".equals(System.getenv("AWS_LAMBDA_INITIALIZATION_TYPE"));
        new Main(new Api(System.getenv("AWS_LAMBDA_RUNTIME_API"))).work(System.getenv("_HANDLER"), task, snapshot);
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
        boolean goes = true;
        while (goes) goes = one();
        System.exit(1);
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
    private boolean one() throws IOException {
        Api.Answer invocation = api.next();
        String trace = invocation.headers.get("lambda-runtime-trace-id");
        if (trace == null) System.clearProperty(TRACE);
        else System.setProperty(TRACE, trace);
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

    /** For building a runtime: everything that an invocation uses is loaded once, and kept in an archive of classes. */
    static void rehearse(String address, String handler, String task) throws Exception {
        new Main(new Api(address)).work(handler, task, false);
    }
}
