"""Messages under the key of their topic (KmsMasterKeyId), as long as SNS keeps them.

Whoever publishes needs kms:GenerateDataKey; SNS opens them itself when it delivers. A message that cannot be opened waits as
one whose target is away.
"""

from __future__ import annotations

from havre.control import envelopes
from havre.control.deps import ReconcilerDeps
from havre.control.operation import Call
from havre.kernel.errors import ApiError, Temporary
from havre.services.sns.resources import TopicRecord

PRINCIPAL = "sns.amazonaws.com"
_MARK = b"\xc1"
"""No record begins with it: MessagePack has no use for it."""
_CODES = {
    # of KMS: of SNS
    "AccessDeniedException": "KMSAccessDeniedException",
    "DisabledException": "KMSDisabledException",
    "KMSInvalidStateException": "KMSInvalidStateException",
    "NotFoundException": "KMSNotFoundException",
}


async def sealer(call: Call, topic: TopicRecord) -> envelopes.Sealer | None:
    """For what is published now; None where the topic has no key. Raises ApiError as SNS tells of keys."""
    key = topic.spec.attributes.get("KmsMasterKeyId", "")
    if not key:
        return None
    if not key.startswith("arn:"):
        kind = "" if key.startswith("alias/") else "key/"
        key = f"arn:aws:kms:{topic.meta.region}:{topic.meta.account}:{kind}{key}"
    try:
        return await envelopes.sealer(call.aws, key, {"aws:sns:topicArn": topic.meta.arn})
    except ApiError as refusal:
        raise ApiError(_CODES.get(refusal.code, refusal.code), refusal.message, refusal.status) from None


def sealed(by: envelopes.Sealer | None, letter: bytes) -> bytes:
    return letter if by is None else _MARK + by.seal(letter)


async def opened(deps: ReconcilerDeps, account: str, region: str, kept: bytes) -> bytes:
    """Raises Temporary while the key does not let it."""
    if not kept.startswith(_MARK):
        return kept
    try:
        return await envelopes.opened(deps.aws_for(account, region, PRINCIPAL), kept[len(_MARK) :])
    except ApiError as refusal:
        raise Temporary(f"{refusal.code}: {refusal.message}") from None
