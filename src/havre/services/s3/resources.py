"""What Havre itself keeps of a bucket: whose it is and who may use it. The rest is moto's."""

from __future__ import annotations

import msgspec

from havre.kernel.resource import Kind, NoStatus


class Bucket(msgspec.Struct, frozen=True):
    """Kept without account and region, for the names of buckets are unique. ``policy`` is "" for none."""

    owner: str
    policy: str = ""


BUCKET: Kind[Bucket, NoStatus] = Kind("s3.bucket", Bucket, NoStatus)
KINDS = (BUCKET,)
