"""KMS: keys that encrypt, sign and authenticate, and who may use them.

The promise: what a key has encrypted can be decrypted as long as the key is there, over restarts, rotations and
``kill -9``, by whom its policy, IAM's policies and grants allow, and by nobody else; a key that is disabled or about to be
deleted does nothing; key material never leaves this package, and lies in the store only under a key that is not in the
store (``vault``).

Left out, and refused by name: custom key stores, imported key material, multi-Region keys, Nitro enclaves (Recipient),
SM2, Edwards curves, ML-DSA and ML-KEM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from havre.control.deps import ReconcilerDeps
from havre.control.lazily import lazily
from havre.control.operation import Service, merge
from havre.control.reconciler import Reconciler

if TYPE_CHECKING:
    from havre.services.kms.policies import resource_policy
    from havre.services.kms.vault import Vault

__all__ = ["Vault", "reconcilers", "resource_policy", "service"]
__getattr__ = lazily(__name__, {"Vault": "vault", "resource_policy": "policies"})

PARTIAL = {
    "GrantTokens": "need not be given: a grant counts at once",
    "CreateKey": "there is no hardware module: material lies in the store, under a key in the state directory",
    "ListAliases": "AWS managed keys are made when their alias is first used",
}


def service(vault: Vault | None = None) -> Service:
    """``vault`` keeps key material. Without one the operations can be listed (``havre coverage``), not called."""
    from havre.services.kms.operations import (
        aliases,
        encrypting,
        grants,
        keys,
        policies,
        rotations,
        signing,
        states,
        tags,
    )
    from havre.services.kms.resources import KINDS
    from havre.services.kms.vault import Vault

    given = vault or Vault(b"")
    made = (m.operations(given) for m in (keys, encrypting, signing, rotations))
    return Service(
        "kms", merge(*made, *(m.ops for m in (aliases, grants, policies, states, tags))), KINDS, partial=PARTIAL
    )


def reconcilers(deps: ReconcilerDeps, vault: Vault) -> list[Reconciler[Any]]:
    from havre.services.kms.keeping import Keeping

    return [Keeping(deps, vault)]
