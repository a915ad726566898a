"""Key policies, and grants as statements of them: what IAM's decision asks of a key."""

from __future__ import annotations

import json
from typing import Any

from havre.core.policy import PolicyError, parse
from havre.kernel.errors import ApiError
from havre.kernel.resource import scoped
from havre.services.kms import managed
from havre.services.kms.resources import GRANT, KEY, GrantR
from havre.store.ports import Store


def default(account: str) -> str:
    """The policy of a key that is made without one: the account's own policies decide."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Id": "key-default-1",
            "Statement": [
                {
                    "Sid": "Enable IAM User Permissions",
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
                    "Action": "kms:*",
                    "Resource": "*",
                }
            ],
        },
        indent=2,
    )


def check(text: str) -> None:
    """Raises ApiError MalformedPolicyDocumentException."""
    try:
        parse(text, "resource")
    except PolicyError as error:
        raise ApiError("MalformedPolicyDocumentException", str(error)) from None


def resource_policy(store: Store, arn: str) -> str | None:
    """The key's policy with its grants. None where there is no key: then nobody needs its leave to be told so."""
    parts = arn.split(":", 5)
    if len(parts) != 6 or not parts[5].startswith("key/"):
        return None
    region, account, id = parts[3], parts[4], parts[5].removeprefix("key/")
    found = store.get(KEY, account, region, id)
    if found is None:
        alias = managed.alias_of(account, region, id)
        return managed.policy(account, region, alias) if alias else None
    given = store.find(GRANT, "key", scoped(account, region, id))
    return found.spec.policy if not given else _with_grants(found.spec.policy, given)


def _with_grants(policy: str, given: Any) -> str:
    document = json.loads(policy)
    statements = document.get("Statement", [])
    own = statements if isinstance(statements, list) else [statements]
    granted = [statement for grant in given for statement in _statements(grant)]
    return json.dumps({**document, "Statement": [*own, *granted]})


def _statements(grant: GrantR) -> list[dict[str, Any]]:
    spec = grant.spec
    actions = [f"kms:{name}" for name in spec.operations]
    made: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": _principal(spec.grantee),
        "Action": actions,
        "Resource": "*",
    }
    condition = _condition(spec.equals, spec.subset)
    if condition:
        made["Condition"] = condition
    if not spec.retiring:
        return [made]
    retire = {"Effect": "Allow", "Principal": _principal(spec.retiring), "Action": "kms:RetireGrant", "Resource": "*"}
    return [made, retire]


def _principal(name: str) -> dict[str, str]:
    return {"AWS": name} if name.startswith("arn:") else {"Service": name}


def _condition(equals: Any, subset: Any) -> dict[str, Any]:
    """The encryption context of a request has these pairs; with ``equals`` it has no others."""
    pairs = {f"kms:EncryptionContext:{k}": v for k, v in (equals if equals is not None else subset or {}).items()}
    condition: dict[str, Any] = {"StringEquals": pairs} if pairs else {}
    if equals is not None:
        condition["ForAllValues:StringEquals"] = {"kms:EncryptionContextKeys": list(equals)}
    return condition
