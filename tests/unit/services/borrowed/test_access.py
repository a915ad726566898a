"""Who may do what with borrowed services, and what CloudTrail tells of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from botocore import UNSIGNED
from botocore.exceptions import ClientError
from tests.lending import Lent
from tests.running_gateway import ACCOUNT, OTHER_ROOT, ROOT, code


@pytest.fixture(scope="module")
def lent(tmp_path_factory: Any) -> Iterator[Lent]:
    found = Lent(tmp_path_factory.mktemp("borrowed"))
    yield found
    found.close()


def user(lent: Lent, name: str, *statements: dict[str, Any]) -> Any:
    iam = lent.client("iam")
    iam.create_user(UserName=name)
    document = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **s} for s in statements]})
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    return iam.create_access_key(UserName=name)["AccessKey"]


def test_a_reader_of_a_bucket_reads_only(lent: Lent) -> None:
    root = lent.client("s3")
    root.create_bucket(Bucket="readable")
    root.put_object(Bucket="readable", Key="a/1", Body=b"one")
    key = user(lent, "reader", {"Action": "s3:GetObject", "Resource": "arn:aws:s3:::readable/a/*"})
    s3 = lent.client("s3", key)
    assert s3.get_object(Bucket="readable", Key="a/1")["Body"].read() == b"one"
    assert s3.head_object(Bucket="readable", Key="a/1")["ContentLength"] == 3
    assert code(s3.put_object, Bucket="readable", Key="a/1", Body=b"two") == "AccessDenied"
    assert code(s3.get_object, Bucket="readable", Key="b") == "AccessDenied"
    assert code(s3.list_objects_v2, Bucket="readable") == "AccessDenied"
    assert code(s3.get_object, Bucket="readable", Key="a/1", VersionId="null") == "AccessDenied"  # s3:GetObjectVersion
    assert code(s3.copy_object, Bucket="readable", Key="c", CopySource="readable/a/1") == "AccessDenied"
    assert root.get_object(Bucket="readable", Key="a/1")["Body"].read() == b"one"


def test_listing_is_allowed_below_a_prefix(lent: Lent) -> None:
    lent.client("s3").create_bucket(Bucket="prefixed")
    condition = {"StringLike": {"s3:prefix": "mine/*"}}
    key = user(lent, "lister", {"Action": "s3:ListBucket", "Resource": "arn:aws:s3:::prefixed", "Condition": condition})
    s3 = lent.client("s3", key)
    assert s3.list_objects_v2(Bucket="prefixed", Prefix="mine/")["KeyCount"] == 0
    assert code(s3.list_objects_v2, Bucket="prefixed", Prefix="yours/") == "AccessDenied"
    assert code(s3.list_objects_v2, Bucket="prefixed") == "AccessDenied"


def test_a_copy_needs_its_source(lent: Lent) -> None:
    root = lent.client("s3")
    for name in ("from-here", "to-there"):
        root.create_bucket(Bucket=name)
    root.put_object(Bucket="from-here", Key="k", Body=b"secret")
    key = user(lent, "copier", {"Action": "s3:PutObject", "Resource": "arn:aws:s3:::to-there/*"})
    s3 = lent.client("s3", key)
    assert code(s3.copy_object, Bucket="to-there", Key="k", CopySource="from-here/k") == "AccessDenied"
    lent.client("iam").put_user_policy(
        UserName="copier",
        PolicyName="q",
        PolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::from-here/*"}],
            }
        ),
    )
    s3.copy_object(Bucket="to-there", Key="k", CopySource="from-here/k")
    assert root.get_object(Bucket="to-there", Key="k")["Body"].read() == b"secret"


def test_of_many_keys_those_go_that_may(lent: Lent) -> None:
    root = lent.client("s3")
    root.create_bucket(Bucket="partly")
    for name in ("mine/1", "mine/2", "yours/1"):
        root.put_object(Bucket="partly", Key=name, Body=b"x")
    s3 = lent.client(
        "s3", user(lent, "partly", {"Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::partly/mine/*"})
    )
    every = {"Objects": [{"Key": name} for name in ("mine/1", "yours/1", "mine/2")]}
    answer = s3.delete_objects(Bucket="partly", Delete=every)
    assert sorted(each["Key"] for each in answer["Deleted"]) == ["mine/1", "mine/2"]
    (refused,) = answer["Errors"]
    assert (refused["Key"], refused["Code"]) == ("yours/1", "AccessDenied")
    assert [each["Key"] for each in root.list_objects_v2(Bucket="partly")["Contents"]] == ["yours/1"]
    assert "Deleted" not in s3.delete_objects(Bucket="partly", Delete={"Objects": [{"Key": "yours/1"}]})


def test_another_account_needs_the_buckets_policy(lent: Lent) -> None:
    mine, theirs = lent.client("s3"), lent.client("s3", OTHER_ROOT)
    mine.create_bucket(Bucket="shared-with-none")
    mine.put_object(Bucket="shared-with-none", Key="k", Body=b"v")
    assert code(theirs.get_object, Bucket="shared-with-none", Key="k") == "AccessDenied"
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": OTHER_ROOT.account},
                "Action": "s3:GetObject",
                "Resource": "arn:aws:s3:::shared-with-none/*",
            }
        ],
    }
    mine.put_bucket_policy(Bucket="shared-with-none", Policy=json.dumps(policy))
    assert theirs.get_object(Bucket="shared-with-none", Key="k")["Body"].read() == b"v"
    assert code(theirs.put_object, Bucket="shared-with-none", Key="k", Body=b"w") == "AccessDenied"
    mine.delete_bucket_policy(Bucket="shared-with-none")
    assert code(theirs.get_object, Bucket="shared-with-none", Key="k") == "AccessDenied"
    assert code(theirs.create_bucket, Bucket="shared-with-none") != "no error"
    assert code(theirs.delete_bucket, Bucket="shared-with-none") == "AccessDenied"


def test_tables_by_name_index_and_key(lent: Lent) -> None:
    root = lent.client("dynamodb")
    for name in ("orders", "users"):
        root.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    table = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/orders"
    own = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["me"]}}
    key = user(
        lent,
        "owner",
        {"Action": ["dynamodb:GetItem", "dynamodb:PutItem"], "Resource": table, "Condition": own},
        {"Action": ["dynamodb:Query", "dynamodb:PartiQLSelect"], "Resource": f"{table}/index/by-day"},
    )
    mine = lent.client("dynamodb", key)
    mine.put_item(TableName="orders", Item={"id": {"S": "me"}})
    assert "Item" in mine.get_item(TableName="orders", Key={"id": {"S": "me"}})
    assert code(mine.get_item, TableName="orders", Key={"id": {"S": "you"}}) == "AccessDeniedException"
    assert code(mine.get_item, TableName="users", Key={"id": {"S": "me"}}) == "AccessDeniedException"
    assert code(mine.scan, TableName="orders") == "AccessDeniedException"
    put = {"Put": {"TableName": "users", "Item": {"id": {"S": "me"}}}}
    assert code(mine.transact_write_items, TransactItems=[put]) == "AccessDeniedException"
    mine.transact_write_items(TransactItems=[{"Put": {"TableName": "orders", "Item": {"id": {"S": "me"}}}}])
    assert code(mine.execute_statement, Statement='SELECT * FROM "orders"') == "AccessDeniedException"
    assert code(mine.execute_statement, Statement="nonsense") == "ValidationException"
    assert len(root.execute_statement(Statement='SELECT * FROM "orders"')["Items"]) == 1


def test_the_trail_tells_of_resources_and_not_of_data(lent: Lent) -> None:
    s3, ssm = lent.client("s3"), lent.client("ssm")
    s3.create_bucket(Bucket="trailed")
    s3.put_object(Bucket="trailed", Key="k", Body=b"v")
    ssm.put_parameter(Name="/trail/secret", Value="not-for-the-trail", Type="SecureString")
    (made,) = [e for e in lent.events("CreateBucket") if e["requestParameters"]["bucket"] == "trailed"]
    assert made["eventSource"] == "s3.amazonaws.com" and made["readOnly"] is False
    assert lent.events("PutObject") == [] and lent.events("GetObject") == []
    (put,) = lent.events("PutParameter")
    assert "not-for-the-trail" not in json.dumps(put)
    assert code(s3.create_bucket, Bucket="x") == "InvalidBucketName"
    assert "InvalidBucketName" in [e.get("errorCode") for e in lent.events("CreateBucket")]
    lent.client("secretsmanager").create_secret(Name="trailed", SecretString="hidden-value")
    assert "hidden-value" not in json.dumps(lent.events("CreateSecret"))


def test_strangers_are_refused_in_s3s_words(lent: Lent) -> None:
    lent.client("s3").create_bucket(Bucket="guarded")
    lent.client("s3").put_object(Bucket="guarded", Key="k", Body=b"v")
    stranger = lent.client("s3", {"AccessKeyId": "AKIANOBODY", "SecretAccessKey": "x"})
    assert code(stranger.list_buckets) == "InvalidAccessKeyId"
    known = lent.client("s3", {"AccessKeyId": ROOT.access_key, "SecretAccessKey": "wrong"})
    assert code(known.list_buckets) == "SignatureDoesNotMatch"
    nobody = lent.client("s3", signature_version=UNSIGNED)
    assert code(nobody.get_object, Bucket="guarded", Key="k") == "AccessDenied"
    for version in ("s3", "s3v4"):
        signer = lent.client("s3", signature_version=version)
        url = signer.generate_presigned_url("get_object", Params={"Bucket": "guarded", "Key": "k"}, ExpiresIn=60)
        lent.offset = 3600.0
        try:
            with pytest.raises(HTTPError) as told:
                urlopen(url)
        finally:
            lent.offset = 0.0
        assert told.value.code == 403 and b"<Code>AccessDenied</Code>" in told.value.read()
        with urlopen(url) as answer:
            assert answer.read() == b"v"


def test_regions_and_accounts_are_apart(lent: Lent) -> None:
    lent.client("ssm").put_parameter(Name="where", Value="here", Type="String")
    assert code(lent.client("ssm", region="eu-west-1").get_parameter, Name="where") == "ParameterNotFound"
    assert code(lent.client("ssm", OTHER_ROOT).get_parameter, Name="where") == "ParameterNotFound"
    arn = lent.client("secretsmanager", region="eu-west-1").create_secret(Name="apart", SecretString="s")["ARN"]
    assert arn.startswith(f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:apart-")


def test_what_is_not_built_says_so(lent: Lent) -> None:
    with pytest.raises(ClientError) as told:
        lent.client("ssm").send_command(DocumentName="AWS-RunShellScript")
    assert "ssm SendCommand" in told.value.response["Error"]["Message"]
    assert code(lent.client("s3").put_bucket_website, Bucket="b", WebsiteConfiguration={}) == "NotImplemented"


def test_calls_from_inside(lent: Lent) -> None:
    aws = lent.gateway.as_service("lambda.amazonaws.com", ACCOUNT, "us-east-1")

    async def work() -> Any:
        await aws("s3", "CreateBucket", {"Bucket": "inside"})
        await aws(
            "s3", "PutObject", {"Bucket": "inside", "Key": "code.zip", "Body": b"\x00zip", "Metadata": {"a": "b"}}
        )
        got = await aws("s3", "GetObject", {"Bucket": "inside", "Key": "code.zip"})
        await aws("kinesis", "CreateStream", {"StreamName": "inside", "ShardCount": 1})
        await aws("kinesis", "PutRecord", {"StreamName": "inside", "Data": b"\x01", "PartitionKey": "p"})
        where = {"StreamName": "inside", "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
        at = await aws("kinesis", "GetShardIterator", where)
        return got, await aws("kinesis", "GetRecords", {"ShardIterator": at["ShardIterator"]})

    got, records = lent.wait(work())
    assert got["Body"] == b"\x00zip" and got["Metadata"] == {"a": "b"} and isinstance(got["LastModified"], float)
    assert records["Records"][0]["Data"] == b"\x01"
    assert isinstance(records["Records"][0]["ApproximateArrivalTimestamp"], float)

    async def missing() -> Any:
        return await aws("s3", "GetObject", {"Bucket": "inside", "Key": "none"})

    with pytest.raises(Exception, match="NoSuchKey"):
        lent.wait(missing())
