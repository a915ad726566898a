"""STS's operations."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Protocol

import msgspec

from havre.control.operation import Answer, Call, Operations, Principal, Request
from havre.core.credentials import Session, SessionTokens, access_key_id, account_of
from havre.core.policy import Policy
from havre.kernel.arn import Arn
from havre.kernel.errors import ApiError, not_built
from havre.services.sts import rules


class Role(Protocol):
    """What STS needs to know of a role."""

    @property
    def name(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def max_session(self) -> int: ...
    @property
    def tags(self) -> Mapping[str, str]: ...


class Imagined(msgspec.Struct, frozen=True):
    """With open doors roles need not exist: test suites that were written for other emulators name any."""

    name: str
    id: str
    max_session: int = 43_200
    tags: Mapping[str, str] = {}

    @classmethod
    def of(cls, arn: str) -> Imagined:
        name = arn.rpartition("/")[2]
        return cls(name, "AROA" + hashlib.sha256(arn.encode()).hexdigest()[:17].upper())


class Found(Protocol):
    @property
    def spec(self) -> Any: ...


class Roles(Protocol):
    """Looks up roles and managed policies of any account, by ARN."""

    def role(self, arn: str) -> Found | None: ...
    def managed(self, arn: str) -> Policy | None: ...


def _role_arn(call: Call, request: Request) -> Sequence[str]:
    """Raises ValidationError: nobody is asked whether he may assume what is no ARN."""
    rules.check_arn(request["RoleArn"])
    return (request["RoleArn"],)


class Sts:
    def __init__(self, tokens: SessionTokens | None, roles: Roles | None) -> None:
        self._tokens = tokens
        self._roles = roles

    def operations(self) -> Operations:
        ops = Operations()
        ops("GetCallerIdentity", action="", read_only=True)(get_caller_identity)
        ops("GetAccessKeyInfo", read_only=True)(get_access_key_info)
        ops("DecodeAuthorizationMessage", read_only=True)(decode_authorization_message)
        ops("AssumeRole", resources=_role_arn, conditions=assume_conditions, read_only=True)(self.assume_role)
        ops("GetSessionToken", action="", read_only=True)(self.get_session_token)
        ops("GetFederationToken", resources=federated_arns, read_only=True)(self.get_federation_token)
        return ops

    async def assume_role(self, call: Call, request: Request) -> Answer:
        arn, who = request["RoleArn"], call.principal
        if who.kind == "Root" and call.site.auth != "open":
            raise ApiError("AccessDenied", "Roles may not be assumed by root accounts.", 403)
        if "TokenCode" in request:
            raise ApiError(
                "AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code. ", 403
            )
        role = self._role(call, arn)
        chained = who.kind == "AssumedRole" and not who.service
        duration = rules.role_duration(request.get("DurationSeconds", 3600), role.max_session, chained)
        policies, packed = rules.session_policies(request, self._managed)
        tags, transitive = await self._tags(call, request, arn)
        source = await _source_identity(call, request, arn)
        account, name = Arn.parse(arn).account, request["RoleSessionName"]
        context = {
            k: v for k, v in (("sts:TransitiveTagKeys", ",".join(transitive)), ("aws:SourceIdentity", source)) if v
        }
        session = Session(
            access_key=access_key_id("ASIA", account, secrets.token_bytes(5)),
            kind="AssumedRole",
            account=account,
            arn=f"arn:aws:sts::{account}:assumed-role/{role.name}/{name}",
            id=f"{role.id}:{name}",
            name=name,
            role=arn,
            issued=int(call.now),
            expires=int(call.now) + duration,
            policies=policies,
            tags={**role.tags, **tags},
            context=context,
        )
        answer: dict[str, Any] = {
            "Credentials": self._issue(session),
            "AssumedRoleUser": {"AssumedRoleId": session.id, "Arn": session.arn},
        }
        if packed:
            answer["PackedPolicySize"] = packed
        if source:
            answer["SourceIdentity"] = source
        return answer

    async def get_session_token(self, call: Call, request: Request) -> Answer:
        who = call.principal
        if who.kind not in ("IAMUser", "Root") or who.access_key.startswith("ASIA"):
            raise ApiError("AccessDenied", "Cannot call GetSessionToken with session credentials", 403)
        if "TokenCode" in request:
            raise ApiError(
                "AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code. ", 403
            )
        duration = rules.user_duration(request.get("DurationSeconds", 43200), root=who.kind == "Root")
        session = self._session(call, who, duration)
        return {"Credentials": self._issue(session)}

    async def get_federation_token(self, call: Call, request: Request) -> Answer:
        who, name = call.principal, request["Name"]
        if who.kind not in ("IAMUser", "Root") or who.access_key.startswith("ASIA"):
            raise ApiError("AccessDenied", "Cannot call GetFederationToken with session credentials", 403)
        duration = rules.user_duration(request.get("DurationSeconds", 43200), root=who.kind == "Root")
        policies, packed = rules.session_policies(request, self._managed)
        tags = rules.session_tags(request.get("Tags", ()))
        arn = f"arn:aws:sts::{call.account}:federated-user/{name}"
        federated = Principal("FederatedUser", call.account, arn, f"{call.account}:{name}")
        session = self._session(call, federated, duration, policies, tags)
        answer: dict[str, Any] = {
            "Credentials": self._issue(session),
            "FederatedUser": {"FederatedUserId": session.id, "Arn": arn},
        }
        return answer | {"PackedPolicySize": packed}

    def _session(
        self,
        call: Call,
        who: Principal,
        duration: int,
        policies: tuple[str, ...] = (),
        tags: Mapping[str, str] | None = None,
    ) -> Session:
        return Session(
            access_key=access_key_id("ASIA", call.account, secrets.token_bytes(5)),
            kind=who.kind,
            account=call.account,
            arn=who.arn,
            id=who.id,
            name=call.principal.name,
            role="",
            issued=int(call.now),
            expires=int(call.now) + duration,
            policies=policies,
            tags={**call.principal.tags, **(tags or {})},
        )

    def _issue(self, session: Session) -> dict[str, Any]:
        if self._tokens is None:
            raise not_built("sts", "credentials in this process: it was started without the installation's secret")
        secret, token = self._tokens.issue(session)
        return {
            "AccessKeyId": session.access_key,
            "SecretAccessKey": secret,
            "SessionToken": token,
            "Expiration": float(session.expires),
        }

    def _role(self, call: Call, arn: str) -> Role:
        found = self._roles.role(arn) if self._roles is not None else None
        if found is None and call.site.auth == "open" and rules.is_role(arn):
            return Imagined.of(arn)
        if found is None:
            _refuse(call, "sts:AssumeRole", arn)
        role: Role = found.spec
        return role

    def _managed(self, arn: str) -> bool:
        return self._roles is not None and self._roles.managed(arn) is not None

    async def _tags(self, call: Call, request: Request, arn: str) -> tuple[dict[str, str], tuple[str, ...]]:
        """The session's tags with those that earlier sessions pass on, and the keys that it passes on itself."""
        tags = rules.session_tags(request.get("Tags", ()))
        inherited = rules.inherited(call.principal)
        rules.check_transitive(tags, inherited, request.get("TransitiveTagKeys", ()))
        if tags:
            await call.authorize("sts:TagSession", (arn,), assume_conditions(call, request))
        return {**tags, **inherited}, (*inherited, *request.get("TransitiveTagKeys", ()))


