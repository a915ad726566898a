"""S3: buckets and objects.

The promise: buckets, objects and their versions, uploads in parts, copies, conditional and ranged reads, tags, ACLs,
policies, CORS, object lock, presigned URLs, and notifications to functions, queues, topics and EventBridge; path style and
``bucket.s3.localhost``. From moto (docs/design/borrowed.md): signatures, policies, the trail and the delivery of
notifications are Havre's, what an operation does to an object is moto's. A single request brings at most 128 MiB; larger
objects come in parts. Left out: requests without a signature, forms that browsers post, access logs, replication and
lifecycle that act, websites, access points, S3 Select.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from havre.control.lazily import lazily
from havre.control.operation import Service

if TYPE_CHECKING:
    from havre.control.borrowed import Lender, Loans
    from havre.services.s3.notify import Notifier
    from havre.services.s3.policies import resource_owner, resource_policy

__all__ = ["Notifier", "resource_owner", "resource_policy", "service"]
__getattr__ = lazily(__name__, {"Notifier": "notify", "resource_owner": "policies", "resource_policy": "policies"})

_OF_BUCKET = {
    # IAM action → operations on a bucket's configuration
    "s3:GetAccelerateConfiguration": ("GetBucketAccelerateConfiguration",),
    "s3:GetBucketAcl": ("GetBucketAcl",),
    "s3:GetBucketCORS": ("GetBucketCors",),
    "s3:GetBucketLocation": ("GetBucketLocation",),
    "s3:GetBucketLogging": ("GetBucketLogging",),
    "s3:GetBucketNotification": ("GetBucketNotificationConfiguration",),
    "s3:GetBucketObjectLockConfiguration": ("GetObjectLockConfiguration",),
    "s3:GetBucketOwnershipControls": ("GetBucketOwnershipControls",),
    "s3:GetBucketPolicy": ("GetBucketPolicy",),
    "s3:GetBucketPolicyStatus": ("GetBucketPolicyStatus",),
    "s3:GetBucketPublicAccessBlock": ("GetPublicAccessBlock",),
    "s3:GetBucketTagging": ("GetBucketTagging",),
    "s3:GetBucketVersioning": ("GetBucketVersioning",),
    "s3:GetBucketWebsite": ("GetBucketWebsite",),
    "s3:GetLifecycleConfiguration": ("GetBucketLifecycleConfiguration",),
    "s3:GetReplicationConfiguration": ("GetBucketReplication",),
    "s3:PutAccelerateConfiguration": ("PutBucketAccelerateConfiguration",),
    "s3:PutBucketAcl": ("PutBucketAcl",),
    "s3:PutBucketCORS": ("PutBucketCors", "DeleteBucketCors"),
    "s3:PutBucketObjectLockConfiguration": ("PutObjectLockConfiguration",),
    "s3:PutBucketOwnershipControls": ("PutBucketOwnershipControls", "DeleteBucketOwnershipControls"),
    "s3:PutBucketPublicAccessBlock": ("PutPublicAccessBlock", "DeletePublicAccessBlock"),
    "s3:PutBucketTagging": ("PutBucketTagging", "DeleteBucketTagging"),
    "s3:PutBucketVersioning": ("PutBucketVersioning",),
    "s3:PutLifecycleConfiguration": ("PutBucketLifecycleConfiguration", "DeleteBucketLifecycle"),
}
_PARTIAL = {
    "PutObject.ServerSideEncryption": "its key decides who may write and read; the bytes lie on the disk as they are",
    "PutBucketAcl": "kept and told; policies decide",
    "PutBucketEncryption": "which keys objects are under, as for PutObject; BlockedEncryptionTypes is not kept, for keys of "
    "customers (SSE-C) are refused in any case",
    "PutBucketLifecycleConfiguration": "kept and told, without effect: nothing expires or moves",
    "PutObject.StorageClass": "kept and told; all classes are the same disk",
    "PutObjectAcl": "kept and told; policies decide",
    "PutPublicAccessBlock": "kept and told; nothing is public in any case",
}


def service(lender: Lender | None = None, notifier: Notifier | None = None) -> Service:
    """``notifier`` asks the destinations of notifications whether they may be reached."""
    from havre.control.borrowed import Loans
    from havre.services.s3 import access, encryption
    from havre.services.s3.policies import claim, disown, forget, keep, own, who_pays
    from havre.services.s3.resources import KINDS

    loans = Loans("s3", lender, always=access.guard, headers=encryption.HEADERS)
    for action, names in _OF_BUCKET.items():
        loans.lend(*names, action=action, resources=access.bucket)
    configured = {"action": "s3:PutEncryptionConfiguration", "resources": access.bucket}
    loans.lend("PutBucketEncryption", **configured, before=encryption.check, after=encryption.keep)  # type: ignore[arg-type]
    loans.lend("DeleteBucketEncryption", **configured, after=encryption.forget)  # type: ignore[arg-type]
    loans.lend(
        "GetBucketEncryption",
        action="s3:GetEncryptionConfiguration",
        resources=access.bucket,
        own=encryption.describe,
    )
    loans.lend("ListBuckets", action="s3:ListAllMyBuckets")
    loans.lend("GetBucketRequestPayment", resources=access.bucket, own=who_pays)
    loans.lend("CreateBucket", action="s3:CreateBucket", resources=access.bucket, before=claim, after=own)
    loans.lend("DeleteBucket", action="s3:DeleteBucket", resources=access.bucket, after=disown)
    loans.lend("PutBucketPolicy", action="s3:PutBucketPolicy", resources=access.bucket, after=keep)
    loans.lend("DeleteBucketPolicy", action="s3:DeleteBucketPolicy", resources=access.bucket, after=forget)
    loans.lend(
        "PutBucketNotificationConfiguration",
        action="s3:PutBucketNotification",
        resources=access.bucket,
        before=notifier.check if notifier is not None else None,
    )
    _lend_listings(loans)
    _lend_objects(loans)
    return loans.service(kinds=KINDS, partial=_PARTIAL)


def _lend_listings(loans: Loans) -> None:
    from havre.services.s3 import access

    for names, action in (
        (("ListObjects", "ListObjectsV2"), "s3:ListBucket"),
        (("ListObjectVersions",), "s3:ListBucketVersions"),
        (("ListMultipartUploads",), "s3:ListBucketMultipartUploads"),
    ):
        loans.lend(*names, action=action, resources=access.bucket, conditions=access.listing, data_event=True)
    loans.lend("HeadBucket", action="s3:ListBucket", resources=access.bucket, data_event=True)


def _lend_objects(loans: Loans) -> None:
    from havre.services.s3 import access
    from havre.services.s3.deletion import delete_objects

    for name, action in (
        *(("GetObjectAttributes", "GetObject"), ("DeleteObject", "DeleteObject")),
        ("GetObjectTagging", "GetObjectTagging"),
        *(("PutObjectTagging", "PutObjectTagging"), ("DeleteObjectTagging", "DeleteObjectTagging")),
        *(("GetObjectAcl", "GetObjectAcl"), ("PutObjectAcl", "PutObjectAcl")),
    ):
        loans.lend(name, action=access.versioned(action), resources=access.object_, data_event=True)
    for name, action in (
        ("AbortMultipartUpload", "AbortMultipartUpload"),
        *(("ListParts", "ListMultipartUploadParts"), ("GetObjectLegalHold", "GetObjectLegalHold")),
        *(("PutObjectLegalHold", "PutObjectLegalHold"), ("PutObjectRetention", "PutObjectRetention")),
    ):
        loans.lend(name, action=f"s3:{action}", resources=access.object_, data_event=True)
    _lend_bytes(loans)
    loans.lend("DeleteObjects", action="", data_event=True, own=delete_objects)


def _lend_bytes(loans: Loans) -> None:
    """What writes objects under keys, and reads them."""
    from havre.services.s3 import access, encryption

    shared: dict[str, Any] = {"resources": access.object_, "data_event": True}
    writes: dict[str, Any] = {**shared, "action": "s3:PutObject", "judge": encryption.tell}
    loans.lend("GetObject", action=access.versioned("GetObject"), **shared, judge=encryption.read)
    loans.lend("HeadObject", action=access.versioned("GetObject"), **shared, judge=encryption.tell)
    loans.lend("PutObject", "CreateMultipartUpload", **writes, conditions=access.writing, dress=encryption.dress)
    loans.lend("UploadPart", "CompleteMultipartUpload", **writes)
    copies = {**writes, "before": access.source, "conditions": access.writing}
    loans.lend("CopyObject", **copies, dress=encryption.dress_copy)
    loans.lend("UploadPartCopy", **copies, dress=encryption.dress_part)
