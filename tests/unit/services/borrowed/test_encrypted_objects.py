"""Objects under keys of KMS: who may write and read them, and what clients are told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.lending import Lent
from tests.running_gateway import ACCOUNT, code

from havre.services.s3.resources import BUCKET, Bucket

KMS = "aws:kms"


class Vaulted:
    """A bucket and a key."""

    def __init__(self, lent: Lent) -> None:
        self.lent = lent
        self.s3, self.kms = lent.client("s3"), lent.client("kms")
        self.count = 0
        self.renew()

    def renew(self) -> None:
        self.count += 1
        self.bucket = f"vault-{self.count}"
        self.s3.create_bucket(Bucket=self.bucket)
        self.key = self.kms.create_key()["KeyMetadata"]["Arn"]

    def put(self, key: str = "k", **more: Any) -> Any:
        return self.s3.put_object(Bucket=self.bucket, Key=key, Body=b"hidden", **more)

    def get(self, key: str = "k", **more: Any) -> Any:
        return self.s3.get_object(Bucket=self.bucket, Key=key, **more)

    def default(self, **usual: Any) -> None:
        bucket_key = usual.pop("BucketKeyEnabled", False)
        rules = [{"ApplyServerSideEncryptionByDefault": usual, "BucketKeyEnabled": bucket_key}]
        self.s3.put_bucket_encryption(Bucket=self.bucket, ServerSideEncryptionConfiguration={"Rules": rules})

    def user(self, *actions: str) -> Any:
        """S3 as somebody who may do everything in S3, and this with the key."""
        iam, name = self.lent.client("iam"), f"u-{self.count}"
        iam.create_user(UserName=name)
        statements = [
            {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
            {"Effect": "Allow", "Action": ["kms:ListKeys", *actions], "Resource": "*"},
        ]
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
        return self.lent.client("s3", iam.create_access_key(UserName=name)["AccessKey"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: Any) -> Iterator[Vaulted]:
    lent = Lent(tmp_path_factory.mktemp("borrowed"))
    yield Vaulted(lent)
    lent.close()


@pytest.fixture
def vaulted(whole: Vaulted) -> Vaulted:
    whole.renew()
    return whole


def test_what_nothing_is_said_of_is_s3s_own_to_encrypt(vaulted: Vaulted) -> None:
    assert vaulted.put()["ServerSideEncryption"] == vaulted.get()["ServerSideEncryption"] == "AES256"
    usual = vaulted.s3.get_bucket_encryption(Bucket=vaulted.bucket)["ServerSideEncryptionConfiguration"]
    assert usual == {
        "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}]
    }


def test_a_key_is_told_by_its_arn(vaulted: Vaulted) -> None:
    vaulted.kms.create_alias(AliasName=f"alias/{vaulted.bucket}", TargetKeyId=vaulted.key)
    for name in (vaulted.key, vaulted.key.rpartition("/")[2], f"alias/{vaulted.bucket}"):
        told = vaulted.put(ServerSideEncryption=KMS, SSEKMSKeyId=name)
        assert (told["ServerSideEncryption"], told["SSEKMSKeyId"]) == (KMS, vaulted.key)
    head = vaulted.s3.head_object(Bucket=vaulted.bucket, Key="k")
    assert head["SSEKMSKeyId"] == vaulted.get()["SSEKMSKeyId"] == vaulted.key and "BucketKeyEnabled" not in head
    managed = vaulted.put("m", ServerSideEncryption=KMS)["SSEKMSKeyId"]
    assert vaulted.kms.describe_key(KeyId="alias/aws/s3")["KeyMetadata"]["Arn"] == managed


def test_a_bucket_says_what_its_objects_have(vaulted: Vaulted) -> None:
    vaulted.default(SSEAlgorithm=KMS, KMSMasterKeyID=vaulted.key, BucketKeyEnabled=True)
    told = vaulted.put()
    assert (told["SSEKMSKeyId"], told["BucketKeyEnabled"]) == (vaulted.key, True)
    assert vaulted.put("own", ServerSideEncryption="AES256")["ServerSideEncryption"] == "AES256"
    assert "SSEKMSKeyId" not in vaulted.get("own")
    vaulted.s3.put_bucket_policy(
        Bucket=vaulted.bucket,
        Policy=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": {
                    "Effect": "Allow",
                    "Principal": {"AWS": ACCOUNT},
                    "Action": "s3:GetObject",
                    "Resource": f"arn:aws:s3:::{vaulted.bucket}/*",
                },
            }
        ),
    )
    found = vaulted.lent.store.get(BUCKET, "", "", vaulted.bucket)
    assert found is not None and found.spec.key == vaulted.key and found.spec.policy
    vaulted.s3.delete_bucket_encryption(Bucket=vaulted.bucket)
    assert vaulted.put("later")["ServerSideEncryption"] == "AES256"
    assert vaulted.get()["SSEKMSKeyId"] == vaulted.key


def test_a_bucket_from_before_is_asked_once(vaulted: Vaulted) -> None:
    """Its default was moto's alone to know."""
    vaulted.default(SSEAlgorithm=KMS, KMSMasterKeyID=vaulted.key)
    store = vaulted.lent.store

    def forget(tx: Any) -> None:
        found = tx.get(BUCKET, "", "", vaulted.bucket)
        tx.update(found, spec=Bucket(found.spec.owner))

    vaulted.lent.wait(store.transact(forget))
    assert vaulted.put()["SSEKMSKeyId"] == vaulted.key
    found = store.get(BUCKET, "", "", vaulted.bucket)
    assert found is not None and (found.spec.encryption, found.spec.key) == (KMS, vaulted.key)


