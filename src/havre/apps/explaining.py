"""``havre explain``: in words, of whatever an ARN may name."""

from __future__ import annotations

from havre.control.operation import Site
from havre.kernel.arn import Arn
from havre.services import catalogue
from havre.services.iam import managed
from havre.store.ports import Reader

BORROWED = ("dynamodb", "kinesis", "secretsmanager", "ssm")
"""Services whose resources the store does not know."""


def asked(text: str) -> str:
    """The ARN without the ending that policies want behind a log group's. Raises ValueError for what is no ARN."""
    arn = Arn.parse(text)
    return text.removesuffix(":*") if arn.service == "logs" else text


def plain(store: Reader, site: Site, text: str) -> list[str] | None:
    """What there is to say of what no reconciler cares for: nothing of what the store knows, a sentence of what is there
    without being in it; None of what there is not."""
    arn = Arn.parse(text)
    if arn.service in BORROWED:
        return [
            f"The service {arn.service} is borrowed (docs/design/borrowed.md): what it holds is not looked into here; "
            f"aws {arn.service} tells of it."
        ]
    if arn.service == "iam" and arn.account == "aws" and managed.document(text) is not None:
        return ["It is a policy of AWS's own, which comes with Havre."]
    if arn.service == "iam" and (arn.account, arn.resource) == (site.account, "root"):
        return ["The root user may do everything; havre env prints the credentials."]
    if any(each.meta.arn == text for kind in catalogue.kinds() for each in store.list(kind)):
        return []
    if arn.service == "events" and arn.resource == "event-bus/default":
        return ["It is there in every account and region, without having been made."]
    return None
