"""What nobody can have here (passwords of the console, second factors, certificates): asked for, there is none.

Tools that take a user apart look for these first; to say that this is not built would stop them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.control.operation import Answer, Call, Operations, Request
from havre.services.iam.common import holder, holder_arns, no_such
from havre.services.iam.operations.users import own_name

ops = Operations()
_user = holder_arns("User")
_OF_A_USER = {
    "ListMFADevices": "MFADevices",
    "ListSSHPublicKeys": "SSHPublicKeys",
    "ListSigningCertificates": "Certificates",
}
_OF_THE_ACCOUNT = {
    "ListSAMLProviders": "SAMLProviderList",
    "ListVirtualMFADevices": "VirtualMFADevices",
}


def _list(member: str, of_a_user: bool) -> Any:
    paged = member != "SAMLProviderList"

    async def answer(call: Call, request: Request) -> Answer:
        if of_a_user and ("UserName" in request or call.principal.kind != "Root"):
            holder(call.store, call.account, "User", own_name(call, request))
        found: Mapping[str, Any] = {member: []}
        return {**found, "IsTruncated": False} if paged else found

    return answer


for _name, _member in _OF_A_USER.items():
    ops(_name, resources=_user)(_list(_member, of_a_user=True))
for _name, _member in _OF_THE_ACCOUNT.items():
    ops(_name)(_list(_member, of_a_user=False))


@ops("ListServiceSpecificCredentials", resources=_user)
async def list_service_specific_credentials(call: Call, request: Request) -> Answer:
    holder(call.store, call.account, "User", own_name(call, request))
    return {"ServiceSpecificCredentials": []}


@ops("GetLoginProfile", resources=_user)
async def get_login_profile(call: Call, request: Request) -> Answer:
    return await _no_login_profile(call, request)


@ops("DeleteLoginProfile", resources=_user)
async def delete_login_profile(call: Call, request: Request) -> Answer:
    return await _no_login_profile(call, request)


async def _no_login_profile(call: Call, request: Request) -> Answer:
    name = holder(call.store, call.account, "User", own_name(call, request)).spec.name
    raise no_such(f"Login Profile for User {name} cannot be found.")
