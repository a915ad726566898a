"""Resource policies of functions, versions and aliases."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from havre.control.operation import Answer, Call, Request
from havre.kernel.arn import Arn
from havre.kernel.errors import ApiError
from havre.services.lambda_ import present, queries
from havre.services.lambda_.declare import LambdaOperations
from havre.services.lambda_.errors import absent, invalid, not_found, stale
from havre.services.lambda_.queries import Resolved
from havre.services.lambda_.resources import FUNCTION, LATEST, FunctionR, Policy
from havre.services.lambda_.roles import PRINCIPAL
from havre.services.lambda_.rules import statements
from havre.store.ports import Reader, Transaction

ops = LambdaOperations()
_ALIAS = re.compile(r"(?!\d+$)[a-zA-Z0-9_-]+").fullmatch
_OWN = re.compile(r"arn:aws:iam::(\d{12}):(user|role)/(.+)").fullmatch
_ADD = (
    "FunctionName StatementId Action Principal SourceArn FunctionUrlAuthType InvokedViaFunctionUrl SourceAccount "
    "EventSourceToken Qualifier RevisionId PrincipalOrgID"
)


def _conditions(call: Call, request: Request) -> Mapping[str, str | Sequence[str]]:
    keys: dict[str, str | Sequence[str]] = {"lambda:Principal": request["Principal"]}
    if request.get("FunctionUrlAuthType"):
        keys["lambda:FunctionUrlAuthType"] = request["FunctionUrlAuthType"]
    return keys


def _resolved(reader: Reader, call: Call, request: Request) -> Resolved:
    """Raises ApiError, which says of an alias that it is one."""
    said = queries.named(call.account, call.region, request["FunctionName"], request.get("Qualifier", ""))
    if _ALIAS(said.qualifier) and said.qualifier not in ("", LATEST):
        function = queries.function(reader, call.account, call.region, request["FunctionName"])
        queries.alias(reader, function, said.qualifier)
    return queries.resolve(reader, call.account, call.region, request["FunctionName"], request.get("Qualifier", ""))


def _of_arn(reader: Reader, call: Call, request: Request) -> Resolved:
    arn = request["ResourceArn"]
    if Arn.parse(arn).kind != "function":
        raise absent("resource policies of runtimes")
    return queries.resolve(reader, call.account, call.region, arn)


def revision_of(reader: Reader, found: Resolved) -> str:
    """The RevisionId of what the policy hangs on."""
    if found.alias is not None:
        return found.alias.spec.revision
    return present.revision(queries.record(reader, found.function, found.version))


def _check_revision(reader: Reader, found: Resolved, request: Request) -> None:
    if request.get("RevisionId") and request["RevisionId"] != revision_of(reader, found):
        raise stale()


def _policy(found: Resolved) -> Policy:
    """Raises ApiError when there is none."""
    policy = found.function.spec.policies.get(found.qualifier)
    if policy is None or not policy.statements:
        raise _no_policy()
    return policy


def _no_policy() -> ApiError:
    return not_found("The resource you requested does not exist.")


def _write(tx: Transaction, found: Resolved, policy: Policy, revision: str) -> None:
    """The policy, and the next RevisionId of what it hangs on."""
    function: FunctionR = found.function
    policies = {q: p for q, p in function.spec.policies.items() if q != found.qualifier}
    if policy.statements:
        policies[found.qualifier] = policy
    spec = replace(function.spec, policies=policies)
    if found.alias is not None:
        tx.update(found.alias, spec=replace(found.alias.spec, revision=revision))
    elif found.version != LATEST:
        version: Any = queries.record(tx, function, found.version)
        tx.update(version, spec=replace(version.spec, revision=revision))
    else:
        spec = replace(spec, revision=revision)
    tx.update(function, spec=spec)


def _supported(found: Resolved) -> Resolved:
    if found.qualifier == LATEST:
        raise invalid("We currently do not support adding policies for $LATEST.")
    return found


async def _change(
    call: Call,
    request: Request,
    of: Callable[[Reader, Call, Request], Resolved],
    how: Callable[[Resolved, Policy, str], Policy],
) -> tuple[Policy, str]:
    """The policy after the change, and the RevisionId."""
    revision = call.world.uuid()

    def change(tx: Transaction) -> tuple[Policy, str]:
        found = _supported(of(tx, call, request))
        policy = how(found, found.function.spec.policies.get(found.qualifier) or Policy(), revision)
        _check_revision(tx, found, request)  # last, as in AWS
        _write(tx, found, policy, revision)
        return policy, revision_of(tx, of(tx, call, request))

    return await call.store.transact(change)


async def _check_principal(call: Call, text: str) -> None:
    """A user or role of this account has to be there, where IAM decides at all. Raises ApiError."""
    found = _OWN(text)
    if found is None or found[1] != call.account or call.site.auth == "open":
        return
    assert call.as_service is not None
    kind, name = found[2].capitalize(), found[3].rpartition("/")[2]
    try:
        await call.as_service(PRINCIPAL)("iam", f"Get{kind}", {f"{kind}Name": name})
    except ApiError as error:
        if error.code != "NoSuchEntity":
            raise
        raise invalid("The provided principal was invalid. Please check the principal and try again.") from None


@ops.on("AddPermission", _ADD, conditions=_conditions)
async def add_permission(call: Call, request: Request) -> Answer:
    await _check_principal(call, request["Principal"])

    def how(found: Resolved, policy: Policy, revision: str) -> Policy:
        return statements.added(policy, statements.statement(request, found.arn), revision)

    policy, _ = await _change(call, request, _resolved, how)
    return {"Statement": policy.statements[-1].document}


@ops.on("RemovePermission", "FunctionName StatementId Qualifier RevisionId")
async def remove_permission(call: Call, request: Request) -> Answer:
    def how(found: Resolved, policy: Policy, revision: str) -> Policy:
        if not policy.statements:
            raise not_found("No policy is associated with the given resource.")
        return statements.removed(policy, request["StatementId"], revision)

    await _change(call, request, _with_policy, how)
    return {}


def _with_policy(reader: Reader, call: Call, request: Request) -> Resolved:
    said = queries.named(call.account, call.region, request["FunctionName"])
    if reader.get(FUNCTION, said.account, said.region, said.name) is None:
        raise not_found(f"No policy found for: {queries.function_arn(said.account, said.region, said.name)}")
    return _resolved(reader, call, request)


@ops.on("GetPolicy", "FunctionName Qualifier")
async def get_policy(call: Call, request: Request) -> Answer:
    found = _with_statements(call, request)
    return {"Policy": statements.document(_policy(found).statements), "RevisionId": revision_of(call.store, found)}


def _with_statements(call: Call, request: Request) -> Resolved:
    """A version or an alias that is not there has no policy, and that is what is told. Raises ApiError."""
    queries.function(call.store, call.account, call.region, request["FunctionName"])
    try:
        return _resolved(call.store, call, request)
    except ApiError as error:
        if error.code == "ResourceNotFoundException":
            raise _no_policy() from None
        raise


def _resource(call: Call, request: Request) -> Sequence[str]:
    return (request["ResourceArn"],)


@ops.on("PutResourcePolicy", "ResourceArn Policy RevisionId", resources=_resource)
async def put_resource_policy(call: Call, request: Request) -> Answer:
    def how(found: Resolved, policy: Policy, revision: str) -> Policy:
        return statements.given(request["Policy"], found.arn, revision)

    policy, revision = await _change(call, request, _of_arn, how)
    return {"Policy": statements.document(policy.statements), "RevisionId": revision}


@ops.on("GetResourcePolicy", "ResourceArn", resources=_resource)
async def get_resource_policy(call: Call, request: Request) -> Answer:
    found = _of_arn(call.store, call, request)
    return {"Policy": statements.document(_policy(found).statements), "RevisionId": revision_of(call.store, found)}


@ops.on("DeleteResourcePolicy", "ResourceArn RevisionId", resources=_resource)
async def delete_resource_policy(call: Call, request: Request) -> Answer:
    def how(found: Resolved, policy: Policy, revision: str) -> Policy:
        _policy(found)
        return Policy()

    await _change(call, request, _of_arn, how)
    return {}
