"""The policy of a file system: who may mount it, write to it, be root in it, and manage it."""

from __future__ import annotations

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.core.policy import Grants, PolicyError, Question, Who, decide, parse
from havre.services.efs import errors, queries
from havre.store.ports import Transaction

ops = Operations()
_ANYTHING = parse('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}')


@ops("PutFileSystemPolicy", resources=queries.about("FileSystemId"))
async def put_file_system_policy(call: Call, request: Request) -> Answer:
    policy = request["Policy"]
    try:
        compiled = parse(policy, "resource")
    except PolicyError as error:
        raise errors.error("InvalidPolicyException", str(error)) from None
    who, arn = call.principal, queries.arn(call, request["FileSystemId"])
    asked = Question(
        "elasticfilesystem:PutFileSystemPolicy", arn, {}, Who(who.kind, who.account, who.arn, who.role, who.service)
    )
    heeded = not request.get("BypassPolicyLockoutSafetyCheck") and not who.service and call.site.auth != "open"
    if heeded and not decide(asked, Grants((_ANYTHING,)), compiled, call.account).allowed:
        raise errors.error("InvalidPolicyException", "The policy would keep its author from changing it.")

    def change(tx: Transaction) -> Answer:
        found = queries.available(call, tx, request["FileSystemId"])
        tx.update(found, spec=replace(found.spec, policy=policy))
        return {"FileSystemId": found.meta.name, "Policy": policy}

    return await call.store.transact(change)


@ops("DescribeFileSystemPolicy", resources=queries.about("FileSystemId"))
async def describe_file_system_policy(call: Call, request: Request) -> Answer:
    found = queries.file_system(call, call.store, request["FileSystemId"])
    if not found.spec.policy:
        raise errors.error("PolicyNotFound", f"File system '{found.meta.name}' has no policy.")
    return {"FileSystemId": found.meta.name, "Policy": found.spec.policy}


@ops("DeleteFileSystemPolicy", resources=queries.about("FileSystemId"))
async def delete_file_system_policy(call: Call, request: Request) -> Answer:
    def change(tx: Transaction) -> None:
        found = queries.available(call, tx, request["FileSystemId"])
        tx.update(found, spec=replace(found.spec, policy=""))

    await call.store.transact(change)
    return {}
