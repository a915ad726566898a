"""Requests that botocore signed, for each service, find their operation; and what is unknown is told as AWS tells it."""

from __future__ import annotations

import re
from typing import Any

import botocore.session
import pytest
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError

from havre.kernel.errors import ApiError
from havre.wire import codec
from havre.wire.http import HttpRequest
from havre.wire.models import ModelSource
from havre.wire.routing import Route, RouteError, Router
from havre.wire.uris import UriTable
from tests.wire import opposite

_CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "application-autoscaling": ("describe_scalable_targets", {"ServiceNamespace": "ecs"}),
    "cloudtrail": ("lookup_events", {"MaxResults": 3}),
    "cloudwatch": ("list_metrics", {"Namespace": "AWS/ECS"}),
    "dynamodb": ("get_item", {"TableName": "tab", "Key": {"id": {"S": "1"}}}),
    "ec2": ("describe_vpcs", {"Filters": [{"Name": "is-default", "Values": ["true"]}]}),
    "ecr": ("describe_repositories", {"repositoryNames": ["a/b"]}),
    "ecs": ("describe_clusters", {"clusters": ["c"], "include": ["TAGS"]}),
    "eks": ("describe_cluster", {"name": "a-cluster"}),
    "elbv2": ("describe_load_balancers", {"Names": ["x", "y"]}),
    "elb": ("describe_load_balancers", {"LoadBalancerNames": ["x"]}),
    "events": ("list_rules", {}),
    "iam": ("get_role", {"RoleName": "r"}),
    "kinesis": ("list_shards", {"StreamName": "s"}),
    "lambda": ("invoke", {"FunctionName": "arn:aws:lambda:us-east-1:000000000000:function:f", "Payload": b"{}"}),
    "logs": ("describe_log_groups", {}),
    "s3": ("put_object", {"Bucket": "buck", "Key": "a/b c/d", "Body": b"data"}),
    "scheduler": ("get_schedule", {"Name": "n"}),
    "secretsmanager": ("get_secret_value", {"SecretId": "s"}),
    "sns": ("publish", {"TopicArn": "arn:aws:sns:us-east-1:000000000000:t", "Message": "m"}),
    "sqs": ("send_message", {"QueueUrl": "http://127.0.0.1/0/q", "MessageBody": "b"}),
    "ssm": ("get_parameters", {"Names": ["/a"]}),
    "sts": ("get_caller_identity", {}),
}


class _Seen(Exception):
    def __init__(self, request: AWSRequest) -> None:
        self.request = request


@pytest.fixture(scope="module")
def models() -> ModelSource:
    return ModelSource(None)


def _signed(name: str, method: str, params: dict[str, Any]) -> HttpRequest:
    session = botocore.session.Session()
    client = session.create_client(
        name,
        "us-east-1",
        endpoint_url="http://127.0.0.1:4566",
        aws_access_key_id="AKIA",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )

    def stop(request: AWSRequest, **_: Any) -> None:
        raise _Seen(request)

    client.meta.events.register("before-send", stop)
    with pytest.raises(_Seen) as seen:
        getattr(client, method)(**params)
    return opposite.as_handed_in(seen.value.request)


def _scope(request: HttpRequest) -> str:
    return request.headers["authorization"].partition("Credential=")[2].split("/")[3]


@pytest.mark.parametrize("name", sorted(_CALLS))
def test_signed_requests_find_their_operation(name: str, models: ModelSource) -> None:
    method, params = _CALLS[name]
    request = _signed(name, method, params)
    router = Router(models, sorted(_CALLS))
    if name == "s3":
        request.body = b"data"
    route = router.route(request, _scope(request))
    assert (route.service, (route.operation or "").lower()) == (name, method.replace("_", ""))
    parsed = codec.parse(models.service(name), route, request)
    assert {key: parsed[key] for key in params} == params


@pytest.mark.parametrize("name", sorted(_CALLS))
def test_unsigned_requests_find_it_too(name: str, models: ModelSource) -> None:
    method, params = _CALLS[name]
    request = _signed(name, method, params)
    route = Router(models, sorted(_CALLS)).route(request, None)
    assert (route.service, (route.operation or "").lower()) == (name, method.replace("_", ""))


