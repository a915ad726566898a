"""The registry as a whole: login tokens and settings."""

from __future__ import annotations

import base64
from functools import partial

from havre.control.images.addresses import ensure_address
from havre.control.operation import Answer, Call, Operations, Request
from havre.core.images.passwords import LIFETIME, USER, Ticket, encode_principal
from havre.kernel.errors import ApiError, not_built
from havre.services.ecr import present
from havre.services.ecr.errors import invalid
from havre.services.ecr.facilities import Facilities

SETTINGS = {"BASIC_SCAN_TYPE_VERSION": "AWS_NATIVE", "REGISTRY_POLICY_SCOPE": "V2", "BLOB_MOUNTING": "ENABLED"}
"""Account settings and the values in force."""


async def describe_registry(call: Call, request: Request) -> Answer:
    return {"registryId": call.account, "replicationConfiguration": {"rules": []}}


async def put_replication(call: Call, request: Request) -> Answer:
    if request["replicationConfiguration"]["rules"]:
        raise not_built("ecr", "replication")
    return {"replicationConfiguration": {"rules": []}}


async def get_scanning(call: Call, request: Request) -> Answer:
    return {"registryId": call.account, "scanningConfiguration": {"scanType": "BASIC", "rules": []}}


async def put_scanning(call: Call, request: Request) -> Answer:
    if request.get("scanType", "BASIC") != "BASIC" or request.get("rules"):
        raise not_built("ecr", "scanning of images")
    return {"registryScanningConfiguration": {"scanType": "BASIC", "rules": []}}


async def get_setting(call: Call, request: Request) -> Answer:
    return {"name": request["name"], "value": _setting(request["name"])}


async def put_setting(call: Call, request: Request) -> Answer:
    name, value = request["name"], request["value"]
    if value != _setting(name):
        raise not_built("ecr", f"the account setting {name} with the value {value}")
    return {"name": name, "value": value}


def _setting(name: str) -> str:
    if name not in SETTINGS:
        raise ApiError("ValidationException", f"Invalid account setting name: {name}")
    return SETTINGS[name]


async def get_authorization_token(given: Facilities, call: Call, request: Request) -> Answer:
    accounts = request.get("registryIds") or [call.account]
    if not all(len(a) == 12 and a.isdigit() for a in accounts):
        raise invalid("registryIds", "Member must satisfy regular expression pattern: [0-9]{12}")
    now = int(call.now)
    ticket = Ticket(encode_principal(call.principal), call.account, now, now + LIFETIME)
    password = given.open_passwords().issue(ticket)
    token = base64.b64encode(f"{USER}:{password}".encode()).decode()
    data = []
    for account in accounts:
        address = await ensure_address(call.store, call.site, account, call.region)
        proxy = f"http://{present.endpoint(call.site, address)}"
        data.append({"authorizationToken": token, "expiresAt": float(ticket.expires), "proxyEndpoint": proxy})
    return {"authorizationData": data}


def operations(given: Facilities) -> Operations:
    ops = Operations()
    ops("DescribeRegistry")(describe_registry)
    ops("PutReplicationConfiguration")(put_replication)
    ops("GetRegistryScanningConfiguration")(get_scanning)
    ops("PutRegistryScanningConfiguration")(put_scanning)
    ops("GetAccountSetting")(get_setting)
    ops("PutAccountSetting")(put_setting)
    ops("GetAuthorizationToken")(partial(get_authorization_token, given))
    return ops