def test_a_key_that_does_nothing_hides_what_it_has_encrypted(vaulted: Vaulted) -> None:
    vaulted.put(ServerSideEncryption=KMS, SSEKMSKeyId=vaulted.key)
    vaulted.kms.disable_key(KeyId=vaulted.key)
    disabled = "KMS.DisabledException"
    assert code(vaulted.get) == code(vaulted.put, ServerSideEncryption=KMS, SSEKMSKeyId=vaulted.key) == disabled
    copy = {"Bucket": vaulted.bucket, "Key": "c", "CopySource": f"{vaulted.bucket}/k"}
    assert code(vaulted.s3.copy_object, **copy) == disabled
    assert vaulted.s3.head_object(Bucket=vaulted.bucket, Key="k")["SSEKMSKeyId"] == vaulted.key
    vaulted.kms.enable_key(KeyId=vaulted.key)
    vaulted.lent.kill()
    assert vaulted.get()["Body"].read() == b"hidden"
    vaulted.kms.schedule_key_deletion(KeyId=vaulted.key)
    assert code(vaulted.get, Range="bytes=1-2") == "KMS.KMSInvalidStateException"
    vaulted.s3.delete_object(Bucket=vaulted.bucket, Key="k")


@pytest.mark.parametrize(
    ("actions", "writes", "reads"),
    [((), False, False), (("kms:GenerateDataKey",), True, False), (("kms:Decrypt",), False, True)],
)
def test_whoever_writes_and_reads_needs_the_key(
    vaulted: Vaulted, actions: tuple[str, ...], writes: bool, reads: bool
) -> None:
    vaulted.default(SSEAlgorithm=KMS, KMSMasterKeyID=vaulted.key)
    vaulted.put()
    theirs = vaulted.user(*actions)
    where = {"Bucket": vaulted.bucket, "Key": "k"}
    said = None if writes else "AccessDenied"
    assert _said(theirs.put_object, **where, Body=b"x") == said
    assert _said(theirs.create_multipart_upload, **where) == said
    vaulted.put()
    assert _said(theirs.get_object, **where) == (None if reads else "AccessDenied")
    assert _said(theirs.head_object, **where) is None
    assert _said(theirs.put_object, **where, Body=b"x", ServerSideEncryption="AES256") is None


def _said(call: Any, **arguments: Any) -> str | None:
    """The code of a refusal; None for none."""
    try:
        call(**arguments)
    except Exception as error:
        return str(error.response["Error"]["Code"])  # type: ignore[attr-defined]
    return None


