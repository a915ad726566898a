"""S3, DynamoDB and the others as users use them, through deaths of everything that can die."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from tests.acceptance.conftest import AWS, Instance, Starter, alive, eventually, kill, stop


def beside(instance: Instance) -> list[int]:
    """The process of the borrowed services, by its state directory."""
    wanted = str(instance.state / "borrowed")
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"havre.apps.borrowed" in words and wanted.encode() in words:
            found.append(int(path.parent.name))
    return found


def curl(url: str) -> bytes:
    return subprocess.run(["curl", "-sS", url], capture_output=True, check=True, timeout=60).stdout


def queue_for(instance: Instance, bucket: str) -> Any:
    """A queue that the bucket may write to; gives the keys of the objects that were told of so far."""
    sqs = instance.client("sqs")
    url = sqs.create_queue(QueueName="told")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    allow["Condition"] = {"ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"}}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    configuration = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
    instance.client("s3").put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)
    told: set[str] = set()

    def keys() -> set[str]:
        reader = instance.client("sqs")
        for message in reader.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", ()):
            told.update(r["s3"]["object"]["key"] for r in json.loads(message["Body"]).get("Records", ()))
            reader.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return told

    return keys


def test_it_starts_when_it_is_used_and_ends_with_havre(havre: Starter) -> None:
    instance = havre()
    instance.client("sts").get_caller_identity()
    assert beside(instance) == []
    instance.client("ssm").put_parameter(Name="p", Value="v", Type="String")
    (pid,) = beside(instance)
    assert Path(f"/proc/{pid}/comm").exists() and (instance.state / "borrowed").stat().st_mode & 0o77 == 0
    stop(instance)
    eventually(lambda: not alive(pid))
    again = havre(port=instance.port)
    assert again.client("ssm").get_parameter(Name="p")["Parameter"]["Value"] == "v"


def test_kill_everything(havre: Starter) -> None:
    instance = havre()
    s3, dynamodb = instance.client("s3"), instance.client("dynamodb")
    s3.create_bucket(Bucket="kept")
    s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    keys = queue_for(instance, "kept")
    dynamodb.create_table(
        TableName="kept",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    versions = {}
    for number in range(20):
        versions[str(number)] = s3.put_object(Bucket="kept", Key=str(number), Body=b"%d" % number * 5_000)["VersionId"]
        dynamodb.put_item(TableName="kept", Item={"id": {"S": str(number)}})
    (pid,) = beside(instance)
    run = instance.run_file
    for victim in (run["supervisor"][0], run["pids"]["server"]):
        kill(victim)
    eventually(lambda: not alive(pid))  # it hangs on the server
    again = havre(port=instance.port)
    s3, dynamodb = again.client("s3"), again.client("dynamodb")
    for key, version in versions.items():
        got = s3.get_object(Bucket="kept", Key=key)
        assert (got["VersionId"], got["Body"].read()) == (version, key.encode() * 5_000)
    assert dynamodb.scan(TableName="kept", Select="COUNT")["Count"] == 20
    eventually(lambda: keys() == set(versions))
    assert len(beside(again)) == 1


def test_the_command_line_and_presigned_urls(havre: Starter, tmp_path: Path) -> None:
    instance = havre()
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    (folder / "large").write_bytes(bytes(range(256)) * 80_000)  # 20 MB: in parts
    (folder / "below" / "small ü.txt").write_text("small")

    def aws(*words: str) -> str:
        command = [AWS, "s3", *words]
        done = subprocess.run(command, env=instance.env, capture_output=True, check=True, timeout=100, text=True)
        return done.stdout

    aws("mb", "s3://cli-bucket")
    aws("sync", str(folder), "s3://cli-bucket")
    aws("sync", "s3://cli-bucket", str(tmp_path / "back"))
    assert (tmp_path / "back" / "large").read_bytes() == (folder / "large").read_bytes()
    assert (tmp_path / "back" / "below" / "small ü.txt").read_text() == "small"
    url = aws("presign", "s3://cli-bucket/below/small ü.txt").strip()
    with urllib.request.urlopen(url, timeout=60) as answer:
        assert answer.read() == b"small"
    virtual = url.replace("127.0.0.1", "cli-bucket.s3.localhost").replace("/cli-bucket/", "/")
    assert curl(virtual) == b"small"  # version 2 signs the bucket, wherever it stands
    assert b"SignatureDoesNotMatch" in curl(url.replace("small", "large"))
    aws("rb", "--force", "s3://cli-bucket")
    assert "cli-bucket" not in aws("ls")
