"""The protocol of old, as old clients speak it: forms in, XML out, posted to the queue's own URL."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from tests.running_gateway import ROOT
from tests.unit.services.sqs.sqs_harness import Queues

_NS = "{http://queue.amazonaws.com/doc/2012-11-05/}"


class Old:
    """A client that signs and posts forms."""

    def __init__(self, queues: Queues) -> None:
        self.url = queues.running.url

    def __call__(self, action: str, path: str = "/", **parameters: str) -> tuple[int, Any]:
        form = {name.replace("_", "."): value for name, value in parameters.items()}
        body = urlencode({"Action": action, "Version": "2012-11-05", **form}, quote_via=quote)
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        request = AWSRequest("POST", f"{self.url}{path}", headers, body)
        SigV4Auth(Credentials(ROOT.access_key, ROOT.secret), "sqs", "us-east-1").add_auth(request)
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc)
        connection.request("POST", path, body, dict(request.headers.items()))
        response = connection.getresponse()
        return response.status, ElementTree.fromstring(response.read())


@pytest.fixture
def old(queues: Queues) -> Old:
    return Old(queues)


def _texts(root: Any, path: str) -> list[str]:
    return [each.text or "" for each in root.iterfind("/".join(f"{_NS}{part}" for part in path.split("/")))]


def test_a_message_s_life_in_the_old_protocol(queues: Queues, old: Old) -> None:
    status, root = old(
        "CreateQueue",
        QueueName="q",
        Attribute_1_Name="VisibilityTimeout",
        Attribute_1_Value="7",
        Tag_1_Key="k",
        Tag_1_Value="v",
    )
    assert status == 200, ElementTree.tostring(root)
    (url,) = _texts(root, "CreateQueueResult/QueueUrl")
    path = urlsplit(url).path
    assert queues.client.list_queue_tags(QueueUrl=url)["Tags"] == {"k": "v"}
    status, root = old(
        "SendMessage",
        path,
        MessageBody="a&b",
        MessageAttribute_1_Name="x",
        MessageAttribute_1_Value_DataType="String",
        MessageAttribute_1_Value_StringValue="v",
    )
    assert status == 200, ElementTree.tostring(root)
    (digest,) = _texts(root, "SendMessageResult/MD5OfMessageAttributes")
    status, root = old("ReceiveMessage", path, AttributeName_1="All", MessageAttributeName_1="All")
    message = "ReceiveMessageResult/Message"
    assert _texts(root, f"{message}/Body") == ["a&b"]
    assert _texts(root, f"{message}/MD5OfMessageAttributes") == [digest]
    assert "ApproximateReceiveCount" in _texts(root, f"{message}/Attribute/Name")
    assert _texts(root, f"{message}/MessageAttribute/Value/StringValue") == ["v"]
    (handle,) = _texts(root, f"{message}/ReceiptHandle")
    status, root = old("GetQueueAttributes", path, AttributeName_1="VisibilityTimeout")
    assert _texts(root, "GetQueueAttributesResult/Attribute/Value") == ["7"]
    status, root = old("DeleteMessage", path, ReceiptHandle=handle)
    assert (status, root.tag) == (200, f"{_NS}DeleteMessageResponse")
    assert queues.counts(url) == (0, 0, 0)


def test_batches_in_the_old_protocol(queues: Queues, old: Old) -> None:
    path = urlsplit(queues.make()).path
    status, root = old(
        "SendMessageBatch",
        path,
        SendMessageBatchRequestEntry_1_Id="a",
        SendMessageBatchRequestEntry_1_MessageBody="1",
        SendMessageBatchRequestEntry_2_Id="b",
        SendMessageBatchRequestEntry_2_MessageBody="2",
        SendMessageBatchRequestEntry_2_DelaySeconds="901",
    )
    assert status == 200, ElementTree.tostring(root)
    assert _texts(root, "SendMessageBatchResult/SendMessageBatchResultEntry/Id") == ["a"]
    assert _texts(root, "SendMessageBatchResult/BatchResultErrorEntry/Id") == ["b"]
    status, root = old("ListQueues")
    assert _texts(root, "ListQueuesResult/QueueUrl") == [queues.client.get_queue_url(QueueName="q")["QueueUrl"]]


def test_errors_in_the_old_protocol(queues: Queues, old: Old) -> None:
    status, root = old("SendMessage", "/111122223333/none", MessageBody="b")
    assert (status, _texts(root, "Error/Code")) == (400, ["AWS.SimpleQueueService.NonExistentQueue"])
    assert _texts(root, "Error/Type") == ["Sender"]
    status, root = old("SendMessage", urlsplit(queues.make()).path)
    assert (status, _texts(root, "Error/Code")) == (400, ["MissingParameter"])


def test_the_json_protocol_brings_the_code_of_old_in_a_header(queues: Queues) -> None:
    url = queues.make().replace("/q", "/none")
    with pytest.raises(queues.client.exceptions.QueueDoesNotExist) as caught:
        queues.client.send_message(QueueUrl=url, MessageBody="b")
    assert caught.value.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert caught.value.response["Error"]["QueryErrorCode"] == "QueueDoesNotExist"
    headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-query-error"] == "AWS.SimpleQueueService.NonExistentQueue;Sender"


def test_what_is_said_of_a_queue_that_is_not_there(old: Old) -> None:
    status, root = old("GetQueueUrl", QueueName="none")
    assert (status, _texts(root, "Error/Code")) == (400, ["AWS.SimpleQueueService.NonExistentQueue"])
    assert _texts(root, "Error/Message") == ["The specified queue does not exist for this wsdl version."]
