"""Policies of repositories and of the registry."""

from __future__ import annotations

import json

from havre.control.images import REGISTRY, Place, RegistrySpec
from havre.control.images.changes import repository
from havre.control.operation import Answer, Call, Operations, Principal, Request
from havre.core.policy import ALLOW_ALL, Grants, Policy, PolicyError, Question, Who, decide, parse
from havre.kernel.resource import NoStatus
from havre.services.ecr import present
from havre.services.ecr.common import about, place
from havre.services.ecr.errors import invalid, missing, modelled
from havre.services.ecr.facilities import Facilities
from havre.services.ecr.operations.repositories import update
from havre.store.ports import Transaction

REGISTRY_SIZE = 10_240


async def set_policy(call: Call, request: Request) -> Answer:
    where = place(call, request)
    with modelled():
        repository(call.store, where)
    policy = _parse(request["policyText"], repository=True)
    if not request.get("force", False) and _locks_out(policy, call.principal, where):
        raise invalid(
            "PolicyText",
            "The policy would not allow you to set another repository policy in the future; use force to set it",
        )
    await update(call, where, policy=request["policyText"])
    return {**present.named(where), "policyText": request["policyText"]}


async def get_policy(call: Call, request: Request) -> Answer:
    where = place(call, request)
    with modelled():
        found = repository(call.store, where)
    if not found.spec.policy:
        raise missing("RepositoryPolicyNotFoundException", "Repository policy", where)
    return {**present.named(where), "policyText": found.spec.policy}


async def delete_policy(call: Call, request: Request) -> Answer:
    shown = await get_policy(call, request)
    await update(call, place(call, request), policy="")
    return shown


async def put_registry_policy(call: Call, request: Request) -> Answer:
    text = request["policyText"]
    if len(text) > REGISTRY_SIZE:
        raise invalid("policyText", f"Member must have length less than or equal to {REGISTRY_SIZE}")
    _parse(text, repository=False)
    await _save(call, text)
    return {"registryId": call.account, "policyText": text}


async def get_registry_policy(call: Call, request: Request) -> Answer:
    found = call.store.get(REGISTRY, call.account, call.region, "registry")
    if found is None or not found.spec.policy:
        raise missing("RegistryPolicyNotFoundException", "Registry policy", Place(call.account, call.region, ""))
    return {"registryId": call.account, "policyText": found.spec.policy}


async def delete_registry_policy(call: Call, request: Request) -> Answer:
    shown = await get_registry_policy(call, request)
    await _save(call, "")
    return shown


async def _save(call: Call, text: str) -> None:
    def change(transaction: Transaction) -> None:
        found = transaction.get(REGISTRY, call.account, call.region, "registry")
        if found is not None:
            transaction.update(found, spec=RegistrySpec(text))
            return
        arn = call.arn("registry")
        transaction.create(
            REGISTRY,
            account=call.account,
            region=call.region,
            name="registry",
            arn=arn,
            spec=RegistrySpec(text),
            status=NoStatus(),
        )

    await call.store.transact(change)


def _parse(text: str, repository: bool) -> Policy:
    """Raises ApiError for what is no policy, and for a repository policy that names resources (it is on one)."""
    what = "repository" if repository else "registry"
    try:
        policy = parse(text, "resource", repeated_sids=True)
        statements = json.loads(text)["Statement"]
    except (PolicyError, ValueError) as error:
        raise invalid("PolicyText", f"Invalid {what} policy provided: {error}") from None
    for each in statements if isinstance(statements, list) else [statements]:
        if repository and ("Resource" in each or "NotResource" in each):
            raise invalid("PolicyText", "Invalid repository policy provided: a repository policy has no Resource")
        if not repository and not ("Resource" in each or "NotResource" in each):
            raise invalid("PolicyText", "Invalid registry policy provided: a registry policy needs a Resource")
    return policy


def _locks_out(policy: Policy, who: Principal, where: Place) -> bool:
    """Whether this caller, allowed everything otherwise, could not set the policy again."""
    caller = Who("AWSService" if who.service else who.kind, who.account, who.arn, who.role, who.service)
    question = Question("ecr:SetRepositoryPolicy", where.arn, {}, caller)
    return decide(question, Grants((ALLOW_ALL,)), policy, where.account).outcome == "explicitDeny"


def operations(given: Facilities) -> Operations:
    ops = Operations()
    about(ops, "SetRepositoryPolicy")(set_policy)
    about(ops, "GetRepositoryPolicy")(get_policy)
    about(ops, "DeleteRepositoryPolicy")(delete_policy)
    ops("PutRegistryPolicy")(put_registry_policy)
    ops("GetRegistryPolicy")(get_registry_policy)
    ops("DeleteRegistryPolicy")(delete_registry_policy)
    return ops
