"""IAM: users, groups, roles, policies, and what the gateway decides by.

The promise: names, ids, quotas, pages and errors are AWS's. A secret access key is told once, when it is made. A policy
that AWS would refuse as malformed is refused when it is written, so that a decision never meets one. What changes here
holds for the very next request.

Left out (each says so): console passwords (login profiles), MFA devices, SAML providers, signing certificates,
SSH keys, service-specific credentials, credential reports, last-used data; lists of these are empty, which is true. AWS's
own managed policies are those that container workloads use; some are shorter than AWS's and say in what in their
description. A trust policy that names a role which is deleted and made again trusts the new one, where AWS ties it to the
old one's id.
"""

from havre.control.operation import Service, merge
from havre.services.iam.resources import KINDS


def service() -> Service:
    from havre.services.iam.operations import (
        absent,
        account,
        boundaries,
        groups,
        hanging,
        oidc,
        policies,
        profiles,
        roles,
        server_certificates,
        simulate,
        users,
    )

    first = (absent, account, boundaries, groups, hanging, oidc, policies, profiles, roles)
    modules = (*first, server_certificates, simulate, users)
    return Service(
        "iam",
        merge(*(m.ops for m in modules)),
        KINDS,
        partial={
            "GetRole": "RoleLastUsed is empty, whether the role was used or not",
            "SimulateCustomPolicy": "statements carry no positions",
            "SimulatePrincipalPolicy": "statements carry no positions",
        },
        tags=hanging.tags_of_arn,
    )
