"""The policy simulator: the gateway's own decision, asked with a context that the caller makes up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from havre.control.operation import Answer, Call, Operations, Request
from havre.core.policy import Decision, Grants, Matched, Policy, PolicyError, Question, Who, decide, parse, positions
from havre.core.policy.positions import Position
from havre.kernel.errors import ApiError
from havre.services.iam import managed
from havre.services.iam.common import checked_document, holder, invalid, no_such, page
from havre.services.iam.resources import GROUP, POLICY

ops = Operations()


@ops("SimulateCustomPolicy", read_only=True)
async def simulate_custom_policy(call: Call, request: Request) -> Answer:
    policies = [_read(text, f"PolicyInputList.{i}") for i, text in enumerate(request["PolicyInputList"], 1)]
    return _simulate(call, request, policies, None, request.get("CallerArn", ""))


@ops("SimulatePrincipalPolicy", read_only=True, resources=lambda call, request: (request["PolicySourceArn"],))
async def simulate_principal_policy(call: Call, request: Request) -> Answer:
    arn = request["PolicySourceArn"]
    policies, boundary = _policies_of(call, arn)
    policies += [_read(text, f"PolicyInputList.{i}") for i, text in enumerate(request.get("PolicyInputList", ()), 1)]
    return _simulate(call, request, policies, boundary, request.get("CallerArn", arn))


@ops("GetContextKeysForCustomPolicy", read_only=True)
async def context_keys_for_custom_policy(call: Call, request: Request) -> Answer:
    for text in request["PolicyInputList"]:
        checked_document(text)
    return {"ContextKeyNames": _context_keys(request["PolicyInputList"])}


@ops("GetContextKeysForPrincipalPolicy", read_only=True)
async def context_keys_for_principal_policy(call: Call, request: Request) -> Answer:
    policies, _ = _policies_of(call, request["PolicySourceArn"])
    given = list(request.get("PolicyInputList", ()))
    for text in given:
        checked_document(text)
    return {"ContextKeyNames": _context_keys([p.text for p in policies] + given)}


def _context_keys(documents: Sequence[str]) -> list[str]:
    import json
    import re

    keys: set[str] = set()
    for text in documents:
        keys |= {k.split(",")[0].strip() for k in re.findall(r"\$\{([^{}]+)\}", text)} - {"*", "?", "$"}
        statements = json.loads(text)["Statement"]
        for statement in statements if isinstance(statements, list) else [statements]:
            for block in statement.get("Condition", {}).values():
                keys |= set(block)
    return sorted(keys)


def _read(text: str, name: str) -> Policy:
    try:
        return parse(text, "identity", name)
    except PolicyError as error:
        raise invalid(f"Invalid policy {name}: {error}") from None


def _policies_of(call: Call, arn: str) -> tuple[list[Policy], Policy | None]:
    """The policies of a user (with his groups'), a group or a role, and the boundary."""
    kind, _, name = arn.split(":", 5)[-1].partition("/")
    if kind not in ("user", "group", "role") or not arn.startswith(f"arn:aws:iam::{call.account}:"):
        raise invalid(f"Invalid Entity Arn: {arn} does not clearly define entity type and name.")
    found = holder(call.store, call.account, kind.capitalize(), name.rsplit("/", 1)[-1])
    if found.meta.arn != arn:
        raise no_such(f"The {kind} with name {name} cannot be found.")
    groups = [call.store.get(GROUP, call.account, "", g) for g in getattr(found.spec, "groups", ())]
    policies = []
    for each in (found, *(g for g in groups if g is not None)):
        of = each.kind.removeprefix("iam.")
        policies += [_read(t, f"{of}_{each.spec.name}_{n}") for n, t in each.spec.inline.items()]
        policies += [_read(_managed(call, a), a.rsplit("/", 1)[-1]) for a in each.spec.attached]
    boundary = getattr(found.spec, "boundary", "")
    return policies, _read(_managed(call, boundary), boundary) if boundary else None


def _managed(call: Call, arn: str) -> str:
    for own in call.store.find(POLICY, "arn", arn):
        return own.spec.document
    text = managed.document(arn)
    if text is None:
        raise no_such(f"Policy {arn} was not found.")
    return text


def _who(arn: str) -> Who | None:
    parts = arn.split(":", 5)
    if len(parts) != 6:
        return None
    kind = {"user": "IAMUser", "role": "AssumedRole", "root": "Root"}.get(parts[5].split("/")[0], "IAMUser")
    return Who(kind, parts[4], arn, arn if kind == "AssumedRole" else "")


def _context(entries: Sequence[Mapping[str, Any]]) -> dict[str, Sequence[str]]:
    return {e["ContextKeyName"].lower(): tuple(e["ContextKeyValues"]) for e in entries if "ContextKeyName" in e}


def _simulate(call: Call, request: Request, policies: Sequence[Policy], boundary: Policy | None, caller: str) -> Answer:
    context = _context(request.get("ContextEntries", ()))
    given = request.get("PermissionsBoundaryPolicyInputList")
    if given:
        boundary = _read(given[0], "PermissionsBoundaryPolicyInputList.1")
    grants = Grants(tuple(policies), boundary)
    text = request.get("ResourcePolicy")
    try:
        on_resource = parse(text, "resource", "ResourcePolicy") if text else None
    except PolicyError as error:
        raise invalid(f"Invalid ResourcePolicy: {error}") from None
    if on_resource is not None and not caller:
        raise invalid("CallerArn is required when ResourcePolicy is given.")
    owner = _owner(request.get("ResourceOwner", ""))
    known = [p for p in (*policies, boundary, on_resource) if p is not None]
    found = _Found(known, boundary is not None, "ResourceArns" in request, context)
    rows = []
    for action in request["ActionNames"]:
        if ":" not in action:
            raise ApiError("InvalidInput", f"Invalid Action : {action}")
        for resource in request.get("ResourceArns") or ("*",):
            decision = decide(Question(action, resource, context, _who(caller)), grants, on_resource, owner)
            rows.append(found.row(action, resource, decision))
    numbered = [(f"{i:06d}", row) for i, row in enumerate(rows)]
    shown, more = page(call, request, numbered, lambda row: row[0])
    return {"EvaluationResults": [row for _, row in shown], **more}


def _owner(text: str) -> str:
    return text.split(":")[4] if text.startswith("arn:") else text


_TYPES = {"identity": "IAM Policy", "resource": "Resource Policy", "boundary": "IAM Permissions Boundary Policy"}


class _Found:
    """What is told of each decision."""

    def __init__(self, known: Sequence[Policy], bounded: bool, named: bool, context: Mapping[str, Any]) -> None:
        """``known``: all policies that take part. ``named``: whether the request names resources."""
        self._where: dict[str, list[tuple[Position, Position]]] = {}
        for (
            policy
        ) in known:  # one of AWS's may be called as one of the account's: where that is shorter, it is not told
            spans = positions(policy.text)
            self._where[policy.name] = max(self._where.get(policy.name, []), spans, key=len)
        self._missing = [key for key in _context_keys([p.text for p in known]) if key.lower() not in context]
        self._bounded, self._named = bounded, named

    def row(self, action: str, resource: str, decision: Decision) -> dict[str, Any]:
        found: dict[str, Any] = {
            "MatchedStatements": [self._statement(each) for each in decision.matched],
            "MissingContextValues": self._missing,
        }
        if self._bounded:
            found["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": decision.layer != "boundary"}
        out = {"EvalActionName": action, "EvalResourceName": resource, "EvalDecision": decision.outcome, **found}
        if self._named:
            of = {"EvalResourceName": resource, "EvalResourceDecision": decision.outcome, **found}
            out["ResourceSpecificResults"] = [of]
        return out

    def _statement(self, matched: Matched) -> dict[str, Any]:
        start, end = self._where[matched.policy][matched.index]
        return {
            "SourcePolicyId": matched.policy,
            "SourcePolicyType": _TYPES.get(matched.layer, "IAM Policy"),
            "StartPosition": {"Line": start.line, "Column": start.column},
            "EndPosition": {"Line": end.line, "Column": end.column},
        }
