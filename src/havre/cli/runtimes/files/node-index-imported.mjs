// Starts AWS's runtime interface client, as the managed runtime does: from its version 4 on by being imported.
import "aws-lambda-ric";
