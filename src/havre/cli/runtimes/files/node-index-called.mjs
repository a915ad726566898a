// Starts AWS's runtime interface client, as the managed runtime does: on a capacity provider one in each of as many threads as
// there are invocations at once, for before its version 4 it works on one.
import { isMainThread, Worker } from "node:worker_threads";

const slots = Number(process.env.AWS_LAMBDA_MAX_CONCURRENCY ?? 0);

if (isMainThread && slots > 0) {
  for (let slot = 0; slot < slots; slot++) {
    new Worker(new URL(import.meta.url), { env: process.env }).on("error", (error) => console.error(error));
  }
} else {
  const { run } = await import("aws-lambda-ric");
  await run(process.env.LAMBDA_TASK_ROOT ?? "/var/task", process.env._HANDLER);
}
