"""Event source mappings: checked against their sources, and their states."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.services.lambda_.lambda_harness import Lambda, arn, refusal

from havre.control.operation import Operations, Service
from havre.kernel.errors import ApiError
from havre.services.lambda_ import mapping_states
from havre.services.lambda_.resources import MAPPING, MappingR
from havre.services.lambda_.sources.pollers import source_of

INVALID = "InvalidParameterValueException"
QUEUE = "arn:aws:sqs:us-east-1:111122223333:work"
STREAM = "arn:aws:kinesis:us-east-1:111122223333:stream/events"
TABLE = "arn:aws:dynamodb:us-east-1:111122223333:table/t/stream/2026-01-01T00:00:00.000"


def queues() -> Service:
    ops = Operations()

    @ops("GetQueueUrl")
    async def url(call: Any, request: Any) -> Any:
        if not request["QueueName"].startswith("work"):
            raise ApiError("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.", 400)
        return {"QueueUrl": f"http://127.0.0.1/{request['QueueName']}"}

    @ops("GetQueueAttributes")
    async def attributes(call: Any, request: Any) -> Any:
        return {"Attributes": {"VisibilityTimeout": "30"}}

    return Service("sqs", ops.all)


def streams() -> tuple[Service, Service]:
    kinesis, dynamodb = Operations(), Operations()

    @kinesis("DescribeStreamSummary")
    async def summary(call: Any, request: Any) -> Any:
        if not request["StreamARN"].endswith("/events"):
            raise ApiError("ResourceNotFoundException", "Stream not found", 400)
        return {}

    @kinesis("DescribeStreamConsumer")
    async def consumer(call: Any, request: Any) -> Any:
        if "/mute:" in request["ConsumerARN"]:
            raise ApiError("LimitExceededException", "Not so fast", 400)
        if "/mine:" not in request["ConsumerARN"]:
            raise ApiError("ResourceNotFoundException", "Consumer gone not found", 400)
        return {}

    @dynamodb("DescribeStream")
    async def describe(call: Any, request: Any) -> Any:
        return {}

    return Service("kinesis", kinesis.all), Service("dynamodbstreams", dynamodb.all)


@pytest.fixture
def lambdas() -> Iterator[Lambda]:
    yield from with_sources()


@pytest.fixture(scope="module")
def unchanged() -> Iterator[Lambda]:
    """For tests of what is refused: they leave it as it was."""
    yield from with_sources()


def with_sources() -> Iterator[Lambda]:
    """With queues and streams to map, one function, and a role that may read them all."""
    made = Lambda(besides=(queues(), *streams()))
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*",
              "Action": ["sqs:*", "kinesis:*", "dynamodb:*"]}]}  # fmt: skip
    made.iam.put_role_policy(RoleName="worker", PolicyName="p", PolicyDocument=json.dumps(policy))
    made.create()
    yield made
    made.close()


def make(lambdas: Lambda, source: str = QUEUE, **more: Any) -> dict[str, Any]:
    given = {"FunctionName": "one", "EventSourceArn": source, **more}
    return dict(lambdas.client.create_event_source_mapping(**given))


def stored(lambdas: Lambda, uuid: str) -> MappingR:
    found = lambdas.running.store.get(MAPPING, "111122223333", "us-east-1", uuid)
    assert found is not None
    return found


def settle(lambdas: Lambda, uuid: str) -> None:
    """As whoever drives pollers does."""
    found = stored(lambdas, uuid)
    store = lambdas.running.store
    if found.meta.deleting is not None:
        lambdas.running.wait(store.transact(lambda tx: tx.remove(found)))
    else:
        lambdas.running.wait(store.transact(lambda tx: tx.update(found, status=mapping_states.settled(found))))


def test_a_queue_is_mapped_with_the_defaults_of_queues(lambdas: Lambda) -> None:
    made = make(lambdas)
    assert made["State"] == "Creating" and made["BatchSize"] == 10 and made["MaximumBatchingWindowInSeconds"] == 0
    assert made["FunctionArn"] == arn("function:one") and made["FunctionResponseTypes"] == []
    assert made["StateTransitionReason"] == "USER_INITIATED" and "MaximumRetryAttempts" not in made
    assert made["EventSourceMappingArn"] == arn(f"event-source-mapping:{made['UUID']}")
    settle(lambdas, made["UUID"])
    assert lambdas.client.get_event_source_mapping(UUID=made["UUID"])["State"] == "Enabled"


def test_a_stream_is_mapped_with_the_defaults_of_streams(lambdas: Lambda) -> None:
    made = make(lambdas, STREAM, StartingPosition="TRIM_HORIZON")
    assert (made["BatchSize"], made["MaximumRetryAttempts"], made["MaximumRecordAgeInSeconds"]) == (100, -1, -1)
    assert (made["ParallelizationFactor"], made["BisectBatchOnFunctionError"]) == (1, False)
    assert made["DestinationConfig"] == {"OnFailure": {}} and made["LastProcessingResult"] == "No records processed"
    at = make(
        lambdas,
        STREAM,
        StartingPosition="AT_TIMESTAMP",
        StartingPositionTimestamp=1767225600,
        FunctionName="one:$LATEST",
    )
    assert at["StartingPositionTimestamp"].timestamp() == 1767225600 and at["FunctionArn"].endswith(":$LATEST")


def test_pollers_of_a_queue_are_provisioned_and_let_go(lambdas: Lambda) -> None:
    made = make(lambdas, ProvisionedPollerConfig={"MinimumPollers": 3})
    assert made["ProvisionedPollerConfig"] == {"MinimumPollers": 3, "MaximumPollers": 200}
    settle(lambdas, made["UUID"])
    change = lambdas.client.update_event_source_mapping
    changed = change(UUID=made["UUID"], ProvisionedPollerConfig={"MinimumPollers": 3, "MaximumPollers": 4})
    assert changed["ProvisionedPollerConfig"] == {"MinimumPollers": 3, "MaximumPollers": 4}
    settle(lambdas, made["UUID"])
    assert "ProvisionedPollerConfig" not in change(UUID=made["UUID"], ProvisionedPollerConfig={})


@pytest.mark.parametrize(
    ("source", "more"), [(QUEUE, {}), (STREAM, {"StartingPosition": "LATEST"}), (TABLE, {"StartingPosition": "LATEST"})]
)
def test_metrics_of_a_mapping_are_wanted_and_not_any_more(lambdas: Lambda, source: str, more: Any) -> None:
    wanted = {"Metrics": ["EventCount"]}
    made = make(lambdas, source, MetricsConfig=wanted, **more)
    assert made["MetricsConfig"] == wanted

    def counted() -> bool:
        found = source_of(lambdas.running.store, stored(lambdas, made["UUID"]))
        return found is not None and found.counted

    assert counted()
    settle(lambdas, made["UUID"])
    change = lambdas.client.update_event_source_mapping
    assert change(UUID=made["UUID"], BatchSize=7)["MetricsConfig"] == wanted
    settle(lambdas, made["UUID"])
    assert change(UUID=made["UUID"], MetricsConfig={"Metrics": []})["MetricsConfig"] == {"Metrics": []}
    assert not counted()
    assert "MetricsConfig" not in make(lambdas, source, FunctionName="one:$LATEST", **more)


def test_a_consumer_of_a_stream_needs_its_own_permission(lambdas: Lambda) -> None:
    consumer = f"{STREAM}/consumer/mine:1"
    assert make(lambdas, consumer, StartingPosition="LATEST")["EventSourceArn"] == consumer
    reading = {"Effect": "Allow", "Resource": "*", "Action": ["kinesis:Get*", "kinesis:List*", "kinesis:Describe*"]}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [reading]})
    lambdas.iam.put_role_policy(RoleName="worker", PolicyName="p", PolicyDocument=policy)
    given = {"FunctionName": "one:$LATEST", "EventSourceArn": consumer, "StartingPosition": "LATEST"}
    code, words = refusal(lambdas.client.create_event_source_mapping, **given)
    assert code == INVALID and "permissions to call SubscribeToShard on Kinesis" in words


@pytest.mark.parametrize(
    ("source", "given", "code", "words"),
    [
        (QUEUE, {"FunctionName": "none"}, INVALID, "Function does not exist"),
        (QUEUE, {"FunctionName": "none", "DestinationConfig": {"OnSuccess": {"Destination": QUEUE}}}, INVALID,
         "Unsupported DestinationConfig parameter"),
        (QUEUE, {"StartingPosition": "LATEST"}, INVALID, "StartingPosition is not valid for SQS event sources."),
        (QUEUE, {"BatchSize": 11}, INVALID, "Maximum batch window in seconds must be greater than 0"),
        (QUEUE, {"ParallelizationFactor": 2}, INVALID, "Unsupported ParallelizationFactor parameter"),
        (QUEUE, {"MaximumRetryAttempts": 0}, INVALID, "Unsupported MaximumRetryAttempts parameter"),
        (STREAM + "/consumer/gone:1", {"StartingPosition": "LATEST"}, INVALID,
         f"Stream not found: {STREAM}/consumer/gone:1"),
        (QUEUE, {"ScalingConfig": {"MaximumConcurrency": 1}}, "ValidationException", "greater than or equal to 2"),
        (QUEUE, {"FilterCriteria": {"Filters": [{"Pattern": "{"}]}}, INVALID, "Invalid filter pattern definition."),
        (QUEUE, {"FilterCriteria": {"Filters": [{"Pattern": '{"a":["b"]}'}] * 6}}, INVALID, "exceeds the limit of 5"),
        (QUEUE + "er.fifo", {"BatchSize": 11}, INVALID, "Maximum batch size for this event source is 10."),
        (QUEUE + "er.fifo", {"MaximumBatchingWindowInSeconds": 1}, INVALID, "not supported for FIFO queues"),
        (QUEUE[:-4] + "none", {}, INVALID, "SQS Error Code: AWS.SimpleQueueService.NonExistentQueue."),
        (QUEUE, {"KMSKeyArn": "arn:aws:kms:us-east-1:111122223333:key/x"}, "NotImplementedException", "KMSKeyArn"),
        (QUEUE, {"ProvisionedPollerConfig": {"MinimumPollers": 1}}, INVALID, "at least 2"),
        (QUEUE, {"ProvisionedPollerConfig": {"MinimumPollers": 9, "MaximumPollers": 8}}, INVALID, "not be greater"),
        (QUEUE, {"ProvisionedPollerConfig": {"PollerGroupName": "g"}}, INVALID, "PollerGroupName"),
        (
            QUEUE,
            {"ProvisionedPollerConfig": {"MinimumPollers": 2}, "ScalingConfig": {"MaximumConcurrency": 2}},
            INVALID,
            "cannot be used together",
        ),
        (STREAM, {"StartingPosition": "LATEST", "ProvisionedPollerConfig": {"MinimumPollers": 2}}, INVALID, "Provisioned"),
        (QUEUE, {"LoggingConfig": {"SystemLogLevel": "INFO"}}, INVALID, "Unsupported LoggingConfig parameter"),
        (QUEUE, {"MetricsConfig": {"Metrics": ["EventCount", "ErrorCount"]}}, INVALID, "Unsupported metric ErrorCount"),
        (QUEUE, {"MetricsConfig": {"Metrics": ["Everything"]}}, "ValidationException", "metricsConfig"),
        (STREAM, {}, INVALID, "Value null at 'startingPosition'"),
        (STREAM + "x", {"StartingPosition": "LATEST"}, INVALID, f"Stream not found: {STREAM}x"),
        (STREAM + "/consumer/mute:1", {"StartingPosition": "LATEST"}, INVALID,
         "Received Exception while reading from provided stream. Not so fast"),
        (STREAM, {"StartingPosition": "LATEST", "StartingPositionTimestamp": 1}, INVALID, "Timestamp only valid with"),
        (STREAM, {"StartingPosition": "AT_TIMESTAMP"}, INVALID, "StartingPositionTimestamp is required"),
        (STREAM, {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": -1}, INVALID,
         "can not be converted to a Timestamp"),
        (STREAM, {"StartingPosition": "LATEST", "ScalingConfig": {"MaximumConcurrency": 2}}, INVALID, "ScalingConfig"),
        (STREAM, {"StartingPosition": "LATEST", "MaximumRecordAgeInSeconds": 59}, INVALID, "at least 60"),
        (STREAM, {"StartingPosition": "LATEST", "TumblingWindowInSeconds": 5, "ParallelizationFactor": 2}, INVALID,
         "Tumbling windows"),
        (STREAM, {"StartingPosition": "LATEST", "DestinationConfig": {"OnSuccess": {"Destination": QUEUE}}}, INVALID,
         "Unsupported DestinationConfig parameter"),
        (TABLE, {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": 1}, INVALID,
         "Unsupported starting position for arn type"),
        (TABLE.partition("/stream")[0], {"StartingPosition": "LATEST"}, INVALID, "Unrecognized event source"),
        ("arn:aws:kafka:us-east-1:111122223333:cluster/x/y", {}, "NotImplementedException", "Kafka"),
        ("arn:aws:mq:us-east-1:111122223333:broker:x", {}, "NotImplementedException", "MQ"),
        ("arn:aws:rds:us-east-1:111122223333:cluster:x", {}, "NotImplementedException", "DocumentDB"),
        ("arn:aws:s3:::bucket", {}, INVALID, "Unrecognized event source"),
        (None, {}, INVALID, "Unrecognized event source."),
    ],
)  # fmt: skip
def test_what_a_source_does_not_take_is_refused(
    unchanged: Lambda, source: str, given: Any, code: str, words: str
) -> None:
    arguments = {"EventSourceArn": source, **given} if source else given
    found, message = refusal(unchanged.client.create_event_source_mapping, **{"FunctionName": "one", **arguments})
    assert found == code and words in message
    assert unchanged.client.list_event_source_mappings()["EventSourceMappings"] == []


def test_the_role_has_to_be_allowed_to_read(lambdas: Lambda) -> None:
    lambdas.iam.delete_role_policy(RoleName="worker", PolicyName="p")
    code, message = refusal(lambda: make(lambdas))
    assert (code, message) == (
        INVALID,
        "The provided execution role does not have permissions to call ReceiveMessage on SQS",
    )


@pytest.mark.parametrize("source, service", [(STREAM, "kinesis"), (TABLE, "dynamodb")])
def test_a_stream_is_read_by_roles_that_are_older_than_list_shards(lambdas: Lambda, source: str, service: str) -> None:
    def let(*names: str) -> None:
        statement = {"Effect": "Allow", "Resource": "*", "Action": [f"{service}:{name}" for name in names]}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        lambdas.iam.put_role_policy(RoleName="worker", PolicyName="p", PolicyDocument=policy)

    let("GetRecords", "GetShardIterator", "ListStreams", "ListShards")
    code, message = refusal(lambda: make(lambdas, source, StartingPosition="LATEST"))
    assert code == INVALID and message == (
        f"Cannot access stream {source}. Please ensure the role can perform the GetRecords, GetShardIterator, "
        "DescribeStream, ListShards, and ListStreams Actions on your stream in IAM."
    )
    let("GetRecords", "GetShardIterator", "DescribeStream", "ListStreams")
    assert make(lambdas, source, StartingPosition="LATEST")["State"] == "Creating"


def test_a_queue_hides_messages_at_least_as_long_as_the_function_may_run(lambdas: Lambda) -> None:
    lambdas.client.update_function_configuration(FunctionName="one", Timeout=31)
    code, message = refusal(lambda: make(lambdas))
    assert code == INVALID
    assert message == "Queue visibility timeout: 30 seconds is less than Function timeout: 31 seconds"


def test_a_source_is_mapped_to_a_function_once(lambdas: Lambda) -> None:
    first = make(lambdas)["UUID"]
    code, message = refusal(lambda: make(lambdas))
    assert code == "ResourceConflictException" and message.endswith(f"existing mapping with UUID {first}")
    assert make(lambdas, FunctionName="one:$LATEST")["UUID"] != first


def test_a_mapping_made_disabled_has_nothing_to_wait_for(lambdas: Lambda) -> None:
    made = make(lambdas, Enabled=False)
    assert made["State"] == "Disabled"
    assert not mapping_states.settling(stored(lambdas, made["UUID"]))
    assert lambdas.client.update_event_source_mapping(UUID=made["UUID"], Enabled=True)["State"] == "Enabling"


def test_mappings_change_one_thing_at_a_time(lambdas: Lambda) -> None:
    uuid = make(lambdas)["UUID"]
    client = lambdas.client
    assert refusal(client.update_event_source_mapping, UUID=uuid, BatchSize=5)[0] == "ResourceInUseException"
    settle(lambdas, uuid)
    filters = {"Filters": [{"Pattern": '{"body": {"a": ["b"]}}'}]}
    changed = client.update_event_source_mapping(UUID=uuid, BatchSize=5, FilterCriteria=filters)
    assert (changed["State"], changed["BatchSize"], changed["FilterCriteria"]) == ("Updating", 5, filters)
    settle(lambdas, uuid)
    assert client.update_event_source_mapping(UUID=uuid, Enabled=False)["State"] == "Disabling"
    assert not mapping_states.polled(stored(lambdas, uuid))
    settle(lambdas, uuid)
    shown = client.get_event_source_mapping(UUID=uuid)
    assert (shown["State"], shown["FilterCriteria"]) == ("Disabled", filters)
    assert client.update_event_source_mapping(UUID=uuid, Enabled=True, FilterCriteria={})["State"] == "Enabling"
    settle(lambdas, uuid)
    assert "FilterCriteria" not in client.get_event_source_mapping(UUID=uuid)
    assert refusal(client.update_event_source_mapping, UUID=uuid, BatchSize=11)[0] == INVALID
    assert client.delete_event_source_mapping(UUID=uuid)["State"] == "Deleting"
    assert refusal(client.delete_event_source_mapping, UUID=uuid)[0] == "ResourceInUseException"
    assert client.get_event_source_mapping(UUID=uuid)["State"] == "Deleting"
    settle(lambdas, uuid)
    assert refusal(client.get_event_source_mapping, UUID=uuid)[0] == "ResourceNotFoundException"


def test_mappings_are_listed_by_function_and_by_source(lambdas: Lambda) -> None:
    lambdas.create("two")
    queue, stream = make(lambdas)["UUID"], make(lambdas, STREAM, StartingPosition="LATEST", FunctionName="two")["UUID"]

    def listed(**given: Any) -> set[str]:
        pages = lambdas.client.get_paginator("list_event_source_mappings").paginate(
            **given, PaginationConfig={"PageSize": 1}
        )
        return {m["UUID"] for page in pages for m in page["EventSourceMappings"]}

    assert listed() == {queue, stream}
    assert listed(FunctionName="two") == {stream} and listed(EventSourceArn=QUEUE) == {queue}


def test_mappings_have_tags(lambdas: Lambda) -> None:
    made = make(lambdas, Tags={"team": "blue"})
    whole = made["EventSourceMappingArn"]
    lambdas.client.tag_resource(Resource=whole, Tags={"a": "b"})
    assert lambdas.client.list_tags(Resource=whole)["Tags"] == {"team": "blue", "a": "b"}


def test_policies_decide_by_the_function_of_a_mapping(lambdas: Lambda) -> None:
    uuid = make(lambdas)["UUID"]
    settle(lambdas, uuid)
    lambdas.iam.create_user(UserName="ann")
    key = lambdas.iam.create_access_key(UserName="ann")["AccessKey"]
    of_one = {"ArnEquals": {"lambda:FunctionArn": arn("function:one")}}
    allow = {"Effect": "Allow", "Action": "lambda:*EventSourceMapping", "Resource": "*", "Condition": of_one}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    lambdas.iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=policy)
    ann = lambdas.running.client("lambda", key)
    lambdas.create("two")
    assert ann.get_event_source_mapping(UUID=uuid)["UUID"] == uuid
    other = refusal(ann.create_event_source_mapping, FunctionName="two", EventSourceArn=QUEUE)
    assert other[0] == "AccessDeniedException"
    assert refusal(ann.update_event_source_mapping, UUID=uuid, FunctionName="two")[0] == "AccessDeniedException"
    ann.delete_event_source_mapping(UUID=uuid)
