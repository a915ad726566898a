package havre.lambda;

import com.amazonaws.services.lambda.runtime.Client;
import com.amazonaws.services.lambda.runtime.ClientContext;
import com.amazonaws.services.lambda.runtime.CognitoIdentity;
import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.LambdaLogger;
import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/** Of one invocation. */
final class FunctionContext implements Context {
    private final Map<String, String> headers;
    private final long deadline;
    private final LambdaLogger logger;

    FunctionContext(Map<String, String> headers, LambdaLogger logger) {
        this.headers = headers;
        this.deadline = Long.parseLong(headers.getOrDefault("lambda-runtime-deadline-ms", "0"));
        this.logger = logger;
    }

    private static String variable(String name) {
        return System.getenv(name);
    }

    @Override
    public String getAwsRequestId() {
        return headers.get("lambda-runtime-aws-request-id");
    }

    @Override
    public String getLogGroupName() {
        return variable("AWS_LAMBDA_LOG_GROUP_NAME");
    }

    @Override
    public String getLogStreamName() {
        return variable("AWS_LAMBDA_LOG_STREAM_NAME");
    }

    @Override
    public String getFunctionName() {
        return variable("AWS_LAMBDA_FUNCTION_NAME");
    }

    @Override
    public String getFunctionVersion() {
        return variable("AWS_LAMBDA_FUNCTION_VERSION");
    }

    @Override
    public String getInvokedFunctionArn() {
        return headers.get("lambda-runtime-invoked-function-arn");
    }

    @Override
    public int getRemainingTimeInMillis() {
        return (int) Math.max(0, deadline - System.currentTimeMillis());
    }

    @Override
    public int getMemoryLimitInMB() {
        String size = variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE");
        return size == null ? 128 : Integer.parseInt(size);
    }

    @Override
    public LambdaLogger getLogger() {
        return logger;
    }

    @Override
    public String getTenantId() {
        return headers.get("lambda-runtime-aws-tenant-id");
    }

    @Override
    public String getXrayTraceId() {
        return headers.get("lambda-runtime-trace-id");
    }

    @Override
    public CognitoIdentity getIdentity() {
        JsonNode said = parsed("lambda-runtime-cognito-identity");
        String id = text(said, "cognitoIdentityId", "identity_id");
        String pool = text(said, "cognitoIdentityPoolId", "identity_pool_id");
        return new CognitoIdentity() {
            @Override
            public String getIdentityId() {
                return id == null ? "" : id;
            }

            @Override
            public String getIdentityPoolId() {
                return pool == null ? "" : pool;
            }
        };
    }

    @Override
    public ClientContext getClientContext() {
        JsonNode said = parsed("lambda-runtime-client-context");
        if (said == null || !said.isObject()) return null;
        Map<String, String> custom = pairs(said.path("custom"));
        Map<String, String> environment = pairs(said.has("env") ? said.path("env") : said.path("environment"));
        Client client = said.path("client").isObject() ? new SaidClient(said.path("client")) : null;
        return new ClientContext() {
            @Override
            public Client getClient() {
                return client;
            }

            @Override
            public Map<String, String> getCustom() {
                return custom;
            }

            @Override
            public Map<String, String> getEnvironment() {
                return environment;
            }
        };
    }

    private JsonNode parsed(String header) {
        String text = headers.get(header);
        if (text == null || text.isEmpty()) return null;
        try {
            return Json.PLAIN.readTree(text);
        } catch (IOException e) {
            throw new IllegalArgumentException(header + " is no JSON", e);
        }
    }

    private static String text(JsonNode said, String... names) {
        for (String name : names) {
            if (said != null && said.hasNonNull(name)) return said.get(name).asText();
        }
        return null;
    }

    private static Map<String, String> pairs(JsonNode said) {
        Map<String, String> found = new LinkedHashMap<>();
        said.fields().forEachRemaining(e -> found.put(e.getKey(), e.getValue().isValueNode() ? e.getValue().asText() : e.getValue().toString()));
        return Collections.unmodifiableMap(found);
    }

    private static final class SaidClient implements Client {
        private final JsonNode said;

        SaidClient(JsonNode said) {
            this.said = said;
        }

        @Override
        public String getInstallationId() {
            return text(said, "installation_id", "installationId");
        }

        @Override
        public String getAppTitle() {
            return text(said, "app_title", "appTitle");
        }

        @Override
        public String getAppVersionName() {
            return text(said, "app_version_name", "appVersionName");
        }

        @Override
        public String getAppVersionCode() {
            return text(said, "app_version_code", "appVersionCode");
        }

        @Override
        public String getAppPackageName() {
            return text(said, "app_package_name", "appPackageName");
        }
    }
}
