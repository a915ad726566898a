"""Topics whose messages are under a key of KMS while they wait."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.running_gateway import ACCOUNT
from tests.unit.services.sns.sns_harness import Sns, queue_arn, refusal

from havre.services import kms
from havre.services.sns.resources import DELIVERY

TEXT = "the-news-that-nobody-reads"


@pytest.fixture
def sns() -> Iterator[Sns]:
    found = Sns((kms.service(kms.Vault(b"\x07" * 32)),), {"kms": kms.resource_policy})
    yield found
    found.close()


@pytest.fixture
def key(sns: Sns) -> str:
    made: str = sns.running.client("kms").create_key()["KeyMetadata"]["Arn"]
    return made


def waiting(sns: Sns) -> list[bytes]:
    return [r.spec.parcel for r in sns.running.store.list(DELIVERY)]


def user(sns: Sns, name: str, *actions: str) -> Any:
    iam = sns.running.client("iam")
    iam.create_user(UserName=name)
    statement = {"Effect": "Allow", "Action": ["sns:*", *actions], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    return sns.running.client("sns", iam.create_access_key(UserName=name)["AccessKey"])


def test_what_waits_is_encrypted_and_arrives_as_it_was(sns: Sns, key: str) -> None:
    topic, plain = sns.topic(KmsMasterKeyId=key), sns.topic("plain")
    for each in (topic, plain):
        sns.subscribe(each, "sqs", queue_arn("q"), RawMessageDelivery="true")
    sns.stop()
    sns.client.publish(TopicArn=topic, Message=TEXT)
    (kept,) = waiting(sns)
    assert TEXT.encode() not in kept
    sns.client.publish(TopicArn=plain, Message=TEXT)
    assert any(TEXT.encode() in each for each in waiting(sns))
    sns.start()
    sns.quiet()
    assert [each["MessageBody"] for each in sns.sent("q")] == [TEXT, TEXT]


def test_batches(sns: Sns, key: str) -> None:
    topic = sns.topic(KmsMasterKeyId=key)
    sns.subscribe(topic, "sqs", queue_arn("q"), RawMessageDelivery="true")
    entries = [{"Id": str(n), "Message": f"{n}"} for n in range(3)]
    sns.client.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
    sns.quiet()
    assert sorted(each["MessageBody"] for each in sns.sent("q")) == ["0", "1", "2"]


def test_who_publishes_needs_the_key(sns: Sns, key: str) -> None:
    topic = sns.topic(KmsMasterKeyId=key)
    assert refusal(user(sns, "nobody").publish, TopicArn=topic, Message=TEXT)[0] == "KMSAccessDenied"
    user(sns, "able", "kms:GenerateDataKey").publish(TopicArn=topic, Message=TEXT)
    common = sns.topic("common", KmsMasterKeyId="alias/aws/sns")
    user(sns, "anybody").publish(TopicArn=common, Message=TEXT)


def test_keys_that_do_nothing(sns: Sns, key: str) -> None:
    topic = sns.topic(KmsMasterKeyId=key)
    own = sns.running.client("kms")
    own.disable_key(KeyId=key)
    assert refusal(sns.client.publish, TopicArn=topic, Message=TEXT)[0] == "KMSDisabled"
    own.schedule_key_deletion(KeyId=key)
    assert refusal(sns.client.publish, TopicArn=topic, Message=TEXT)[0] == "KMSInvalidState"
    lost = sns.topic("lost", KmsMasterKeyId=f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/nothing")
    assert refusal(sns.client.publish, TopicArn=lost, Message=TEXT)[0] == "KMSNotFound"
    assert waiting(sns) == []
