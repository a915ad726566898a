"""A policy document: its JSON, AWS's rules about it, and the compiled form."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from havre.core.policy.conditions import Condition
from havre.core.policy.grammar import LEGACY, SYNTAX, PolicyError, check_legacy, check_syntax, check_trust
from havre.core.policy.statement import Elements, PrincipalTest, ResourceTest, Statement

_VERSIONS = ("2008-10-17", "2012-10-17")
_TOP = {"Version", "Id", "Statement"}
_ELEMENTS = {
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
}
_PRINCIPALS = {"AWS", "Service", "Federated", "CanonicalUser"}
_SID = re.compile(r"[0-9A-Za-z]*\Z")
_VENDOR = re.compile(r"[A-Za-z0-9.-]+\Z")
_PARTITIONS = ("aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc", "*")
_IAM_PATHS = (
    "user/", "federated-user/", "role/", "group/", "instance-profile/", "mfa/", "server-certificate/", "policy/",
    "sms-mfa/", "saml-provider/", "oidc-provider/", "report/", "access-report/",
)  # fmt: skip
_TRUST_ACTIONS = {
    "sts:assumerole", "sts:assumerolewithsaml", "sts:assumerolewithwebidentity", "sts:tagsession",
    "sts:setsourceidentity", "sts:setcontext", "sts:getcalleridentity",
}  # fmt: skip

Element = Mapping[str, Any]


class Policy:
    """A parsed document. ``name`` says what it is in the answers of the policy simulator."""

    __slots__ = ("name", "principals", "statements", "static", "text")

    def __init__(
        self, text: str, statements: Sequence[Statement], name: str = "", principals: Sequence[tuple[str, str]] = ()
    ) -> None:
        self.text = text
        self.statements = tuple(statements)
        self.name = name
        self.static = all(s.static for s in statements)
        self.principals = tuple(principals)
        """(type, value) of all that Principal elements name, for the caller to check that they exist."""


def parse(text: str, kind: str = "identity", name: str = "", *, repeated_sids: bool = False) -> Policy:
    """``kind``: identity (also boundaries and session policies), managed (an identity policy that has to name its
    version), resource, or trust. ``repeated_sids``: whether statements may share one, as ECR's may. Raises PolicyError;
    of several faults it is the one that AWS would name."""
    named, kind = kind == "managed", "identity" if kind == "managed" else kind
    document = _load(text, kind)
    version = document.get("Version", "" if named else "2008-10-17")
    raw = document.get("Statement")
    statements: list[Any] = raw if isinstance(raw, list) else [raw]
    if not statements and kind == "trust":
        raise PolicyError("Could not parse the policy: Statement is empty!")
    if not statements or not all(isinstance(s, dict) for s in statements):
        raise PolicyError("Syntax errors in policy.")
    if kind == "identity":
        check_syntax(document, statements, _VERSIONS)
    if kind == "trust":
        check_trust(version, statements, _VERSIONS)
    if version not in _VERSIONS or (kind == "identity" and "Version" in document and version != _VERSIONS[1]):
        raise PolicyError("Policy document must be version 2012-10-17 or greater.")
    if kind == "identity":
        check_legacy(statements)
    sids = [s["Sid"] for s in statements if s.get("Sid")]
    if len(set(map(str, sids))) != len(sids) and not repeated_sids:
        raise PolicyError("Statement IDs (SID) in a single policy must be unique.")
    reader = _Reader(kind, version == _VERSIONS[1])
    compiled = [reader.statement(s, i) for i, s in enumerate(statements)]
    return Policy(text, compiled, name, reader.principals)


def _load(text: str, kind: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({k for k, _ in pairs}) != len(pairs):
            raise PolicyError("Syntax errors in policy.")
        return dict(pairs)

    try:
        document = json.loads(text, object_pairs_hook=unique)
    except PolicyError:
        raise
    except (ValueError, RecursionError):
        raise PolicyError(
            "This policy contains invalid Json" if kind == "trust" else "Syntax errors in policy."
        ) from None
    if not isinstance(document, dict):
        raise PolicyError("Syntax errors in policy.")
    for field in document:
        if field not in _TOP:
            raise PolicyError(f"Unknown field {field}" if kind == "trust" else "Syntax errors in policy.")
    if "Statement" not in document:
        raise PolicyError("Missing required field Statement" if kind == "trust" else "Syntax errors in policy.")
    return document


class _Reader:
    """Reads the statements of one document."""

    def __init__(self, kind: str, variables: bool) -> None:
        self.kind = kind
        self.variables = variables
        self.principals: list[tuple[str, str]] = []

    def statement(self, raw: Element, index: int) -> Statement:
        for field in raw:
            if field not in _ELEMENTS:
                raise PolicyError(f"Unknown field {field}" if self.kind == "trust" else "Syntax errors in policy.")
        effect = raw.get("Effect")
        if effect not in ("Allow", "Deny"):
            raise PolicyError(SYNTAX)
        negated: set[str] = set()
        actions = _one_of(raw, "Action", negated, "Policy statement must contain actions.")
        if not actions:
            raise PolicyError("Policy statement must contain actions.")
        resources = self._resources(raw, negated)
        for action in actions:
            self._check_action(action)
        principal = self._principal(raw, negated)
        sid = self._sid(raw)
        elements = Elements(
            actions,
            self._resource(resources),
            principal,
            self._conditions(raw.get("Condition", {})),
            frozenset(negated),
        )
        return Statement(sid, allow=effect == "Allow", index=index, elements=elements)

    def _sid(self, raw: Element) -> str:
        sid = raw.get("Sid", "")
        if not isinstance(sid, str):
            raise PolicyError(SYNTAX)
        if self.kind == "identity" and not _SID.match(sid):
            raise PolicyError(
                "Statement IDs (SID) must be alpha-numeric. "
                "Check that your input satisfies the regular expression [0-9A-Za-z]*"
            )
        return sid

    def _check_action(self, action: str) -> None:
        if action != "*":
            vendor, colon, name = action.partition(":")
            if not colon:
                raise PolicyError("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
            if ":" in name:
                raise PolicyError("Actions/Condition can contain only one colon.")
            if not _VENDOR.match(vendor):
                raise PolicyError(f"Vendor {vendor} is not valid")
        if self.kind == "trust" and action.lower() not in _TRUST_ACTIONS:
            wild = "*" in action or "?" in action
            if not wild or not action.lower().startswith("sts:"):
                raise PolicyError("AssumeRole policy may only specify STS AssumeRole actions.")

    def _resources(self, raw: Element, negated: set[str]) -> Sequence[str] | None:
        """None where a policy of this kind says nothing of resources, nothing where it should have."""
        named = [f for f in ("Resource", "NotResource") if f in raw]
        if self.kind == "trust" and named:
            whole = "AssumeRole policy must not contain resources."
            raise PolicyError("Has prohibited field Resource" if "Resource" in raw else whole)
        if not named:
            return [] if self.kind == "identity" else None
        resources = _one_of(raw, "Resource", negated, "Policy statement must contain resources.")
        for resource in resources:
            _check_resource(resource)
        return resources

    def _resource(self, resources: Sequence[str] | None) -> ResourceTest | None:
        if resources is None:
            return None
        if not resources:
            raise PolicyError("Policy statement must contain resources.")
        return ResourceTest(resources, self.variables)

    def _principal(self, raw: Element, negated: set[str]) -> PrincipalTest | None:
        named = [f for f in ("Principal", "NotPrincipal") if f in raw]
        if self.kind == "identity":
            if named:
                raise PolicyError("Policy document should not specify a principal.")
            return None
        if len(named) != 1:
            raise PolicyError(
                "Missing required field Principal" if self.kind == "trust" else "Syntax errors in policy."
            )
        if named[0] == "NotPrincipal":
            negated.add("Principal")
        principal = raw[named[0]]
        if principal == "*":
            return PrincipalTest("*")
        if principal == {} and self.kind == "trust":
            raise PolicyError("Missing required field Principal cannot be empty!")
        if not isinstance(principal, dict) or not principal or not set(principal) <= _PRINCIPALS:
            raise PolicyError("Invalid principal in policy")
        lists = {}
        for of, value in principal.items():
            lists[of] = _strings(value, f'Invalid principal in policy: "{of}"')
            for each in lists[of]:
                _check_principal(of, each)
                self.principals.append((of, each))
        return PrincipalTest(lists)

    def _conditions(self, raw: Any) -> list[Condition]:
        if not isinstance(raw, dict):
            raise PolicyError("Syntax errors in policy.")
        conditions = []
        for operator, keys in raw.items():
            if not isinstance(keys, dict):
                raise PolicyError("Syntax errors in policy.")
            for key, values in keys.items():
                if ":" not in key and self.kind != "identity":
                    raise PolicyError("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
                texts = _condition_values(values)
                try:
                    conditions.append(Condition(operator, key, texts, self.variables))
                except ValueError:
                    raise PolicyError(f"Invalid Condition type : {operator}.") from None
        return conditions


def _one_of(raw: Element, name: str, negated: set[str], message: str) -> Sequence[str]:
    """The strings of ``name`` or of its Not… form; exactly one of the two has to be there."""
    if (name in raw) == ("Not" + name in raw):
        raise PolicyError(message if name not in raw else "Syntax errors in policy.")
    if name in raw:
        return _strings(raw[name], "Syntax errors in policy.")
    negated.add(name)
    return _strings(raw["Not" + name], "Syntax errors in policy.")


def _strings(value: Any, message: str) -> list[str]:
    values = [v for v in value if v is not None] if isinstance(value, list) else [value]
    if not all(isinstance(v, str) for v in values):
        raise PolicyError(message)
    return values


def _condition_values(value: Any) -> list[str]:
    """Numbers and booleans are taken as their JSON text, as IAM does."""
    out = []
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, bool):
            out.append("true" if each else "false")
        elif isinstance(each, str | int | float):
            out.append(str(each))
        else:
            raise PolicyError("Syntax errors in policy.")
    return out


def _check_resource(resource: str) -> None:
    if resource == "*":
        return
    if ":" not in resource:
        if resource.startswith("*"):
            return
        raise PolicyError(f'Resource {resource} must be in ARN format or "*".')
    parts = ["arn", *resource.split(":", 5)[1:]]
    if parts[1] not in _PARTITIONS:
        read = ":".join(parts + ["*"] * (6 - len(parts)))
        raise PolicyError(f'Partition "{parts[1]}" is not valid for resource "{read}".')
    if len(parts) < 3:
        raise PolicyError("Resource vendor must be fully qualified and cannot contain regexes.")
    if not parts[2] or (len(parts) < 6 and "::" in resource):
        raise PolicyError(LEGACY)
    if ("*" in parts[2] or "?" in parts[2]) and parts[2] != "*":
        raise PolicyError("Resource vendor must be fully qualified and cannot contain regexes.")
    if len(parts) < 6:
        return
    if parts[2] == "iam":
        _check_iam(resource, parts)
    if parts[2] == "s3" and parts[3] not in ("", "*") and not parts[4]:
        raise PolicyError(f"Resource {resource} can not contain region information.")


def _check_iam(resource: str, parts: Sequence[str]) -> None:
    if parts[3] not in ("", "*"):
        raise PolicyError(f"IAM resource {resource} cannot contain region information.")
    tail = parts[5]
    if tail.startswith(("*", "root", "${")) or tail.startswith(_IAM_PATHS) or "*" in tail.split("/", 1)[0]:
        return
    raise PolicyError(
        'IAM resource path must either be "*" or start with user/, federated-user/, role/, group/, instance-profile/, '
        "mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, report/, access-report/."
    )


_PRINCIPAL_ARN = re.compile(
    r"arn:aws[a-z-]*:(iam|sts)::(\d{12}):(root|(user|role|assumed-role|federated-user)/[\w+=,.@/-]+)\Z"
)
_SERVICE = re.compile(r"([a-z0-9-]+\.)+(amazonaws\.com(\.cn)?|amazon\.com)\Z")


def _check_principal(of: str, value: str) -> None:
    good = True
    if of == "AWS":
        unique_id = re.fullmatch(r"A(IDA|ROA)[A-Z0-9]{17}", value)
        account = len(value) == 12 and value.isdigit()
        good = value == "*" or account or bool(unique_id) or bool(_PRINCIPAL_ARN.match(value))
    elif of == "Service":
        good = bool(_SERVICE.match(value))
    if not good:
        raise PolicyError(f'Invalid principal in policy: "{of.upper() if of == "Service" else of}":"{value}"')
