"""STS: who am I, and credentials that end.

The promise: a session is never more than the role's trust policy lets in, its own policies and the session's policies
allow together; it ends when it says; its credentials hold over a restart and cannot be forged. Whether somebody may
assume a role is decided by the gateway, on trust policy and identity policies together.

Left out (each says so): sessions of SAML and web identity, MFA (there are no devices: a token code is never right),
AssumeRoot, and encoded authorization messages (Havre's refusals speak plainly).
"""

from __future__ import annotations

from havre.control.operation import Service
from havre.core.credentials import SessionTokens
from havre.services.sts.operations import Roles, Sts


def service(tokens: SessionTokens | None = None, roles: Roles | None = None) -> Service:
    """Without ``tokens`` and ``roles`` it can tell who calls but hands out no credentials."""
    return Service("sts", Sts(tokens, roles).operations().all)