def test_the_context_is_the_objects_or_the_buckets(vaulted: Vaulted) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": ACCOUNT},
        "Action": "kms:*",
        "Resource": "*",
        "Condition": {
            "StringEqualsIfExists": {"kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::{vaulted.bucket}/in"}
        },
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    vaulted.kms.put_key_policy(KeyId=vaulted.key, Policy=policy)
    under = {"ServerSideEncryption": KMS, "SSEKMSKeyId": vaulted.key}
    vaulted.put("in", **under)
    assert vaulted.get("in")["Body"].read() == b"hidden"
    assert code(vaulted.put, key="out", **under) == "AccessDenied"
    assert code(vaulted.put, key="in", BucketKeyEnabled=True, **under) == "AccessDenied"


def test_copies_and_uploads_in_parts(vaulted: Vaulted) -> None:
    vaulted.put(ServerSideEncryption=KMS, SSEKMSKeyId=vaulted.key)
    s3, where = vaulted.s3, {"Bucket": vaulted.bucket}
    copied = s3.copy_object(**where, Key="c", CopySource=f"{vaulted.bucket}/k")
    assert copied["ServerSideEncryption"] == "AES256" and vaulted.get("c")["Body"].read() == b"hidden"
    assert code(s3.copy_object, **where, Key="c", CopySource=f"{vaulted.bucket}/c") == "InvalidRequest"
    under = {"ServerSideEncryption": KMS, "SSEKMSKeyId": vaulted.key, "BucketKeyEnabled": True}
    assert s3.copy_object(**where, Key="c", CopySource=f"{vaulted.bucket}/k", **under)["SSEKMSKeyId"] == vaulted.key
    upload = s3.create_multipart_upload(**where, Key="parts", **under)
    assert upload["SSEKMSKeyId"] == vaulted.key
    part = {**where, "Key": "parts", "UploadId": upload["UploadId"]}
    first = s3.upload_part(**part, PartNumber=1, Body=b"a" * (5 << 20))
    second = s3.upload_part_copy(**part, PartNumber=2, CopySource=f"{vaulted.bucket}/k")
    assert first["SSEKMSKeyId"] == vaulted.key
    tags = [(1, first["ETag"]), (2, second["CopyPartResult"]["ETag"])]
    told = s3.complete_multipart_upload(
        **part, MultipartUpload={"Parts": [{"PartNumber": number, "ETag": tag} for number, tag in tags]}
    )
    assert told["SSEKMSKeyId"] == vaulted.key
    assert vaulted.get("parts")["Body"].read().endswith(b"hidden") and vaulted.get("c")["Body"].read() == b"hidden"


def test_what_cannot_be_asked(vaulted: Vaulted) -> None:
    nobody = "14e0db71-e000-4000-8000-000000000000"
    for wrong, said in (
        ({"ServerSideEncryption": KMS, "SSEKMSKeyId": nobody}, "KMS.NotFoundException"),
        ({"ServerSideEncryption": KMS, "SSEKMSKeyId": "aws/s3"}, "KMS.NotFoundException"),
        ({"SSEKMSKeyId": vaulted.key}, "InvalidArgument"),
        ({"ServerSideEncryption": "aes256"}, "InvalidArgument"),
        ({"ServerSideEncryption": "aws:kms:dsse"}, "NotImplemented"),
        ({"ServerSideEncryption": KMS, "SSEKMSEncryptionContext": "e30="}, "NotImplemented"),
    ):
        assert code(vaulted.put, **wrong) == said, wrong
    assert code(vaulted.get) == "NoSuchKey"
    with pytest.raises(Exception, match="KMSMasterKeyID is not applicable"):
        vaulted.default(SSEAlgorithm="AES256", KMSMasterKeyID=vaulted.key)


def test_policies_may_ask_for_encryption(vaulted: Vaulted) -> None:
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{vaulted.bucket}/*",
        "Condition": {"StringNotEquals": {"s3:x-amz-server-side-encryption": KMS}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": deny})
    vaulted.s3.put_bucket_policy(Bucket=vaulted.bucket, Policy=policy)
    theirs = vaulted.user("kms:GenerateDataKey")
    where = {"Bucket": vaulted.bucket, "Key": "k", "Body": b"x"}
    assert _said(theirs.put_object, **where) == "AccessDenied"
    assert _said(theirs.put_object, **where, ServerSideEncryption=KMS) is None
