"""Queues whose messages are under a key of KMS: encrypted where they lie, told to who has the key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.running_gateway import ACCOUNT
from tests.unit.services.sqs.sqs_harness import Queues

from havre.services import kms
from havre.services.sqs.live import SHELVES

BODY = "the-body-that-nobody-reads"


@pytest.fixture
def queues() -> Iterator[Queues]:
    found = Queues("strict", (kms.service(kms.Vault(b"\x07" * 32)),), {"kms": kms.resource_policy})
    yield found
    found.close()


@pytest.fixture
def key(queues: Queues) -> str:
    made: str = queues.running.client("kms").create_key()["KeyMetadata"]["Arn"]
    return made


def stored(queues: Queues) -> bytes:
    """All that the disk has of messages."""
    found = b""
    for shelf in queues.records.shelves(SHELVES):
        rows = queues.records.heads(shelf)
        found += b"".join(head for _, head in rows)
        found += b"".join(body or b"" for body in queues.records.bodies(shelf, [number for number, _ in rows]))
    return found


def user(queues: Queues, name: str, *actions: str) -> Any:
    iam = queues.running.client("iam")
    iam.create_user(UserName=name)
    statement = {"Effect": "Allow", "Action": ["sqs:*", *actions], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    return queues.running.client("sqs", iam.create_access_key(UserName=name)["AccessKey"])


def refusal(call: Any, **arguments: Any) -> str:
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def test_bodies_lie_encrypted_and_come_back(queues: Queues, key: str) -> None:
    url = queues.make(KmsMasterKeyId=key)
    sent = queues.send(url, BODY, MessageAttributes={"a": {"DataType": "String", "StringValue": "b"}})
    assert BODY.encode() not in stored(queues)
    (got,) = queues.receive(url, MessageAttributeNames=["All"])
    assert (got["Body"], got["MD5OfBody"]) == (BODY, sent["MD5OfMessageBody"])
    assert got["MessageAttributes"]["a"]["StringValue"] == "b"
    plain = queues.make("plain")
    queues.send(plain, BODY)
    assert BODY.encode() in stored(queues)  # what it is without a key


def test_batches_and_fifo_queues(queues: Queues, key: str) -> None:
    url = queues.make("q.fifo", KmsMasterKeyId=key, ContentBasedDeduplication="true")
    entries = [{"Id": str(n), "MessageBody": f"{BODY}-{n}", "MessageGroupId": "g"} for n in range(3)]
    queues.client.send_message_batch(QueueUrl=url, Entries=entries)
    queues.client.send_message_batch(QueueUrl=url, Entries=entries)
    assert BODY.encode() not in stored(queues)
    assert queues.bodies(url) == [f"{BODY}-{n}" for n in range(3)]


def test_messages_from_before_the_key_and_after_it(queues: Queues, key: str) -> None:
    url = queues.make()
    queues.send(url, "before")
    queues.client.set_queue_attributes(QueueUrl=url, Attributes={"KmsMasterKeyId": key})
    queues.send(url, "with")
    queues.client.set_queue_attributes(QueueUrl=url, Attributes={"KmsMasterKeyId": ""})
    queues.send(url, "after")
    assert sorted(queues.bodies(url)) == ["after", "before", "with"]


def test_who_sends_and_who_receives_needs_the_key(queues: Queues, key: str) -> None:
    url = queues.make(KmsMasterKeyId=key)
    sender = user(queues, "sender", "kms:GenerateDataKey")
    receiver = user(queues, "receiver", "kms:Decrypt")
    nobody = user(queues, "nobody")
    assert refusal(nobody.send_message, QueueUrl=url, MessageBody=BODY) == "KMS.AccessDeniedException"
    sender.send_message(QueueUrl=url, MessageBody=BODY)
    for client in (nobody, sender):
        assert refusal(client.receive_message, QueueUrl=url) == "KMS.AccessDeniedException"
    # nobody has taken anything
    (got,) = receiver.receive_message(QueueUrl=url, MessageSystemAttributeNames=["All"])["Messages"]
    assert (got["Body"], got["Attributes"]["ApproximateReceiveCount"]) == (BODY, "1")


def test_what_cannot_be_opened_is_there_for_others(queues: Queues, key: str) -> None:
    """Of a message that was sealed by the key that the queue had before."""
    url = queues.make(KmsMasterKeyId=key)
    queues.send(url, BODY)
    other = queues.running.client("kms").create_key()["KeyMetadata"]["Arn"]
    queues.client.set_queue_attributes(QueueUrl=url, Attributes={"KmsMasterKeyId": other})
    iam = queues.running.client("iam")
    client = user(queues, "half")
    only = {"Effect": "Allow", "Action": ["sqs:*", "kms:Decrypt"], "Resource": [other, "arn:aws:sqs:*"]}
    document = json.dumps({"Version": "2012-10-17", "Statement": [only]})
    iam.put_user_policy(UserName="half", PolicyName="p", PolicyDocument=document)
    assert refusal(client.receive_message, QueueUrl=url) == "KMS.AccessDeniedException"
    assert queues.counts(url)[:2] == (1, 0)
    assert queues.bodies(url) == [BODY]


def test_a_key_that_does_nothing(queues: Queues, key: str) -> None:
    url = queues.make(KmsMasterKeyId=key)
    own = queues.running.client("kms")
    own.disable_key(KeyId=key)
    assert refusal(queues.client.send_message, QueueUrl=url, MessageBody=BODY) == "KMS.DisabledException"
    assert refusal(queues.client.receive_message, QueueUrl=url) == "KMS.DisabledException"
    own.schedule_key_deletion(KeyId=key)
    assert refusal(queues.client.send_message, QueueUrl=url, MessageBody=BODY) == "KMS.KMSInvalidStateException"
    lost = queues.make("lost", KmsMasterKeyId="alias/nothing")
    assert refusal(queues.client.send_message, QueueUrl=lost, MessageBody=BODY) == "KMS.NotFoundException"


def test_a_data_key_is_used_again_by_the_same_sender(queues: Queues, key: str) -> None:
    url = queues.make(KmsMasterKeyId=key)
    for _ in range(3):
        queues.send(url, BODY)
    assert len(queues.running.events("GenerateDataKey")) == 1
    user(queues, "another", "kms:GenerateDataKey").send_message(QueueUrl=url, MessageBody=BODY)
    assert len(queues.running.events("GenerateDataKey")) == 2


def test_the_key_of_aws_for_everybody_in_the_account(queues: Queues) -> None:
    url = queues.make(KmsMasterKeyId="alias/aws/sqs")
    client = user(queues, "anybody")
    client.send_message(QueueUrl=url, MessageBody=BODY)
    assert BODY.encode() not in stored(queues)
    assert client.receive_message(QueueUrl=url)["Messages"][0]["Body"] == BODY


def test_dead_letters_stay_sealed_by_the_key_they_had(queues: Queues, key: str) -> None:
    dead = queues.make("dead")
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:dead"
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    url = queues.make(KmsMasterKeyId=key, RedrivePolicy=redrive, VisibilityTimeout="0")
    queues.send(url, BODY)
    assert queues.bodies(url) == [BODY]
    assert queues.bodies(url) == []
    assert BODY.encode() not in stored(queues)
    assert queues.bodies(dead) == [BODY]


def test_a_service_needs_the_keys_leave(queues: Queues, key: str) -> None:
    """A bucket or topic writes to the queue only if the key's policy names its service."""
    url = queues.make(KmsMasterKeyId=key)
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    queues.client.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    topic = f"arn:aws:sns:us-east-1:{ACCOUNT}:t"
    sns = queues.running.gateway.as_service("sns.amazonaws.com", ACCOUNT, "us-east-1", topic)
    with pytest.raises(Exception, match="KmsAccessDenied"):
        queues.running.wait(sns("sqs", "SendMessage", {"QueueUrl": url, "MessageBody": BODY}))
    own = queues.running.client("kms")
    statements = json.loads(own.get_key_policy(KeyId=key)["Policy"])["Statement"]
    actions = ["kms:GenerateDataKey*", "kms:Decrypt"]
    let = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": actions, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [*statements, let]})
    own.put_key_policy(KeyId=key, Policy=document)
    queues.running.wait(sns("sqs", "SendMessage", {"QueueUrl": url, "MessageBody": BODY}))
    assert queues.bodies(url) == [BODY]
