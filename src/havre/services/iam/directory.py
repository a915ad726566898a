"""What the gateway and STS ask of IAM: whose key is this, what may he do, whom does this role trust.

Reads the store's image only. What was compiled is kept as long as the records that it was made from are the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from havre.control.operation import Principal
from havre.core.credentials import Session, SessionTokens
from havre.core.policy import ALLOW_ALL, Grants, Policy, PolicyError, parse
from havre.kernel.resource import Resource
from havre.services.iam import managed
from havre.services.iam.resources import ACCESS_KEY, GROUP, POLICY, ROLE, USER, Role, User
from havre.services.iam.root import RootKey
from havre.store.ports import Reader

LIMIT = 10_000
ROOT = Grants(identity=(ALLOW_ALL,))
NOTHING = Grants()


class Credential(msgspec.Struct, frozen=True):
    """An access key as signatures are checked with. ``expires`` in seconds since the epoch, None never."""

    secret: str
    principal: Principal
    expires: float | None = None
    token: str = ""

    def __repr__(self) -> str:
        return f"Credential({self.principal.access_key!r}, secret=<hidden>)"


class Granted:
    """A caller's compiled policies, and the decisions already made for him that no request's context can change."""

    __slots__ = ("decided", "grants", "made_of", "revision", "static")

    def __init__(self, grants: Grants, made_of: tuple[int, ...], revision: int) -> None:
        self.grants = grants
        self.static = grants.static
        self.made_of = made_of
        self.revision = revision
        self.decided: dict[tuple[str, ...], Any] = {}
        """(action, resource) → decision; (action, resource, owner) where resources have owners or policies of their own."""


class Directory:
    """Identities and their policies, over one store."""

    def __init__(self, store: Reader, roots: Iterable[RootKey], sessions: SessionTokens) -> None:
        self._store = store
        self._sessions = sessions
        self._roots = {r.access_key: Credential(r.secret, root_principal(r.account, r.access_key)) for r in roots}
        self._tokens: dict[str, Credential] = {}
        self._keys: dict[str, tuple[tuple[int, int], Credential]] = {}
        self._granted: dict[tuple[str, str, tuple[str, ...]], Granted] = {}
        self._compiled: dict[tuple[str, str], Policy] = {}

    def credential(self, access_key: str, token: str = "") -> Credential | None:
        """None when nobody has that key, when it is inactive, or when the token does not belong to it."""
        if token:
            return self._session(access_key, token)
        root = self._roots.get(access_key)
        if root is not None:
            return root
        for key in self._store.find(ACCESS_KEY, "id", access_key):
            user = self._store.get(USER, key.meta.account, "", key.spec.user)
            if user is None or not key.spec.active:
                return None
            versions = (key.meta.version, user.meta.version)
            known = self._keys.get(access_key)
            if known is None or known[0] != versions:
                known = versions, Credential(key.spec.secret, user_principal(user, access_key))
                _bound(self._keys)
                self._keys[access_key] = known
            return known[1]
        return None

    def _session(self, access_key: str, token: str) -> Credential | None:
        known = self._tokens.get(token)
        if known is None:
            read = self._sessions.read(token)
            if read is None:
                return None
            session, secret = read
            known = Credential(secret, session_principal(session), session.expires, token)
            _bound(self._tokens)
            self._tokens[token] = known
        return known if known.principal.access_key == access_key else None

    def grants(self, principal: Principal) -> Granted:
        """What this caller's own policies are at this moment."""
        where = (principal.arn, principal.id, principal.session_policies)
        known = self._granted.get(where)
        revision = self._store.revision
        if known is not None and known.revision == revision:
            return known
        sources = self._sources(principal)
        made_of = tuple(s.meta.version for s in sources)
        if known is not None and known.made_of == made_of:
            known.revision = revision
            return known
        granted = Granted(self._compile(principal, sources), made_of, revision)
        _bound(self._granted)
        self._granted[where] = granted
        return granted

    def _entity(self, principal: Principal) -> Resource[Any, Any] | None:
        if principal.kind == "AssumedRole":
            role = self.role(principal.role)
            return role if role is not None and principal.id.startswith(role.spec.id + ":") else None
        if principal.kind in ("IAMUser", "FederatedUser") and principal.name:
            user = self._store.get(USER, principal.account, "", principal.name.lower())
            same = user is not None and (principal.kind == "FederatedUser" or user.spec.id == principal.id)
            return user if same else None
        return None

    def _sources(self, principal: Principal) -> list[Resource[Any, Any]]:
        """The records that the caller's policies come from: himself first, then groups, then managed policies."""
        entity = self._entity(principal)
        if entity is None:
            return []
        account = entity.meta.account
        found = [self._store.get(GROUP, account, "", g) for g in getattr(entity.spec, "groups", ())]
        holders = [entity, *(g for g in found if g is not None)]
        arns = {a for h in holders for a in h.spec.attached} | {entity.spec.boundary}
        policies = [p for a in sorted(arns - {""}) for p in self._store.find(POLICY, "arn", a)]
        return [*holders, *policies]

    def _compile(self, principal: Principal, sources: list[Resource[Any, Any]]) -> Grants:
        session: tuple[Policy, ...] | None = None
        if principal.session_policies:
            session = tuple(self._session_policy(text) for text in principal.session_policies)
        if principal.kind == "FederatedUser" and session is None:
            return NOTHING
        if principal.kind in ("Root", "AWSService") or (principal.kind == "FederatedUser" and not principal.name):
            return Grants(identity=(ALLOW_ALL,), session=session)
        if not sources:
            return NOTHING
        entity = sources[0]
        identity: list[Policy] = []
        for holder in sources:
            if isinstance(holder.spec, User | Role) and holder is not entity:
                continue
            if hasattr(holder.spec, "inline"):
                identity += [self.compiled(text, name) for name, text in holder.spec.inline.items()]
                identity += [p for a in holder.spec.attached if (p := self.managed(a)) is not None]
        boundary = None
        if entity.spec.boundary:
            boundary = self.managed(entity.spec.boundary) or self.compiled(_DENY_ALL, "missing-boundary")
        return Grants(tuple(identity), boundary, session)

    def _session_policy(self, source: str) -> Policy:
        """A session policy is a document, or the ARN of a managed policy."""
        if source.startswith("arn:"):
            return self.managed(source) or self.compiled(_DENY_ALL, "missing-session-policy")
        return self.compiled(source, "session-policy")

    def managed(self, arn: str) -> Policy | None:
        """The default version of a managed policy, AWS's own or an account's."""
        for found in self._store.find(POLICY, "arn", arn):
            return self.compiled(found.spec.document, arn)
        document = managed.document(arn)
        return self.compiled(document, arn) if document is not None else None

    def compiled(self, text: str, name: str) -> Policy:
        """A stored document is valid, for it was checked when it came in; if it is not, it allows nothing."""
        known = self._compiled.get((text, name))
        if known is None:
            try:
                known = parse(text, "identity", name)
            except PolicyError:
                known = parse(_DENY_ALL, "identity", name)
            _bound(self._compiled)
            self._compiled[text, name] = known
        return known

    def resource_policy(self, text: str) -> Policy:
        """A policy on a resource, checked when it came in; one that cannot be read denies everybody."""
        return self._on_resource(text, "resource")

    def trust(self, arn: str) -> Policy | None:
        """Whom the role with this ARN trusts; None without such a role."""
        role = self.role(arn)
        return None if role is None else self._on_resource(role.spec.trust, "trust")

    def _on_resource(self, text: str, kind: str) -> Policy:
        known = self._compiled.get((text, f"{kind}-policy"))
        if known is None:
            try:
                known = parse(text, kind, f"{kind}-policy", repeated_sids=kind == "resource")
            except PolicyError:
                known = parse(_DENY_EVERYBODY, "resource", f"{kind}-policy")
            _bound(self._compiled)
            self._compiled[text, f"{kind}-policy"] = known
        return known

    def role(self, arn: str) -> Resource[Role, Any] | None:
        """The role with exactly this ARN."""
        parts = arn.split(":", 5)
        if len(parts) != 6 or parts[2] != "iam" or not parts[5].startswith("role/"):
            return None
        found = self._store.get(ROLE, parts[4], "", parts[5].rsplit("/", 1)[-1].lower())
        return found if found is not None and found.meta.arn == arn else None


_DENY_EVERYBODY = '{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}'
_DENY_ALL = '{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}'


def _bound(cache: dict[Any, Any]) -> None:
    if len(cache) >= LIMIT:
        cache.clear()


def root_principal(account: str, access_key: str = "") -> Principal:
    return Principal("Root", account, f"arn:aws:iam::{account}:root", account, access_key)


def user_principal(user: Resource[User, Any], access_key: str = "") -> Principal:
    return Principal(
        "IAMUser", user.meta.account, user.meta.arn, user.spec.id, access_key, user.spec.name, tags=user.spec.tags
    )


def session_principal(session: Session) -> Principal:
    return Principal(
        session.kind,
        session.account,
        session.arn,
        session.id,
        session.access_key,
        session.name,
        session.role,
        session_policies=session.policies,
        tags=session.tags,
        context={"aws:TokenIssueTime": str(session.issued), **session.context},
    )
