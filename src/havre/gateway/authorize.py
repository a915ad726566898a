"""May this caller do that? IAM's decision, remembered where no request's context could change it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from havre.control.operation import Call, Principal, Service
from havre.core.policy import Decision, Policy, Question, Who, decide
from havre.gateway.context import Context, condition_keys
from havre.gateway.faults import INVALID_TOKEN, spell
from havre.gateway.ports import Parts
from havre.kernel.errors import ApiError

Conditions = Mapping[str, str | Sequence[str]]
REMEMBERED = 4_096
TRUST = frozenset(("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"))
"""Actions on roles, which the role's trust policy has to allow in any case."""
LOCKED = frozenset(("kms",))
"""Services whose resources have a policy each, without whose leave IAM's policies allow nothing."""

_WHY = {
    "identity": ("no identity-based policy allows", "an identity-based policy"),
    "resource": ("no resource-based policy allows", "a resource-based policy"),
    "boundary": ("no permissions boundary allows", "a permissions boundary"),
    "session": ("no session policy allows", "a session policy"),
}


class Authorize:
    def __init__(self, parts: Parts) -> None:
        self._policies = parts.policies
        self._store = parts.store
        self._by_resource = parts.resource_policies
        self._owners = parts.resource_owners
        self._enforced = parts.site.auth != "open"

    def check(
        self,
        context: Context,
        action: str,
        resources: Sequence[str],
        extra: Callable[[], Conditions] | None = None,
        about: Callable[[str], Conditions] | None = None,
    ) -> None:
        """Raises ApiError, as the service spells it, unless ``action`` is allowed on each of ``resources``. ``extra`` gives
        the condition keys of the request, ``about`` those of one resource."""
        who = context.principal
        if not self._enforced or not action or (who.service and not who.source and action not in TRUST):
            return
        if who.access_key.startswith("ASIA") and who.kind != "AssumedRole" and action.startswith("iam:"):
            # credentials of GetSessionToken and GetFederationToken never reach IAM
            raise spell("unknown_key", context.protocol, INVALID_TOKEN, context.service)
        for resource in resources:
            keys = extra if about is None else partial(_together, extra, about, resource)
            decision = self.decide(context, action, resource, keys)
            if not decision.allowed:
                raise denied(context, action, resource, decision)

    def decide(
        self, context: Context, action: str, resource: str, extra: Callable[[], Conditions] | None = None
    ) -> Decision:
        granted = self._policies.grants(context.principal)
        known: Decision | None = granted.decided.get((action, resource))
        if known is not None and not context.principal.source:
            return known
        parts = resource.split(":", 5)
        if len(parts) != 6:
            parts = ["", "", "", "", "", ""]
        owner = parts[4] if parts[4] != "aws" else ""
        if parts[2] in self._owners:
            owner = self._owners[parts[2]](self._store, resource)
        trust = action in TRUST
        on_resource = self._policies.trust(resource) if trust else self._resource_policy(parts[2], resource)
        trust = trust or bool(context.principal.source)
        if trust and on_resource is None:
            return Decision("implicitDeny", "resource")
        trust = trust or (on_resource is not None and parts[2] in LOCKED)
        if on_resource is not None or not granted.static:
            keys = condition_keys(context, extra() if extra is not None else {})
            question = Question(action, resource, keys, who_is(context.principal))
            return decide(question, granted.grants, on_resource, owner, trust=trust)
        lasting = parts[2] not in self._owners and parts[2] not in self._by_resource
        where = (action, resource) if lasting else (action, resource, owner)
        known = granted.decided.get(where)
        if known is None:
            known = decide(Question(action, resource, {}, who_is(context.principal)), granted.grants, None, owner)
            if len(granted.decided) >= REMEMBERED:
                granted.decided.clear()
            granted.decided[where] = known
        return known

    def _resource_policy(self, service: str, resource: str) -> Policy | None:
        find = self._by_resource.get(service)
        text = find(self._store, resource) if find is not None else None
        return None if text is None else self._policies.resource_policy(text)


def tagged(service: Service, call: Call) -> Callable[[str], Conditions] | None:
    """The condition keys that a resource's tags make, by its ARN."""
    if service.tags is None:
        return None
    find = service.tags

    def about(arn: str) -> Conditions:
        try:
            tags = find(call, arn)
        except ApiError:
            return {}
        return {f"{of}:ResourceTag/{key}": tags[key] for key in tags for of in ("aws", service.iam_prefix)}

    return about


def _together(extra: Callable[[], Conditions] | None, about: Callable[[str], Conditions], resource: str) -> Conditions:
    return {**(extra() if extra is not None else {}), **about(resource)}


def who_is(principal: Principal) -> Who:
    kind = "AWSService" if principal.service else principal.kind
    return Who(kind, principal.account, principal.arn, principal.role, principal.service)


def denied(context: Context, action: str, resource: str, decision: Decision) -> ApiError:
    """In AWS's words, which say what kind of policy is the reason."""
    allows, denies = _WHY[decision.layer or "identity"]
    because = (
        f"with an explicit deny in {denies}"
        if decision.outcome == "explicitDeny"
        else f"because {allows} the {action} action"
    )
    if action in TRUST and decision.layer == "resource":
        because = ""  # AWS does not tell whether there is such a role
    text = f"User: {context.principal.arn} is not authorized to perform: {action} on resource: {resource} {because}".rstrip()
    if context.protocol == "ec2":
        text = f"You are not authorized to perform this operation. {text}"
    return spell("denied", context.protocol, text, context.service)
