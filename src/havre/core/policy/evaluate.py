"""The decision: identity, resource, boundary and session policies together, as IAM's evaluation logic says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from havre.core.policy.document import Policy, parse
from havre.core.policy.statement import Question, Reach, Statement

ALLOWED, IMPLICIT, EXPLICIT = "allowed", "implicitDeny", "explicitDeny"
ALLOW_ALL = parse('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}')


class Grants(msgspec.Struct, frozen=True):
    """What a caller brings along. ``boundary`` None is no boundary; ``session`` None is no session policy (an empty one
    allows nothing)."""

    identity: tuple[Policy, ...] = ()
    boundary: Policy | None = None
    session: tuple[Policy, ...] | None = None

    @property
    def static(self) -> bool:
        """Whether no request's context can change a decision."""
        extra = () if self.boundary is None else (self.boundary,)
        return all(p.static for p in (*self.identity, *(self.session or ()), *extra))


class Matched(msgspec.Struct, frozen=True):
    """A statement that applied: the policy's name, its place in it, and the layer: identity, resource, boundary, session."""

    layer: str
    policy: str
    index: int
    sid: str


class Decision(msgspec.Struct, frozen=True):
    """``outcome``: allowed, implicitDeny, explicitDeny. ``layer`` is where a no comes from."""

    outcome: str
    layer: str = ""
    matched: tuple[Matched, ...] = ()

    @property
    def allowed(self) -> bool:
        return self.outcome == ALLOWED


def decide(
    question: Question,
    grants: Grants,
    resource: Policy | None = None,
    resource_account: str = "",
    *,
    trust: bool = False,
) -> Decision:
    """``resource`` is the policy on the resource, ``resource_account`` its owner ("" the caller's own account).

    ``trust``: the resource's policy has to let the caller in, whatever his own policies say (roles).
    """
    layers: tuple[tuple[str, Sequence[Policy]], ...] = (
        ("identity", grants.identity),
        ("boundary", (grants.boundary,) if grants.boundary is not None else ()),
        ("session", grants.session or ()),
    )
    for layer, policies in layers:
        denied = _matching(layer, policies, question, allow=False)
        if denied:
            return Decision(EXPLICIT, layer, denied)
    reach = Reach.NONE
    by_resource: tuple[Matched, ...] = ()
    if resource is not None:
        reach, by_resource, denied = _ask_resource(resource, question, grants.boundary is not None)
        if denied:
            return Decision(EXPLICIT, "resource", denied)
    if question.who is not None and question.who.kind == "Anonymous":  # he has no policies of his own
        return Decision(ALLOWED, "", by_resource) if reach >= Reach.ROLE else Decision(IMPLICIT, "resource")
    if trust and reach == Reach.NONE:
        return Decision(IMPLICIT, "resource")
    allowing = {layer: _matching(layer, policies, question, allow=True) for layer, policies in layers}
    missing = _missing(grants, allowing)
    same = not resource_account or question.who is None or question.who.account == resource_account
    if same:
        if reach >= Reach.ROLE and not _limited(reach, missing, question):
            return Decision(ALLOWED, "", (*by_resource, *allowing["identity"]))
    elif reach == Reach.NONE:
        return Decision(IMPLICIT, "resource" if "identity" not in missing else "identity")
    if missing:
        return Decision(IMPLICIT, missing[0])
    return Decision(ALLOWED, "", (*allowing["identity"], *by_resource))


def _missing(grants: Grants, allowing: dict[str, tuple[Matched, ...]]) -> tuple[str, ...]:
    """The layers that would have to allow, and do not."""
    missing = []
    if not allowing["identity"]:
        missing.append("identity")
    if grants.boundary is not None and not allowing["boundary"]:
        missing.append("boundary")
    if grants.session is not None and not allowing["session"]:
        missing.append("session")
    return tuple(missing)


def _limited(reach: int, missing: Sequence[str], question: Question) -> bool:
    """In one account a resource policy's allow is enough. Naming the user or the session itself it passes by boundary and
    session policy; naming the role (or everybody) it does not."""
    direct = reach == Reach.DIRECT and question.who is not None and question.who.kind != "FederatedUser"
    return not direct and any(layer in missing for layer in ("boundary", "session"))


def _matching(layer: str, policies: Iterable[Policy], question: Question, *, allow: bool) -> tuple[Matched, ...]:
    return tuple(
        _matched(layer, policy, statement)
        for policy in policies
        for statement in policy.statements
        if statement.allow is allow and statement.applies(question)
    )


def _ask_resource(
    policy: Policy, question: Question, bounded: bool
) -> tuple[int, tuple[Matched, ...], tuple[Matched, ...]]:
    """How closely the allowing statements name the caller, which they are, and which statements deny."""
    reach, allowed, denied = Reach.NONE, [], []
    for statement in policy.statements:
        close = statement.reach(question.who, bounded)
        if close == Reach.NONE or not statement.applies(question):
            continue
        if statement.allow:
            reach = max(reach, close)
            allowed.append(_matched("resource", policy, statement))
        else:
            denied.append(_matched("resource", policy, statement))
    return reach, tuple(allowed), tuple(denied)


def _matched(layer: str, policy: Policy, statement: Statement) -> Matched:
    return Matched(layer, policy.name, statement.index, statement.sid)
