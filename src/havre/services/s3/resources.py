"""What Havre itself keeps of a bucket: whose it is and who may use it. The rest is moto's."""

from __future__ import annotations

import msgspec

from havre.kernel.resource import Kind, NoStatus

USUAL = "AES256"
"""S3's own keys, which all objects have for which nobody says anything else."""


class Bucket(msgspec.Struct, frozen=True):
    """Kept without account and region, for the names of buckets are unique. ``policy`` is "" for none. ``encryption``: what
    objects have for which nothing is said (AES256, aws:kms; "" in records from before it was kept here), with ``key`` (""
    the account's own for S3) and a ``bucket_key`` or not."""

    owner: str
    policy: str = ""
    encryption: str = ""
    key: str = ""
    bucket_key: bool = False


BUCKET: Kind[Bucket, NoStatus] = Kind("s3.bucket", Bucket, NoStatus)
KINDS = (BUCKET,)
