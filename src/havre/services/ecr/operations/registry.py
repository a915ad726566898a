"""The registry as a whole: login tokens and settings."""

from __future__ import annotations

import base64
from functools import partial

from havre.control.images.addresses import ensure_address
from havre.control.images.changes import repository, resolve
from havre.control.operation import Answer, Call, Operations, Request
from havre.core.images.passwords import LIFETIME, USER, Ticket, encode_principal
from havre.kernel.errors import ApiError, not_built
from havre.services.ecr import present
from havre.services.ecr.common import about, place
from havre.services.ecr.errors import image_not_found, invalid, modelled
from havre.services.ecr.facilities import Facilities

SETTINGS = {"BASIC_SCAN_TYPE_VERSION": "AWS_NATIVE", "REGISTRY_POLICY_SCOPE": "V2", "BLOB_MOUNTING": "ENABLED"}
"""Account settings and the values in force."""


async def describe_registry(call: Call, request: Request) -> Answer:
    return {"registryId": call.account, "replicationConfiguration": {"rules": []}}


async def put_replication(call: Call, request: Request) -> Answer:
    if request["replicationConfiguration"]["rules"]:
        raise not_built("ecr", "replication")
    return {"replicationConfiguration": {"rules": []}}


async def image_replication(call: Call, request: Request) -> Answer:
    """No image is ever copied elsewhere: there is no status to tell."""
    where = place(call, request)
    with modelled():
        repository(call.store, where)
    id = request["imageId"]
    if resolve(call.store, where, id.get("imageDigest") or id.get("imageTag", "")) is None:
        raise image_not_found(where, id.get("imageDigest"), id.get("imageTag"))
    return {"repositoryName": where.repository, "imageId": id, "replicationStatuses": []}


async def describe_cache_rules(call: Call, request: Request) -> Answer:
    if prefixes := request.get("ecrRepositoryPrefixes"):
        code = "PullThroughCacheRuleNotFoundException"
        what = f"The pull through cache rule with prefix '{prefixes[0]}'"
        raise ApiError(code, f"{what} does not exist in the registry with id '{call.account}'")
    return {"pullThroughCacheRules": []}


async def describe_templates(call: Call, request: Request) -> Answer:
    if prefixes := request.get("prefixes"):
        what = f"The repository creation template with prefix '{prefixes[0]}'"
        raise ApiError("TemplateNotFoundException", f"{what} does not exist in the registry with id '{call.account}'")
    return {"registryId": call.account, "repositoryCreationTemplates": []}


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
    about(ops, "DescribeImageReplicationStatus")(image_replication)
    ops("DescribePullThroughCacheRules")(describe_cache_rules)
    ops("DescribeRepositoryCreationTemplates")(describe_templates)
    ops("GetRegistryScanningConfiguration")(get_scanning)
    ops("PutRegistryScanningConfiguration")(put_scanning)
    ops("GetAccountSetting")(get_setting)
    ops("PutAccountSetting")(put_setting)
    ops("GetAuthorizationToken")(partial(get_authorization_token, given))
    return ops