def test_host_tells_the_service_where_nothing_else_does(models: ModelSource) -> None:
    router = Router(models, ["s3", "lambda", "eks"])
    for host, path, expected in (
        ("eks.us-east-1.amazonaws.com", "/clusters", ("eks", "ListClusters")),
        ("s3.localhost:4566", "/clusters", ("s3", "ListObjects")),
        ("buck.s3.us-east-1.amazonaws.com", "/key/of", ("s3", "GetObject")),
        ("127.0.0.1", "/2015-03-31/functions", ("lambda", "ListFunctions")),
    ):
        route = router.route(HttpRequest("GET", path, "", {"host": host}), None)
        assert (route.service, route.operation) == expected
    route = router.route(HttpRequest("GET", "/key/of", "", {"host": "buck.s3.us-east-1.amazonaws.com"}), None)
    assert route.path_params == {"Bucket": "buck", "Key": "key/of"}


_ECS = "AmazonEC2ContainerServiceV20141113"
_CBOR = {"smithy-protocol": "rpc-v2-cbor"}
_UNKNOWN = [
    # scope, method, path, query, headers, code, status, protocol of the answer
    ("ecs", "POST", "/", "", {"x-amz-target": f"{_ECS}.Nope"}, "UnknownOperationException", 400, "json"),
    ("ecs", "POST", "/", "", {"x-amz-target": "Nothing.Nope"}, "UnknownOperationException", 400, "json"),
    ("ecs", "GET", "/", "", {}, "UnknownOperationException", 400, "json"),
    ("iam", "POST", "/", "Action=Nope&Version=2010-05-08", {}, "InvalidAction", 400, "query"),
    ("ec2", "GET", "/", "Action=Nope", {}, "InvalidAction", 400, "ec2"),
    ("iam", "GET", "/", "", {}, "MissingAction", 400, "query"),
    ("lambda", "GET", "/nowhere", "", {}, "UnknownOperationException", 404, "rest-json"),
    ("monitoring", "POST", "/service/X/operation/Y", "", _CBOR, "UnknownOperationException", 404, "smithy-rpc-v2-cbor"),
    ("nosuch", "POST", "/", "", {}, "UnknownOperationException", 404, "json"),
]


@pytest.mark.parametrize("case", _UNKNOWN)
def test_what_is_unknown(models: ModelSource, case: tuple[Any, ...]) -> None:
    scope, method, path, query, headers, code, status, read_as = case
    router = Router(models, ["ecs", "iam", "ec2", "lambda", "cloudwatch"])
    with pytest.raises(RouteError) as refused:
        router.route(HttpRequest(method, path, query, headers), scope)
    assert (refused.value.code, refused.value.status) == (code, status)
    route = refused.value.route
    model = models.service(route.service) if route else None
    response = codec.render_error(model, route, refused.value, "rid", read_as)
    read = opposite.client_reads(None, read_as, response)
    assert read["Error"]["Code"] == code
    assert read["ResponseMetadata"]["RequestId"] == "rid"


def test_a_service_that_is_not_there_is_named_though_it_signs_as_one_that_is(models: ModelSource) -> None:
    router = Router(models, ["apigatewayv2", "s3"])
    for method, path, operation in (
        ("GET", "/restapis", "GetRestApis"),
        ("POST", "/restapis/abc/deployments", "CreateDeployment"),
    ):
        with pytest.raises(RouteError, match=f"does not implement apigateway {operation};.* apigatewayv2$") as refused:
            router.route(HttpRequest(method, path, "", {}), "apigateway")
        assert (refused.value.code, refused.value.status) == ("NotImplementedException", 501)
    classic = HttpRequest("POST", "/", "Action=DescribeLoadBalancers&Version=2012-06-01", {})
    with pytest.raises(RouteError, match=r"does not implement elb DescribeLoadBalancers;.* elbv2$"):
        Router(models, ["elbv2"]).route(classic, "elasticloadbalancing")
    assert router.route(HttpRequest("GET", "/v2/apis", "", {}), "apigateway").operation == "GetApis"
    with pytest.raises(RouteError) as refused:
        router.route(HttpRequest("GET", "/nowhere", "", {}), "apigateway")
    assert refused.value.code == "UnknownOperationException"


