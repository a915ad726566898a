"""A compiled statement, and the question that is put to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from havre.core.policy.conditions import Condition, Context
from havre.core.policy.patterns import Matcher, Template, any_of, glob

__all__ = ["Context", "PrincipalTest", "Question", "Reach", "ResourceTest", "Statement", "Who"]


class Who(msgspec.Struct, frozen=True):
    """The caller as resource policies see him. ``kind`` as in Principal; ``role`` is the assumed role's ARN, ``service``
    the host name of an AWS service, ``federated`` the identity provider."""

    kind: str
    account: str
    arn: str
    role: str = ""
    service: str = ""
    federated: str = ""


class Question(msgspec.Struct, frozen=True):
    """``context`` has lower-case keys; each value is a sequence."""

    action: str
    resource: str
    context: Context = {}
    who: Who | None = None


class Reach:
    """How closely a resource policy's Principal names the caller; the larger, the closer."""

    NONE = 0
    ACCOUNT = 1
    """His account: that account's own policies decide on."""
    ROLE = 2
    """The role that he has assumed, or everybody."""
    DIRECT = 3
    """Himself: the user, the role session, the service."""


class PrincipalTest:
    """A Principal element."""

    __slots__ = ("_accounts", "_arns", "_everybody", "_federated", "_services")

    def __init__(self, principal: str | Mapping[str, Sequence[str]]) -> None:
        named: Mapping[str, Sequence[str]] = {"AWS": ["*"]} if isinstance(principal, str) else principal
        aws = named.get("AWS", ())
        self._everybody = "*" in aws
        self._accounts = {_account_of(a) for a in aws} - {""}
        self._arns = frozenset(aws)
        self._services = frozenset(named.get("Service", ()))
        self._federated = frozenset(named.get("Federated", ()))

    def reach(self, who: Who) -> int:
        if who.service and who.kind == "AWSService":
            if who.service in self._services or "*" in self._services:
                return Reach.DIRECT
            return Reach.ROLE if self._everybody else Reach.NONE
        if who.federated and who.kind == "WebIdentityUser":
            return Reach.DIRECT if who.federated in self._federated else Reach.NONE
        if who.arn in self._arns:
            return Reach.DIRECT
        if (who.role and who.role in self._arns) or self._everybody:
            return Reach.ROLE
        return Reach.ACCOUNT if who.account in self._accounts else Reach.NONE

    def spares(self, who: Who) -> bool:
        """Whether a denial of all others leaves the caller alone: he is listed, and so are the role that he has assumed and
        his account, whose each AWS would look for in turn."""
        if who.service and who.kind == "AWSService":
            return self.reach(who) != Reach.NONE
        chain = (who.arn, who.role) if who.role else (who.arn,)
        listed = all(arn in self._arns for arn in chain) or who.kind == "Root"
        return self._everybody or (listed and who.account in self._accounts)


def _account_of(name: str) -> str:
    if len(name) == 12 and name.isdigit():
        return name
    if name.startswith("arn:aws:iam::") and name.endswith(":root"):
        return name[13:-5]
    return ""


class ResourceTest:
    """A Resource element: patterns without variables together, those with variables one by one."""

    __slots__ = ("_fixed", "_templates", "variables")

    def __init__(self, patterns: Sequence[str], variables: bool) -> None:
        templates = [Template(p, variables) for p in patterns]
        fixed = [t.fixed for t in templates if t.fixed is not None]
        self._fixed: Matcher | None = any_of(fixed) if fixed else None
        self._templates = tuple(t for t in templates if t.fixed is None)
        self.variables = bool(self._templates)

    def matches(self, question: Question) -> bool:
        if self._fixed is not None and self._fixed(question.resource):
            return True
        for template in self._templates:
            pattern = template.expand(question.context)
            if pattern is not None and glob(pattern)(question.resource):
                return True
        return False

    def unresolved(self, context: Context) -> bool:
        """Whether a variable has no value: such a statement is never applied the other way round (NotResource)."""
        return any(t.expand(context) is None for t in self._templates)


class Elements(NamedTuple):
    """What a statement is about. ``negated`` has ``Action``, ``Resource`` or ``Principal`` where the element was its Not…
    form."""

    actions: Sequence[str]
    resource: ResourceTest | None
    principal: PrincipalTest | None
    conditions: Sequence[Condition]
    negated: frozenset[str]


class Statement:
    """One statement of a policy, ready to be asked. ``static`` says that the request's context cannot matter."""

    __slots__ = ("_action", "_conditions", "_not", "_principal", "_resource", "allow", "index", "sid", "static")

    def __init__(self, sid: str, *, allow: bool, index: int, elements: Elements) -> None:
        self.sid = sid
        self.allow = allow
        self.index = index
        self._action = any_of(elements.actions, ignore_case=True)
        self._resource = elements.resource
        self._principal = elements.principal
        self._conditions = tuple(elements.conditions)
        self._not = elements.negated
        self.static = not elements.conditions and not (elements.resource and elements.resource.variables)

    def applies(self, question: Question) -> bool:
        """Action, resource and conditions; not the principal."""
        if self._action(question.action) is ("Action" in self._not):
            return False
        if self._resource is not None:
            matched = self._resource.matches(question)
            if "Resource" in self._not:
                if matched or self._resource.unresolved(question.context):
                    return False
            elif not matched:
                return False
        return all(c.holds(question.context) for c in self._conditions)

    def reach(self, who: Who | None, bounded: bool = False) -> int:
        """How the Principal element names the caller. NotPrincipal reaches everybody it does not list, and where it denies
        whoever has a boundary (``bounded``), too; where it allows, nobody of an account that it lists."""
        if self._principal is None or who is None:
            return Reach.NONE
        reach = self._principal.reach(who)
        if "Principal" not in self._not:
            return reach
        spared = reach != Reach.NONE if self.allow else self._principal.spares(who) and not bounded
        return Reach.NONE if spared else Reach.ROLE
