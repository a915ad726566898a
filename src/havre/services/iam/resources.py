"""IAM's records. All are written by operations only; the region of their keys is empty, for IAM is global.

Names of users, groups, roles, policies and instance profiles are unique without regard to case: the key is in lower
case, ``spec.name`` as it was given. ``path`` begins and ends with a slash. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from havre.kernel.resource import Kind, NoStatus, Resource


class User(msgspec.Struct, frozen=True):
    """``inline``: policy name → document. ``attached``: ARNs of managed policies. ``groups``: keys of groups."""

    name: str
    id: str
    path: str = "/"
    tags: Mapping[str, str] = {}
    inline: Mapping[str, str] = {}
    attached: tuple[str, ...] = ()
    boundary: str = ""
    groups: tuple[str, ...] = ()


class Group(msgspec.Struct, frozen=True):
    name: str
    id: str
    path: str = "/"
    inline: Mapping[str, str] = {}
    attached: tuple[str, ...] = ()


class Role(msgspec.Struct, frozen=True):
    """``trust`` is the assume role policy document; ``max_session`` in seconds; ``service`` the host name of the AWS
    service whose linked role this is."""

    name: str
    id: str
    trust: str
    path: str = "/"
    description: str = ""
    max_session: int = 3600
    tags: Mapping[str, str] = {}
    inline: Mapping[str, str] = {}
    attached: tuple[str, ...] = ()
    boundary: str = ""
    service: str = ""


class AccessKey(msgspec.Struct, frozen=True):
    """``user`` is the key of its user. The secret never leaves the store but to check signatures."""

    user: str
    secret: str
    active: bool = True
    created: float = 0.0

    def __repr__(self) -> str:
        return f"AccessKey(user={self.user!r}, secret=<hidden>, active={self.active})"


class Version(msgspec.Struct, frozen=True):
    number: int
    document: str
    created: float


class ManagedPolicy(msgspec.Struct, frozen=True):
    """``next`` is the number of the version to come: numbers are never used again."""

    name: str
    id: str
    versions: tuple[Version, ...]
    default: int = 1
    next: int = 2
    path: str = "/"
    description: str = ""
    tags: Mapping[str, str] = {}
    updated: float = 0.0

    @property
    def document(self) -> str:
        return next(v.document for v in self.versions if v.number == self.default)


class InstanceProfile(msgspec.Struct, frozen=True):
    """``role`` is the key of its role, "" none."""

    name: str
    id: str
    path: str = "/"
    role: str = ""
    tags: Mapping[str, str] = {}


class OidcProvider(msgspec.Struct, frozen=True):
    """``url`` without its scheme, as AWS shows it."""

    url: str
    clients: tuple[str, ...] = ()
    thumbprints: tuple[str, ...] = ()
    tags: Mapping[str, str] = {}


class ServerCertificate(msgspec.Struct, frozen=True):
    """Its texts and its key are in the key pair ``server-certificate/`` and the key of its record (control.certificates).
    ``expires``: seconds since the epoch."""

    name: str
    id: str
    path: str = "/"
    expires: float = 0.0
    tags: Mapping[str, str] = {}


class PasswordPolicy(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    minimum_password_length: int = 6
    require_symbols: bool = False
    require_numbers: bool = False
    require_uppercase_characters: bool = False
    require_lowercase_characters: bool = False
    allow_users_to_change_password: bool = False
    max_password_age: int = 0
    password_reuse_prevention: int = 0
    hard_expiry: bool = False


class AccountSettings(msgspec.Struct, frozen=True):
    """One a account, named ``settings``."""

    alias: str = ""
    passwords: PasswordPolicy | None = None


def _arns(resource: Resource[Any, Any]) -> tuple[str, ...]:
    """Managed policies in use, attached or as a boundary, by account: AWS's own belong to each account's count."""
    spec, account = resource.spec, resource.meta.account
    boundary = getattr(spec, "boundary", "")
    used = [f"{account}|{arn}" for arn in spec.attached]
    return (*used, f"{account}|boundary|{boundary}") if boundary else tuple(used)


def _scoped(value: str) -> Any:
    """An index on one field, within the account."""
    return lambda r: f"{r.meta.account}|{getattr(r.spec, value)}" if getattr(r.spec, value) else None


USER: Kind[User, NoStatus] = Kind(
    "iam.user",
    User,
    NoStatus,
    {
        "policy": _arns,
        "group": lambda r: tuple(f"{r.meta.account}|{g}" for g in r.spec.groups),
        "id": lambda r: r.spec.id,
    },
)
GROUP: Kind[Group, NoStatus] = Kind("iam.group", Group, NoStatus, {"policy": _arns})
ROLE: Kind[Role, NoStatus] = Kind("iam.role", Role, NoStatus, {"policy": _arns, "id": lambda r: r.spec.id})
ACCESS_KEY: Kind[AccessKey, NoStatus] = Kind(
    "iam.access-key", AccessKey, NoStatus, {"id": lambda r: r.meta.name, "user": _scoped("user")}
)
POLICY: Kind[ManagedPolicy, NoStatus] = Kind("iam.policy", ManagedPolicy, NoStatus, {"arn": lambda r: r.meta.arn})
PROFILE: Kind[InstanceProfile, NoStatus] = Kind(
    "iam.instance-profile", InstanceProfile, NoStatus, {"role": _scoped("role")}
)
OIDC: Kind[OidcProvider, NoStatus] = Kind("iam.oidc-provider", OidcProvider, NoStatus)
SERVER_CERTIFICATE: Kind[ServerCertificate, NoStatus] = Kind("iam.server-certificate", ServerCertificate, NoStatus)
SETTINGS: Kind[AccountSettings, NoStatus] = Kind("iam.account", AccountSettings, NoStatus)
KINDS = (USER, GROUP, ROLE, ACCESS_KEY, POLICY, PROFILE, OIDC, SERVER_CERTIFICATE, SETTINGS)