@pytest.mark.parametrize(
    ("scope", "version", "words"),
    [
        ("iam", "2010-05-08", "Could not find operation Nope for version 2010-05-08"),
        ("iam", "", "Could not find operation Nope for version NO_VERSION_SPECIFIED"),
        ("sqs", "2012-11-05", "The action Nope is not valid for this endpoint."),
        ("ec2", "2016-11-15", "The action Nope is not valid for this web service."),
    ],
)
def test_words_about_unknown_actions(models: ModelSource, scope: str, version: str, words: str) -> None:
    router = Router(models, ["iam", "ec2", "sqs"])
    query = "Action=Nope" + (f"&Version={version}" if version else "")
    with pytest.raises(RouteError) as refused:
        router.route(HttpRequest("GET", "/", query, {}), scope)
    assert refused.value.message == words


@pytest.mark.parametrize(
    ("host", "query", "service", "message"),
    [
        (
            "localhost:4566",
            "Action=Nope&Version=2010-05-08",
            "iam",
            "Could not find operation Nope for version 2010-05-08",
        ),
        (
            "localhost:4566",
            "Action=Nope&Version=2016-11-15",
            "ec2",
            "The action Nope is not valid for this web service.",
        ),
        ("sqs.us-east-1.amazonaws.com", "Action=Nope", "sqs", "The action Nope is not valid for this endpoint."),
        ("localhost:4566", "Action=Nope", "", "Could not find operation Nope for version NO_VERSION_SPECIFIED"),
        (
            "localhost:4566",
            "Action=Nope&Version=1999-01-01",
            "",
            "Could not find operation Nope for version 1999-01-01",
        ),
    ],
)
def test_unknown_actions_that_nobody_signed(
    models: ModelSource, host: str, query: str, service: str, message: str
) -> None:
    """The host tells whom they are for, or the version; else they are answered as no service in particular does."""
    router = Router(models, ["ec2", "iam", "sqs"])
    with pytest.raises(RouteError) as refused:
        router.route(HttpRequest("GET", "/", query, {"host": host}), None)
    assert (refused.value.code, refused.value.message) == ("InvalidAction", message)
    assert (refused.value.route.service if refused.value.route else "") == service


def test_actions_are_those_of_their_version(models: ModelSource) -> None:
    """Classic load balancers sign as ELBv2 does, and have operations of the same names."""
    router = Router(models, ["ec2", "elbv2", "sqs", "sns"])
    for scope, action, versions, other in (
        ("elasticloadbalancing", "DescribeLoadBalancers", ["2015-12-01", ""], "2011-11-15"),
        ("sns", "ListTopics", ["2010-03-31", ""], "2010-03-30"),
        ("ec2", "DescribeVpcs", ["2016-11-15", "2014-10-01", ""], ""),
        ("sqs", "ListQueues", ["2012-11-05", "2009-02-01", ""], ""),
    ):
        for version in versions:
            request = HttpRequest("GET", "/", f"Action={action}&Version={version}", {})
            assert router.route(request, scope).operation == action
        if other:
            with pytest.raises(RouteError, match=f"Could not find operation {action} for version {other}"):
                router.route(HttpRequest("GET", "/", f"Action={action}&Version={other}", {}), scope)


def test_the_url_of_a_queue_alone_asks_for_nothing(models: ModelSource) -> None:
    router = Router(models, ["s3", "sqs"])
    with pytest.raises(RouteError) as refused:
        router.route(HttpRequest("GET", "/000000000000/orders.fifo", "", {}), None)
    route = refused.value.route
    assert route is not None and route.service == "sqs"
    answer = codec.render_error(models.service("sqs"), route, refused.value, "rid")
    assert (answer.status, answer.body) == (404, b"<UnknownOperationException/>\n")
    for path, scope in (("/000000000000/orders", "s3"), ("/bucket/orders", None), ("/000000000000/a/b", None)):
        assert router.route(HttpRequest("GET", path, "", {}), scope).service == "s3"