async def _source_identity(call: Call, request: Request, arn: str) -> str:
    """Once set it stays for all sessions that follow from this one."""
    before = call.principal.context.get("aws:SourceIdentity", "")
    wanted: str = request.get("SourceIdentity", before)
    if before and wanted != before:
        _refuse(call, "sts:SetSourceIdentity", arn)
    if wanted:
        await call.authorize("sts:SetSourceIdentity", (arn,), assume_conditions(call, request))
    return wanted


def _refuse(call: Call, action: str, arn: str) -> NoReturn:
    words = f"User: {call.principal.arn} is not authorized to perform: {action} on resource: {arn}"
    raise ApiError("AccessDenied", words, 403)


def assume_conditions(call: Call, request: Request) -> Mapping[str, str | Sequence[str]]:
    keys: dict[str, str | Sequence[str]] = {"sts:RoleSessionName": request["RoleSessionName"]}
    for key, member in (("sts:ExternalId", "ExternalId"), ("sts:SourceIdentity", "SourceIdentity")):
        if member in request:
            keys[key] = request[member]
    if "TransitiveTagKeys" in request:
        keys["sts:TransitiveTagKeys"] = tuple(request["TransitiveTagKeys"])
    return keys


def federated_arns(call: Call, request: Request) -> Sequence[str]:
    return (f"arn:aws:sts::{call.account}:federated-user/{request['Name']}",)


async def get_caller_identity(call: Call, request: Request) -> Answer:
    who = call.principal
    return {"UserId": who.id, "Account": who.account, "Arn": who.arn}


async def get_access_key_info(call: Call, request: Request) -> Answer:
    account = account_of(request["AccessKeyId"])
    if account is None:
        raise ApiError("ValidationError", f"Invalid access key id: {request['AccessKeyId']}")
    return {"Account": account}


async def decode_authorization_message(call: Call, request: Request) -> Answer:
    """No refusal of Havre's carries an encoded message, so none that is given can be valid."""
    raise ApiError("InvalidAuthorizationMessageException", "Message is not valid")
