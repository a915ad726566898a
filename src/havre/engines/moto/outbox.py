"""S3's notifications: made with the change that they tell of, kept until the server says that they have arrived.

They need no log of their own: carried out again, the same request makes the same notifications.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import msgspec
from moto.s3 import models, notifications

from havre.engines.borrowed import Deliver
from havre.engines.moto import pinned

_OWN_EVENT = ("PutObjectTagging", "DeleteObjectTagging", "PutObjectAcl")
_CREATED = {"Put": "PutObject", "Post": "POST Object", "Copy": "CopyObject"}


class Caller(msgspec.Struct, frozen=True):
    """Who made the change, as far as notifications tell."""

    principal: str = ""
    source_ip: str = ""
    request_id: str = ""
    trace: str = ""


class Outbox:
    """``pending``: number → the notification and its body. ``caller`` and ``operation`` are those of the request
    under way. While ``mark`` is
    there, something may be pending: the server starts this process for it."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark
        self.pending: dict[int, tuple[Deliver, bytes]] = {}
        self.last = 0
        self.caller = Caller()
        self.operation = ""

    def put(self, bucket: Any, target: str, event: dict[str, Any]) -> None:
        self.last += 1
        where, trace = (bucket.account_id, bucket.region_name, bucket.name), self.caller.trace
        frame = Deliver(self.last, *where, target, pinned.now(), trace)
        if not self.pending:
            self._mark.touch(0o600)
        self.pending[self.last] = frame, json.dumps(event, separators=(",", ":")).encode()

    def settle(self) -> None:
        """At the end."""
        if not self.pending:
            self._mark.unlink(missing_ok=True)

    def send(self, account: str, event_name: Any, bucket: Any, key: Any) -> None:
        """In the place of moto's ``send_event``."""
        configuration = bucket.notification_configuration
        if configuration is None or key is None:
            return
        name = str(getattr(event_name, "value", event_name))
        if name == "s3:ObjectCreated:Put" and key.multipart is not None:
            return  # of an upload in parts moto tells twice
        if name.startswith(("s3:ObjectTagging", "s3:ObjectAcl")) and self.operation not in _OWN_EVENT:
            return  # and of tags and ACLs with every object
        seen = _Seen(name, bucket, key, self.caller, f"{int(pinned.now() * 1e6):016X}{self.last & 0xFF:02X}")
        for each in (*configuration.cloud_function, *configuration.queue, *configuration.topic):
            if each.matches(seen.name, key.name):
                self.put(bucket, each.arn, seen.record(each.id))
        if configuration.event_bridge is not None:
            self.put(bucket, "", seen.event())


class _Seen:
    """What happened to an object, in the two shapes in which S3 tells of it."""

    def __init__(self, name: str, bucket: Any, key: Any, caller: Caller, sequencer: str) -> None:
        self.name, self.bucket, self.key, self.caller, self.sequencer = name, bucket, key, caller, sequencer
        self.removed = ":ObjectRemoved:" in name
        self.beside = ":ObjectTagging:" in name or ":ObjectAcl:" in name
        """What changed is not the object itself."""

    def record(self, configuration: str) -> dict[str, Any]:
        at = datetime.fromtimestamp(pinned.now(), UTC)
        owner = {"principalId": self.bucket.account_id}
        return {
            "Records": [
                {
                    "eventVersion": "2.3" if self.beside else "2.1",
                    "eventSource": "aws:s3",
                    "awsRegion": self.bucket.region_name,
                    "eventTime": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
                    "eventName": self.name.removeprefix("s3:"),
                    "userIdentity": {"principalId": self.caller.principal},
                    "requestParameters": {"sourceIPAddress": self.caller.source_ip},
                    "responseElements": {
                        "x-amz-request-id": self.caller.request_id,
                        "x-amz-id-2": self.caller.request_id,
                    },
                    "s3": {
                        "s3SchemaVersion": "1.0",
                        "configurationId": configuration,
                        "bucket": {"name": self.bucket.name, "ownerIdentity": owner, "arn": self.bucket.arn},
                        "object": self._object(quote_plus(self.key.name, safe="/"), "versionId"),
                    },
                }
            ]
        }

    def event(self) -> dict[str, Any]:
        """The entry for PutEvents; the body of the notification."""
        detail: dict[str, Any] = {
            "version": "0",
            "bucket": {"name": self.bucket.name},
            "object": self._object(self.key.name, "version-id", etag="etag"),
            "request-id": self.caller.request_id,
            "requester": self.bucket.account_id,
            "source-ip-address": self.caller.source_ip,
        }
        if self.removed:
            marker = self.name.endswith("DeleteMarkerCreated")
            detail["reason"] = "DeleteObject"
            detail["deletion-type"] = "Delete Marker Created" if marker else "Permanently Deleted"
        elif ":ObjectCreated:" in self.name:
            kind = self.name.rpartition(":")[2]
            detail["reason"] = _CREATED.get(kind, kind)
        return {
            "Source": "aws.s3",
            "DetailType": notifications._detail_type(self.name),
            "Resources": [self.bucket.arn],
            "Detail": json.dumps(detail, separators=(",", ":")),
        }

    def _object(self, key: str, version: str, etag: str = "eTag") -> dict[str, Any]:
        told: dict[str, Any] = {"key": key}
        if not self.removed:
            sized = {} if self.beside else {"size": self.key.size}
            told |= {**sized, etag: self.key.etag.strip('"')}
        if self.bucket.is_versioned:
            told[version] = self.key.version_id
        return told if self.beside else {**told, "sequencer": self.sequencer}


def install(outbox: Outbox) -> None:
    """moto tells these functions of changes."""
    senders: Any = notifications
    senders.send_event = outbox.send
    senders.send_test_event = lambda account_id, bucket: None  # the server sends them, before it asks for the rest
    backend: Any = models
    backend.events_send_notification = lambda **event: None
    mark = models.S3Backend._set_delete_marker

    def marked(self: Any, bucket_name: str, key_name: str) -> Any:
        """moto tells nobody of delete markers."""
        marker = mark(self, bucket_name, key_name)
        outbox.send(self.account_id, "s3:ObjectRemoved:DeleteMarkerCreated", self.get_bucket(bucket_name), marker)
        return marker

    delete = models.S3Backend.delete_object

    def deleted(self: Any, bucket_name: str, key_name: str, version_id: Any = None, bypass: bool = False) -> Any:
        """moto tells of the last version of a key alone."""
        bucket = self.get_bucket(bucket_name)
        versions = list(bucket.keys.getlist(key_name, [])) if version_id is not None else []
        answer = delete(self, bucket_name, key_name, version_id, bypass)
        left = bucket.keys.getlist(key_name, []) if versions else []
        for gone in versions if left else ():
            if gone not in left:
                outbox.send(self.account_id, "s3:ObjectRemoved:Delete", bucket, gone)
        return answer

    models.S3Backend._set_delete_marker = marked  # type: ignore[method-assign]
    models.S3Backend.delete_object = deleted  # type: ignore[method-assign]
