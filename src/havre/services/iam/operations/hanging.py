"""What hangs on users, groups and roles alike: inline policies, attached policies, tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.control.tags import shown as shown_tags
from havre.kernel.errors import ApiError
from havre.kernel.resource import Kind, Resource
from havre.services.iam import managed
from havre.services.iam.common import (
    KINDS,
    QUOTAS,
    checked_document,
    holder,
    holder_arns,
    no_such,
    over_quota,
    page,
    shown_document,
    size,
    tags_of,
    without_tags,
)
from havre.services.iam.operations.boundaries import conditions
from havre.services.iam.resources import OIDC, POLICY, PROFILE
from havre.store.ports import Reader, Transaction

ops = Operations()


def _changeable(tx: Reader, call: Call, kind: str, request: Request) -> Resource[Any, Any]:
    found = holder(tx, call.account, kind, request[f"{kind}Name"])
    if getattr(found.spec, "service", ""):
        raise ApiError(
            "UnmodifiableEntity",
            f"Cannot perform the operation on the protected role '{found.spec.name}' - "
            "this role is only modifiable by AWS",
        )
    return found


def _declare_inline(kind: str) -> None:
    arns, quota = holder_arns(kind), QUOTAS[f"{kind}PolicySizeQuota"]

    @ops(f"Put{kind}Policy", resources=arns, conditions=conditions)
    async def put(call: Call, request: Request) -> Answer:
        checked_document(request["PolicyDocument"])

        def change(tx: Transaction) -> None:
            found = _changeable(tx, call, kind, request)
            inline = {**found.spec.inline, request["PolicyName"]: request["PolicyDocument"]}
            if sum(size(d) for d in inline.values()) > quota:
                raise ApiError(
                    "LimitExceeded",
                    f"Maximum policy size of {quota} bytes exceeded for {kind.lower()} {found.spec.name}",
                )
            tx.update(found, spec=replace(found.spec, inline=inline))

        await call.store.transact(change)
        return None

    def missing(name: str) -> ApiError:
        return no_such(f"The {kind.lower()} policy with name {name} cannot be found.")

    @ops(f"Get{kind}Policy", resources=arns)
    async def get(call: Call, request: Request) -> Answer:
        found = holder(call.store, call.account, kind, request[f"{kind}Name"])
        document = found.spec.inline.get(request["PolicyName"])
        if document is None:
            raise missing(request["PolicyName"])
        return {
            f"{kind}Name": found.spec.name,
            "PolicyName": request["PolicyName"],
            "PolicyDocument": shown_document(document),
        }

    @ops(f"Delete{kind}Policy", resources=arns, conditions=conditions)
    async def delete(call: Call, request: Request) -> Answer:
        def change(tx: Transaction) -> None:
            found = _changeable(tx, call, kind, request)
            if request["PolicyName"] not in found.spec.inline:
                raise missing(request["PolicyName"])
            inline = {n: d for n, d in found.spec.inline.items() if n != request["PolicyName"]}
            tx.update(found, spec=replace(found.spec, inline=inline))

        await call.store.transact(change)
        return None

    @ops(f"List{kind}Policies", resources=arns)
    async def list_(call: Call, request: Request) -> Answer:
        found = holder(call.store, call.account, kind, request[f"{kind}Name"])
        names, more = page(call, request, sorted(found.spec.inline), str)
        return {"PolicyNames": names, **more}


def _attachable(store: Reader, call: Call, arn: str) -> None:
    if not arn.startswith("arn:"):
        raise ApiError("ValidationError", f"ARN {arn} is not valid.")
    owned = any(p.meta.account == call.account for p in store.find(POLICY, "arn", arn))
    aws = managed.find(arn)
    if not owned and (aws is None or aws.name.startswith("aws-service-role/")):
        raise no_such(f"Policy {arn} does not exist or is not attachable.")


def _declare_attached(kind: str) -> None:
    arns, quota = holder_arns(kind), QUOTAS[f"AttachedPoliciesPer{kind}Quota"]

    @ops(f"Attach{kind}Policy", resources=arns, conditions=conditions)
    async def attach(call: Call, request: Request) -> Answer:
        arn = request["PolicyArn"]

        def change(tx: Transaction) -> None:
            found = _changeable(tx, call, kind, request)
            _attachable(tx, call, arn)
            if arn in found.spec.attached:
                return
            if len(found.spec.attached) >= quota:
                raise over_quota(f"PoliciesPer{kind}", quota)
            tx.update(found, spec=replace(found.spec, attached=(*found.spec.attached, arn)))

        await call.store.transact(change)
        return None

    @ops(f"Detach{kind}Policy", resources=arns, conditions=conditions)
    async def detach(call: Call, request: Request) -> Answer:
        def change(tx: Transaction) -> None:
            found = _changeable(tx, call, kind, request)
            if request["PolicyArn"] not in found.spec.attached:
                raise no_such(f"Policy {request['PolicyArn']} was not found.")
            left = tuple(a for a in found.spec.attached if a != request["PolicyArn"])
            tx.update(found, spec=replace(found.spec, attached=left))

        await call.store.transact(change)
        return None

    @ops(f"ListAttached{kind}Policies", resources=arns)
    async def list_(call: Call, request: Request) -> Answer:
        found = holder(call.store, call.account, kind, request[f"{kind}Name"])
        rows = sorted((a.rsplit("/", 1)[-1], a) for a in found.spec.attached if _below(a, request))
        shown, more = page(call, request, rows, lambda row: row[1])
        return {"AttachedPolicies": [{"PolicyName": n, "PolicyArn": a} for n, a in shown], **more}


def _below(arn: str, request: Request) -> bool:
    path = "/" + arn.split(":policy/", 1)[-1]
    return path.startswith(request.get("PathPrefix", "/"))


def _declare_tags(kind: str, member: str) -> None:
    """``member`` names the resource in requests."""
    fold = kind in KINDS

    def find(store: Reader, call: Call, request: Request) -> Resource[Any, Any]:
        return _tagged(store, call, kind, str(request[member]))

    def arns(call: Call, request: Request) -> tuple[str, ...]:
        try:
            return (find(call.store, call, request).meta.arn,)
        except ApiError:
            return ("*",)

    @ops(f"Tag{kind}", resources=arns)
    async def tag(call: Call, request: Request) -> Answer:
        def change(tx: Transaction) -> None:
            found = find(tx, call, request)
            tx.update(found, spec=replace(found.spec, tags=tags_of(request["Tags"], found.spec.tags, fold)))

        await call.store.transact(change)
        return None

    @ops(f"Untag{kind}", resources=arns)
    async def untag(call: Call, request: Request) -> Answer:
        def change(tx: Transaction) -> None:
            found = find(tx, call, request)
            tx.update(found, spec=replace(found.spec, tags=without_tags(found.spec.tags, request["TagKeys"], fold)))

        await call.store.transact(change)
        return None

    @ops(f"List{kind}Tags", resources=arns)
    async def list_(call: Call, request: Request) -> Answer:
        found = find(call.store, call, request)
        shown, more = page(call, request, shown_tags(found.spec.tags), lambda t: t["Key"])
        return {"Tags": shown, **more}


_NAMED = {"user": "User", "role": "Role", "instance-profile": "InstanceProfile"}


def tags_of_arn(call: Call, arn: str) -> Mapping[str, str]:
    """Of users, roles, policies, instance profiles and OIDC providers. Raises ApiError when it is not there."""
    kind, _, rest = arn.rpartition(":")[2].partition("/")
    if kind in _NAMED:
        found = _tagged(call.store, call, _NAMED[kind], rest.rpartition("/")[2])
    else:
        found = _tagged(call.store, call, "Policy" if kind == "policy" else "OpenIDConnectProvider", arn)
    tags: Mapping[str, str] = found.spec.tags
    return tags


def _tagged(store: Reader, call: Call, kind: str, name: str) -> Resource[Any, Any]:
    if kind in ("User", "Role"):
        return holder(store, call.account, kind, name)
    found: Resource[Any, Any] | None
    if kind == "Policy":
        found = next((p for p in store.find(POLICY, "arn", name) if p.meta.account == call.account), None)
        words = f"Policy {name} was not found."
    else:
        table: Kind[Any, Any] = PROFILE if kind == "InstanceProfile" else OIDC
        key = name.lower() if kind == "InstanceProfile" else name.split(":oidc-provider/", 1)[-1]
        found = store.get(table, call.account, "", key)
        words = f"Instance Profile {name} cannot be found."
        if kind != "InstanceProfile":
            words = f"OpenIDConnect Provider not found for arn {name}"
    if found is None:
        raise no_such(words)
    return found


for _kind in KINDS:
    _declare_inline(_kind)
    _declare_attached(_kind)
_declare_tags("User", "UserName")
_declare_tags("Role", "RoleName")
_declare_tags("Policy", "PolicyArn")
_declare_tags("InstanceProfile", "InstanceProfileName")
_declare_tags("OpenIDConnectProvider", "OpenIDConnectProviderArn")
