// Starts AWS's runtime interface client, as the managed runtime does.
import { run } from "aws-lambda-ric";

await run(process.env.LAMBDA_TASK_ROOT ?? "/var/task", process.env._HANDLER);