def test_uploads_by_forms_are_refused_by_name(models: ModelSource) -> None:
    form = {"content-type": "multipart/form-data; boundary=x"}
    with pytest.raises(RouteError, match="s3 POST Object") as refused:
        Router(models, ["ecs", "s3"]).route(HttpRequest("POST", "/bucket", "", form), None)
    assert (refused.value.code, refused.value.status) == ("NotImplemented", 501)
    assert refused.value.route is not None and refused.value.route.protocol == "rest-xml"


def test_errors_of_queues_in_xml_have_a_detail(models: ModelSource) -> None:
    for service, detailed in (("sqs", True), ("sns", False), ("iam", False)):
        route = Route(service, None, "query")
        answer = codec.render_error(models.service(service), route, ApiError("InvalidParameterValue", "no"), "rid")
        assert isinstance(answer.body, bytes)
        assert (b"<Message>no</Message><Detail/></Error>" in answer.body) is detailed


def test_errors_reach_clients_as_their_modelled_exceptions(models: ModelSource) -> None:
    """A whole client, with its transport cut out: the exception class is what callers catch."""
    for name, method, params, code, exception in (
        ("ecs", "describe_services", {"services": ["s"]}, "ClusterNotFoundException", "ClusterNotFoundException"),
        ("iam", "get_role", {"RoleName": "r"}, "NoSuchEntity", "NoSuchEntityException"),
        ("elbv2", "describe_rules", {}, "LoadBalancerNotFound", "LoadBalancerNotFoundException"),
        ("lambda", "get_function", {"FunctionName": "f"}, "ResourceNotFoundException", "ResourceNotFoundException"),
        ("sqs", "get_queue_url", {"QueueName": "q"}, "QueueDoesNotExist", "QueueDoesNotExist"),
        ("s3", "get_object", {"Bucket": "buck", "Key": "k"}, "NoSuchKey", "NoSuchKey"),
    ):
        raised = _raised(models, name, method, params, ApiError(code, "in words"))
        assert type(raised).__name__ == exception, name
        assert raised.response["Error"]["Message"] == "in words"


def _raised(models: ModelSource, name: str, method: str, params: dict[str, Any], error: ApiError) -> ClientError:
    from botocore.awsrequest import AWSResponse

    client = botocore.session.Session().create_client(
        name,
        "us-east-1",
        endpoint_url="http://127.0.0.1:4566",
        aws_access_key_id="AKIA",
        aws_secret_access_key="s",
        config=Config(retries={"total_max_attempts": 1}),
    )

    def answer(request: AWSRequest, **_: Any) -> AWSResponse:
        handed = opposite.as_handed_in(request)
        route = Router(models, [name]).route(handed, _scope(handed))
        response = codec.render_error(models.service(name), route, error, "rid")
        answered = AWSResponse(request.url, response.status, dict(response.headers), None)
        answered._content = response.body
        return answered

    client.meta.events.register("before-send", answer)
    with pytest.raises(ClientError) as raised:
        getattr(client, method)(**params)
    return raised.value


@pytest.mark.parametrize("service", ["s3", "lambda", "apigatewayv2", "scheduler"])
def test_paths_that_are_remembered_mean_what_they_meant(models: ModelSource, service: str) -> None:
    """Every URI of the model, with and without its query, twice: a table that has seen them all against a fresh one."""
    model = models.service(service)
    warm = UriTable(model)
    asked = []
    for method, uri, _ in model.routes:
        path, _, literal = re.sub(r"\{[^}]*\}", "x-1", uri).partition("?")
        queries: list[dict[str, str]] = [{}, dict(pair.partition("=")[::2] for pair in literal.split("&") if pair)]
        asked += [(method, path, query, headers) for query in queries for headers in ({}, {"x-amz-copy-source": "b/k"})]
    for each in (*asked, *reversed(asked)):
        assert warm.match(*each) == UriTable(model).match(*each)
