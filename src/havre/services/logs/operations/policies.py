"""Resource policies: which AWS services may write. They say nothing of users, roles and other accounts, as in AWS:
IAM's decisions do not ask for them."""

from __future__ import annotations

from havre.control.operation import Answer, Call, Operations, Request
from havre.core.policy import PolicyError, parse
from havre.kernel.errors import ApiError
from havre.kernel.resource import NoStatus
from havre.services.logs import names, present, queries
from havre.services.logs.errors import invalid, no_group
from havre.services.logs.paging import page
from havre.services.logs.resources import POLICY, Policy, ResourcePolicy
from havre.store.ports import Transaction

ops = Operations()
MOST = 10
LONGEST = 5_120
_CONFLICT = "A conflicting operation is currently in progress against this resource. Please try again."


def _key(call: Call, request: Request) -> tuple[str, str]:
    """The record's name, and the ARN of the log group that the policy hangs on ("" for the account's)."""
    name, arn = request.get("policyName"), request.get("resourceArn")
    if arn is None:
        if not name:
            raise invalid(f"{call.operation} request must contain policy name or resource arn.")
        return f"account/{name}", ""
    if name:
        raise invalid("policyName and resourceArn are mutually exclusive parameters.")
    group = names.tagged_name(arn)
    if group is None or names.group_arn(call, group) != arn:
        raise invalid(f"The resource ARN '{arn[:300]}' is not that of a log group in this account and Region.")
    return f"resource/{arn}", arn


def _document(request: Request) -> str:
    text = request.get("policyDocument")
    if not text:
        raise invalid("Policy document is required.")
    if len(text) > LONGEST:
        raise invalid(f"The policy document is longer than {LONGEST} characters.")
    try:
        policy = parse(text, "resource")
    except PolicyError as error:
        raise invalid(f"Invalid resource policy: {error}") from None
    for of, named in policy.principals:
        if of == "AWS" and named.startswith("arn:"):
            raise invalid(f"Principal section of policy contains ARN instead of account ID: {named}")
    return str(text)


@ops("PutResourcePolicy")
async def put_resource_policy(call: Call, request: Request) -> Answer:
    name, arn = _key(call, request)
    document = _document(request)

    def change(tx: Transaction) -> Policy:
        if arn:
            queries.group(call, names.tagged_name(arn) or "", tx)
        found = tx.get(POLICY, call.account, call.region, name)
        if arn and (found is None) != (request.get("expectedRevisionId") is None):
            raise ApiError("OperationAbortedException", _CONFLICT)
        _expected(request, found, arn)
        spec = ResourcePolicy(document, arn, _next(found) if arn else "")
        if found is not None:
            return tx.update(found, spec=spec)
        every = tx.list(POLICY, call.account, call.region)
        if not arn and sum(1 for r in every if not r.spec.resource) >= MOST:
            raise ApiError("LimitExceededException", "Resource limit exceeded.")
        key = {"account": call.account, "region": call.region, "name": name}
        return tx.create(POLICY, **key, arn="", spec=spec, status=NoStatus())

    made = await call.store.transact(change)
    return {"resourcePolicy": present.policy(made), "revisionId": made.spec.revision or None}


def _next(found: Policy | None) -> str:
    """Revisions count from 1; one that is no number is of before they counted."""
    before = found.spec.revision if found is not None else ""
    return str(int(before) + 1) if before.isdecimal() else "1"


def _expected(request: Request, found: Policy | None, arn: str) -> None:
    """Who replaces or deletes the policy of a resource says which revision of it he has seen."""
    if arn and found is not None and request.get("expectedRevisionId") != found.spec.revision:
        raise invalid("Invalid ExpectedRevisionId")


@ops("DeleteResourcePolicy")
async def delete_resource_policy(call: Call, request: Request) -> Answer:
    name, arn = _key(call, request)

    def change(tx: Transaction) -> None:
        found = tx.get(POLICY, call.account, call.region, name)
        if found is None:
            unknown = f"Policy with name [{request.get('policyName')}] does not exist."
            raise ApiError("ResourceNotFoundException", "No policy found for ResourceArn" if arn else unknown)
        _expected(request, found, arn)
        tx.remove(found)

    await call.store.transact(change)
    return None


@ops("DescribeResourcePolicies", read_only=True)
async def describe_resource_policies(call: Call, request: Request) -> Answer:
    arn, scope = request.get("resourceArn"), request.get("policyScope")
    if arn is not None and names.tagged_name(arn) is None:
        raise no_group()
    wanted = "RESOURCE" if arn is not None else scope or "ACCOUNT"
    found = [
        r
        for r in call.store.list(POLICY, call.account, call.region)
        if (r.spec.resource == arn if arn is not None else bool(r.spec.resource) == (wanted == "RESOURCE"))
    ]
    shown, token = page(call, request, found, lambda r: r.meta.name)
    return {"resourcePolicies": [present.policy(r) for r in shown], "nextToken": token}
