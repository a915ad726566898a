"""The server's end of what runs functions: what nodes ask of it."""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from havre.control.deps import AwsFor, ReconcilerDeps
from havre.control.functions import questions
from havre.control.functions.hub import FunctionHub
from havre.control.images.addresses import HOME
from havre.control.images.kinds import ADDRESS, REPOSITORY
from havre.kernel.errors import ApiError, Gone, Permanent
from havre.kernel.function import session_name
from havre.services.ec2.resources import INTERFACE

log = logging.getLogger("havre.functions")

LAMBDA = "lambda.amazonaws.com"


class Nodes(NamedTuple):
    """``codes`` is where the archives lie."""

    deps: ReconcilerDeps
    hub: FunctionHub
    codes: Path


async def answer(nodes: Nodes, node: str, what: str, question: str) -> Any:
    """Raises Permanent, Temporary, Gone."""
    deps, hub = nodes.deps, nodes.hub
    if what == questions.CREDENTIALS:
        return await role_credentials(deps.aws_for, hub, node, question)
    if what == questions.ENVIRONMENT:
        return await open_variables(deps, hub, node, question)
    if what == questions.CODE:
        return await open_code(nodes, node, question)
    if what == questions.SHARES:
        return await find_shares(deps, hub, node, question)
    if what == questions.REGISTRY:
        return await registry_credentials(deps, question)
    if what == questions.INTERFACE:
        return await make_interface(deps, hub, node, question)
    if what in (questions.NO_INTERFACE, questions.NO_INTERFACES):
        return await remove_interfaces(deps, question)
    raise Permanent(f"the server does not know {what}")


async def role_credentials(aws_for: AwsFor, hub: FunctionHub, node: str, id: str) -> Mapping[str, Any]:
    """Of the role of a function that this node was given. Raises Permanent, Temporary, Gone."""
    function = hub.function(node, id)
    if not function.role:
        return {}
    sts = aws_for(function.account, function.region, LAMBDA)
    try:
        made = await sts(
            "sts", "AssumeRole", {"RoleArn": function.role, "RoleSessionName": session_name(function.name)}
        )
    except ApiError as refusal:
        raise Permanent(f"The role defined for the function cannot be assumed by Lambda: {refusal.message}") from None
    keys = made["Credentials"]
    return {
        "AccessKeyId": keys["AccessKeyId"],
        "SecretAccessKey": keys["SecretAccessKey"],
        "SessionToken": keys["SessionToken"],
        "Expiration": float(keys["Expiration"]),
    }


async def open_variables(deps: ReconcilerDeps, hub: FunctionHub, node: str, id: str) -> Mapping[str, str]:
    """Of a function that this node was given, by the function's role. Raises Permanent, Temporary, Gone."""
    from havre.services.lambda_.sealing import open_for

    function = hub.function(node, id)
    keys = await role_credentials(deps.aws_for, hub, node, id)
    if deps.aws_with is None or not keys:
        raise Permanent(f"{function.arn} has no role to open its environment variables by")
    return await open_for(deps.store, function, deps.aws_with(function.account, function.region, keys))


async def open_code(nodes: Nodes, node: str, sealed: str) -> Mapping[str, str]:
    """Of an archive of a function that this node was given. Raises Permanent, Temporary, Gone."""
    from havre.services.lambda_.sealed_code import key_for_node

    if not nodes.hub.runs_code(node, sealed):
        raise Gone(f"node {node} runs nothing of {sealed}")
    return await key_for_node(nodes.codes / sealed, nodes.deps.aws_for)


async def find_shares(deps: ReconcilerDeps, hub: FunctionHub, node: str, id: str) -> Mapping[str, Any]:
    """Path → Share, of a function that this node was given. Raises Permanent with a code of Lambda in front, Temporary."""
    from havre.control import file_systems
    from havre.services.lambda_.mounting import refused

    function = hub.function(node, id)
    aws = deps.aws_for(function.account, function.region, LAMBDA)
    found = {}
    for use in function.shares:
        wanted = file_systems.Wanted(
            function.account,
            function.region,
            access_point=use.access_point.rpartition("/")[2],
            role=function.role,
            vpc=function.network.vpc if function.network is not None else "",
            enforced=deps.site.auth != "open",
        )
        try:
            found[use.path] = msgspec.to_builtins(await file_systems.share(aws, wanted))
        except (Permanent, ApiError) as error:
            raise refused(use.access_point, error) from None
    return found


async def registry_credentials(deps: ReconcilerDeps, image: str) -> Mapping[str, str]:
    """To pull an image that lies in this installation's registry, which may be named by a port of before; ``server`` is the
    present one. Of others, nothing. Raises Permanent, Temporary."""
    server, _, path = image.partition("/")
    host, _, port = server.partition(":")
    site = deps.site
    owners = [(r.meta.account, r.meta.region) for r in deps.store.find(ADDRESS, "address", host)]
    if host == HOME:
        owners = [(site.account, site.region)]
    former = port.isdecimal() and int(port) in site.former
    if not owners or not (former or port == str(site.port)):
        return {}
    name = path.partition("@")[0].partition(":")[0]
    if former and deps.store.get(REPOSITORY, *owners[0], name) is None:  # somebody else's, who has the port now
        return {}
    ecr = deps.aws_for(*owners[0], LAMBDA)
    try:
        answer = await ecr("ecr", "GetAuthorizationToken", {})
    except ApiError as refusal:
        raise Permanent(f"{image} cannot be pulled: {refusal.message}") from None
    token = answer["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    return {"server": f"{host}:{site.port}", "username": user, "password": password}


async def make_interface(deps: ReconcilerDeps, hub: FunctionHub, node: str, id: str) -> Mapping[str, Any]:
    """In a VPC, for an environment of this function. The fields of ``Interface``. Raises Permanent, Temporary, Gone."""
    function = hub.function(node, id)
    if function.network is None:
        raise Permanent(f"{function.arn} is in no VPC")
    request = {
        "SubnetId": deps.world.chance.choice(function.network.subnets),
        "Groups": list(function.network.security_groups),
        "Description": f"AWS Lambda VPC ENI-{function.name}-{deps.world.uuid()}",
    }
    try:
        made = (
            await deps.aws_for(function.account, function.region, LAMBDA)("ec2", "CreateNetworkInterface", request)
        )["NetworkInterface"]
    except ApiError as refusal:
        raise Permanent(f"Lambda was not able to create an ENI in the VPC of the function: {refusal.message}") from None
    return {
        "eni": made["NetworkInterfaceId"],
        "vpc": made["VpcId"],
        "subnet": made["SubnetId"],
        "address": made["PrivateIpAddress"],
        "mac": made.get("MacAddress") or "",
        "security_groups": [group["GroupId"] for group in made.get("Groups") or ()],
        "hostname": made.get("PrivateDnsName") or "",
    }


async def remove_interfaces(deps: ReconcilerDeps, eni: str = "") -> None:
    """This one of a function's, or all of them (``eni`` ""): no environment has it any more. Raises Temporary."""
    for found in deps.store.list(INTERFACE):
        if found.spec.requester != LAMBDA or eni not in ("", found.meta.name):
            continue
        ec2 = deps.aws_for(found.meta.account, found.meta.region, LAMBDA)
        try:
            await ec2("ec2", "DeleteNetworkInterface", {"NetworkInterfaceId": found.meta.name})
        except ApiError as refusal:
            if refusal.code != "InvalidNetworkInterfaceID.NotFound":
                log.error("the interface %s stays behind: %s", found.meta.name, refusal)
