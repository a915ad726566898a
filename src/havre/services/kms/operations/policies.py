"""Key policies: there is one, and its name is default."""

from __future__ import annotations

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.core.policy import Grants, Question, Who, decide, parse
from havre.kernel.errors import ApiError
from havre.services.kms import conditions, errors, policies, queries
from havre.store.ports import Transaction

ops = Operations()
_NAME = "default"


def check_lockout(call: Call, policy: str, arn: str) -> None:
    """Who sets a policy must be able to set another one. Raises ApiError."""
    who = call.principal
    if who.service or call.site.auth == "open":
        return
    asked = Question("kms:PutKeyPolicy", arn, {}, Who(who.kind, who.account, who.arn, who.role, who.service))
    if not decide(asked, Grants((_ANYTHING,)), parse(policy, "resource"), call.account, trust=True).allowed:
        raise ApiError(
            "MalformedPolicyDocumentException",
            "The new key policy will not allow you to update the key policy in the future.",
        )


_ANYTHING = parse('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*"}}')


@ops("PutKeyPolicy", resources=queries.about(), conditions=conditions.of_request, about=conditions.of_key)
async def put_key_policy(call: Call, request: Request) -> Answer:
    _check_name(request)
    policy = request["Policy"]
    policies.check(policy)
    if not request.get("BypassPolicyLockoutSafetyCheck"):
        check_lockout(call, policy, queries.arn_of(call, request["KeyId"]))

    def change(tx: Transaction) -> None:
        found = queries.own(call, tx, request["KeyId"])
        tx.update(found, spec=replace(found.spec, policy=policy))

    await call.store.transact(change)
    return {}


@ops("GetKeyPolicy", resources=queries.about(), conditions=conditions.of_request, about=conditions.of_key)
async def get_key_policy(call: Call, request: Request) -> Answer:
    _check_name(request)
    found = queries.key(call, call.store, request["KeyId"], alias=False)
    return {"Policy": found.spec.policy, "PolicyName": _NAME}


@ops("ListKeyPolicies", resources=queries.about(), conditions=conditions.of_request, about=conditions.of_key)
async def list_key_policies(call: Call, request: Request) -> Answer:
    queries.key(call, call.store, request["KeyId"], alias=False)
    return {"PolicyNames": [_NAME], "Truncated": False}


def _check_name(request: Request) -> None:
    if request.get("PolicyName", _NAME) != _NAME:
        raise errors.not_found(f"No such policy exists: {request['PolicyName']}")
