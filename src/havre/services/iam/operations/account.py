"""The account: summary, alias, password policy, everything at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from havre.control.operation import Answer, Call, Operations, Request
from havre.kernel.errors import ApiError
from havre.services.iam import managed, present
from havre.services.iam.common import (
    KINDS,
    NOTHING,
    QUOTAS,
    arn_of,
    exists,
    no_such,
    page,
    shown_document,
)
from havre.services.iam.operations.policies import usage
from havre.services.iam.resources import (
    GROUP,
    OIDC,
    POLICY,
    PROFILE,
    ROLE,
    SERVER_CERTIFICATE,
    SETTINGS,
    USER,
    AccountSettings,
    PasswordPolicy,
)
from havre.store.ports import Transaction

ops = Operations()
_ALIAS = re.compile(r"(?!\d{12}\Z)[a-z0-9](?:[a-z0-9]|-(?!-)){1,61}[a-z0-9]\Z")


@ops("GetAccountSummary")
async def get_account_summary(call: Call, request: Request) -> Answer:
    store, account = call.store, call.account
    policies = store.list(POLICY, account, "")
    counts = {
        "Users": len(store.list(USER, account, "")),
        "Groups": len(store.list(GROUP, account, "")),
        "Roles": len(store.list(ROLE, account, "")),
        "Policies": len(policies),
        "InstanceProfiles": len(store.list(PROFILE, account, "")),
        "Providers": len(store.list(OIDC, account, "")),
        "PolicyVersionsInUse": sum(len(p.spec.versions) for p in policies),
        "PolicyVersionsInUseQuota": 10000,
        "ServerCertificates": len(call.store.list(SERVER_CERTIFICATE, call.account, "")),
        "SigningCertificatesPerUserQuota": 2,
        "MFADevices": 0,
        "MFADevicesInUse": 0,
        "AccountMFAEnabled": 0,
        "AccountAccessKeysPresent": 1,
        "AccountPasswordPresent": 0,
        "AccountSigningCertificatesPresent": 0,
        "GlobalEndpointTokenVersion": 1,
    }
    return {"SummaryMap": {**QUOTAS, **counts}}


def _settings(call: Call) -> AccountSettings:
    found = call.store.get(SETTINGS, call.account, "", "settings")
    return found.spec if found is not None else AccountSettings()


async def _set(call: Call, **changes: Any) -> None:
    def change(tx: Transaction) -> None:
        found = tx.get(SETTINGS, call.account, "", "settings")
        if found is not None:
            tx.update(found, spec=replace(found.spec, **changes))
            return
        spec = replace(AccountSettings(), **changes)
        arn = arn_of(call, "settings", "")
        tx.create(SETTINGS, account=call.account, region="", name="settings", arn=arn, spec=spec, status=NOTHING)

    await call.store.transact(change)


@ops("CreateAccountAlias")
async def create_account_alias(call: Call, request: Request) -> Answer:
    alias = request["AccountAlias"]
    if not _ALIAS.match(alias):
        raise ApiError("ValidationError", f"The account alias {alias} is not valid.")
    if any(s.spec.alias == alias and s.meta.account != call.account for s in call.store.list(SETTINGS)):
        raise exists(f"The account alias {alias} already exists.")
    await _set(call, alias=alias)
    return None


@ops("DeleteAccountAlias")
async def delete_account_alias(call: Call, request: Request) -> Answer:
    if _settings(call).alias != request["AccountAlias"]:
        raise no_such(f"The account alias {request['AccountAlias']} does not exist.")
    await _set(call, alias="")
    return None


@ops("ListAccountAliases")
async def list_account_aliases(call: Call, request: Request) -> Answer:
    alias = _settings(call).alias
    return {"AccountAliases": [alias] if alias else [], "IsTruncated": False}


@ops("UpdateAccountPasswordPolicy")
async def update_account_password_policy(call: Call, request: Request) -> Answer:
    await _set(call, passwords=msgspec.convert(dict(request), PasswordPolicy))
    return None


@ops("GetAccountPasswordPolicy")
async def get_account_password_policy(call: Call, request: Request) -> Answer:
    found = _settings(call).passwords
    if found is None:
        raise no_such(f"The Password Policy with domain name {call.account} cannot be found.")
    shown: dict[str, Any] = {
        "MinimumPasswordLength": found.minimum_password_length,
        "RequireSymbols": found.require_symbols,
        "RequireNumbers": found.require_numbers,
        "RequireUppercaseCharacters": found.require_uppercase_characters,
        "RequireLowercaseCharacters": found.require_lowercase_characters,
        "AllowUsersToChangePassword": found.allow_users_to_change_password,
        "ExpirePasswords": found.max_password_age > 0,
    }
    if found.hard_expiry or found.max_password_age:
        shown["HardExpiry"] = found.hard_expiry
    if found.max_password_age:
        shown["MaxPasswordAge"] = found.max_password_age
    if found.password_reuse_prevention:
        shown["PasswordReusePrevention"] = found.password_reuse_prevention
    return {"PasswordPolicy": shown}


@ops("DeleteAccountPasswordPolicy")
async def delete_account_password_policy(call: Call, request: Request) -> Answer:
    if _settings(call).passwords is None:
        raise no_such("The account policy with name PasswordPolicy cannot be found.")
    await _set(call, passwords=None)
    return None


# Everything at once


def _attached(arns: Sequence[str]) -> list[dict[str, str]]:
    return [{"PolicyName": a.rsplit("/", 1)[-1], "PolicyArn": a} for a in arns]


def _inline(documents: Any) -> list[dict[str, str]]:
    return [{"PolicyName": n, "PolicyDocument": shown_document(d)} for n, d in documents.items()]


def _detail(call: Call, kind: str, r: Any) -> dict[str, Any]:
    shown: dict[str, Any] = {"User": present.user, "Group": present.group, "Role": present.role}[kind](r)  # type: ignore[operator]
    shown["AttachedManagedPolicies"] = _attached(r.spec.attached)
    shown["RolePolicyList" if kind == "Role" else f"{kind}PolicyList"] = _inline(r.spec.inline)
    if kind == "User":
        shown["GroupList"] = [g.spec.name for k in r.spec.groups if (g := call.store.get(GROUP, call.account, "", k))]
    if kind == "Role":
        profiles = call.store.find(PROFILE, "role", f"{call.account}|{r.meta.name}")
        shown["InstanceProfileList"] = [present.profile(call.store, p, "list") for p in profiles]
    return shown


def _policy_detail(call: Call, arn: str) -> dict[str, Any]:
    used = usage(call.store, call.account, arn)
    aws = managed.find(arn)
    if aws is not None:
        return {**present.aws_policy(aws, used), "PolicyVersionList": [present.aws_version(aws)]}
    found = call.store.find(POLICY, "arn", arn)[0]
    versions = [present.version(v, found.spec.default, document=True) for v in found.spec.versions]
    return {**present.policy(found, used), "PolicyVersionList": versions}


@ops("GetAccountAuthorizationDetails")
async def get_account_authorization_details(call: Call, request: Request) -> Answer:
    wanted = set(request.get("Filter") or ("User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"))
    holders = [(k, r) for k, table in KINDS.items() for r in call.store.list(table, call.account, "")]
    rows: list[tuple[str, str, Any]] = [(f"{k}/{r.meta.name}", k, r) for k, r in holders if k in wanted]
    if "LocalManagedPolicy" in wanted:
        rows += [(f"~/{p.meta.arn}", "Policy", p.meta.arn) for p in call.store.list(POLICY, call.account, "")]
    if "AWSManagedPolicy" in wanted:
        used = {a for _, r in holders for a in r.spec.attached if managed.find(a) is not None}
        rows += [(f"~/{a}", "Policy", a) for a in used]
    found, more = page(call, request, sorted(rows, key=lambda row: row[0]), lambda row: row[0])
    answer: dict[str, Any] = {"UserDetailList": [], "GroupDetailList": [], "RoleDetailList": [], "Policies": []}
    for _, kind, r in found:
        if kind == "Policy":
            answer["Policies"].append(_policy_detail(call, r))
        else:
            answer[f"{kind}DetailList"].append(_detail(call, kind, r))
    return {**answer, **more}
