"""Functions in Java: compiled by the compiler that is in the runtime itself, so that tests need no other."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from havre.cli.runtimes.doing import run_inside
from havre.kernel import runtimes

RUNTIME = "java21"
_CLIENT = "/var/runtime/lib/client.jar"


def compiled(sources: Mapping[str, str], *, beside: Mapping[str, bytes] = {}) -> dict[str, bytes]:
    """Paths of classes and their content; ``sources``: by path. ``beside``: classes that these need."""
    root = runtimes.root_of(runtimes.place(os.environ), RUNTIME)
    work = Path(tempfile.mkdtemp(dir=root / "tmp"))
    inside = f"/{work.relative_to(root)}"
    try:
        for path, content in {**{k: v.encode() for k, v in sources.items()}, **beside}.items():
            target = work / ("src" if path in sources else "beside") / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        paths = [f"{inside}/src/{path}" for path in sources]
        options = ["-nowarn", "-g", "-d", f"{inside}/out", "-cp", f"{_CLIENT}:{inside}/beside", *paths]
        run_inside(root, ["java", "-m", "jdk.compiler/com.sun.tools.javac.Main", *options], "javac")
        out = work / "out"
        return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*.class")}
    finally:
        shutil.rmtree(work)


def jar(files: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return archive.getvalue()


SHELF = """
package shelf;
public final class Shelf { public static String says() { return "from the layer"; } }
"""
APP = """
package app;
import com.amazonaws.services.lambda.runtime.*;
import java.util.*;

public class App implements RequestHandler<Map<String, Object>, Map<String, Object>> {
    private static int calls;
    static { if (System.getenv("BREAK") != null) throw new IllegalStateException("broken while it is loaded"); }

    public Map<String, Object> handleRequest(Map<String, Object> event, Context context) {
        if ("fail".equals(event.get("do"))) throw new IllegalArgumentException("bad event", new RuntimeException("why"));
        while ("sleep".equals(event.get("do"))) { try { Thread.sleep(1000); } catch (InterruptedException e) { } }
        context.getLogger().log("logged\\nin two lines\\n");
        Map<String, Object> found = new LinkedHashMap<>();
        found.put("event", event);
        found.put("mine", System.getenv("MINE"));
        found.put("runtime", System.getenv("AWS_EXECUTION_ENV"));
        found.put("layer", shelf.Shelf.says());
        found.put("arn", context.getInvokedFunctionArn());
        found.put("left", context.getRemainingTimeInMillis() > 0);
        found.put("calls", ++calls);
        return found;
    }
}
"""
POJO = """
package app;
import com.amazonaws.services.lambda.runtime.*;
import com.amazonaws.services.lambda.runtime.events.SQSEvent;
import java.io.*;
import java.util.*;

public class Pojo {
    public static class Order {
        private String name; private int count; private List<Double> prices;
        public String getName() { return name; }
        public void setName(String name) { this.name = name; }
        public int getCount() { return count; }
        public void setCount(int count) { this.count = count; }
        public List<Double> getPrices() { return prices; }
        public void setPrices(List<Double> prices) { this.prices = prices; }
    }
    public record Answer(String hello, int next, double total) {}

    public Answer order(Order order, Context context) {
        double total = order.getPrices().stream().mapToDouble(p -> p).sum();
        return new Answer("hello " + order.getName(), order.getCount() + 1, total);
    }
    public void stream(InputStream input, OutputStream output, Context context) throws IOException {
        output.write(("{\\"bytes\\": " + input.readAllBytes().length + "}").getBytes());
    }
    public static List<Object> queue(SQSEvent event) {
        SQSEvent.Message first = event.getRecords().get(0);
        long at = first.getSentAt().getTime();
        return Arrays.asList(first.getBody(), first.getEventSourceArn(), at, first.source().getName());
    }
    public int sum(List<Integer> numbers) { return numbers.stream().mapToInt(n -> n).sum(); }
    public String option() { return System.getProperty("mine"); }
    public String jackson(Object nothing) {
        try {
            Class.forName("com.fasterxml.jackson.databind.ObjectMapper");
            return "seen";
        } catch (ClassNotFoundException e) {
            return "hidden";
        }
    }
}
"""
EVENT = """
package com.amazonaws.services.lambda.runtime.events;
import java.util.*;

/** Shaped as those of aws-lambda-java-events are: names in another case, times in seconds, no constructor to begin with. */
public class SQSEvent {
    private List<Message> records;
    public List<Message> getRecords() { return records; }
    public void setRecords(List<Message> records) { this.records = records; }
    public static class Message {
        private String body; private String eventSourceArn; private Date sentAt; private Source source;
        public String getBody() { return body; }
        public void setBody(String body) { this.body = body; }
        public String getEventSourceArn() { return eventSourceArn; }
        public void setEventSourceArn(String arn) { this.eventSourceArn = arn; }
        public Date getSentAt() { return sentAt; }
        public void setSentAt(Date at) { this.sentAt = at; }
        public Source source() { return source; }
        public Source getSource() { return source; }
        public void setSource(Source source) { this.source = source; }
    }
    public static class Source {
        private final String name;
        public Source(String name, int other) { this.name = name; }
        public String getName() { return name; }
    }
}
"""
SNAPSHOT = """
package app;
import com.amazonaws.services.lambda.crac.*;
import java.util.*;

public class Snapshot implements Resource {
    private final List<String> seen = new ArrayList<>();
    public Snapshot() { Core.getGlobalContext().register(this); }
    public void beforeCheckpoint(Context<? extends Resource> context) {
        seen.add("before");
        if (System.getenv("BREAK") != null) throw new IllegalStateException("no snapshot of this");
    }
    public void afterRestore(Context<? extends Resource> context) { seen.add("after"); System.out.println("restored"); }
    public List<String> look(Object event) {
        List<String> found = new ArrayList<>(seen);
        found.add(System.getenv("AWS_LAMBDA_INITIALIZATION_TYPE"));
        return found;
    }
}
"""
