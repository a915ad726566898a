"""Resources in EC2's shapes: the only file that knows its members' names."""

from __future__ import annotations

from typing import Any

from havre.core import network
from havre.kernel import addresses
from havre.services.ec2 import find
from havre.services.ec2 import resources as r
from havre.services.ec2.tags import shown
from havre.services.ec2.zones import zone_id
from havre.store.ports import Reader

Shape = dict[str, Any]


def vpc(v: r.VpcR) -> Shape:
    return {
        "VpcId": v.meta.name,
        "OwnerId": v.meta.account,
        "State": "available",
        "CidrBlock": v.spec.cidr,
        "CidrBlockAssociationSet": [
            {
                "AssociationId": v.spec.association,
                "CidrBlock": v.spec.cidr,
                "CidrBlockState": {"State": "associated"},
            }
        ],
        "Ipv6CidrBlockAssociationSet": [],
        "DhcpOptionsId": v.spec.dhcp_options,
        "InstanceTenancy": v.spec.tenancy,
        "IsDefault": v.spec.default,
        "Tags": shown(v.spec.tags),
        "BlockPublicAccessStates": {"InternetGatewayBlockMode": "off"},
    }


def available_addresses(reader: Reader, s: r.SubnetR) -> int:
    return addresses.parse_cidr(s.spec.cidr).size - network.RESERVED - reader.count(r.INTERFACE, "subnet", s.meta.name)


def subnet(reader: Reader, s: r.SubnetR) -> Shape:
    return {
        "SubnetId": s.meta.name,
        "SubnetArn": s.meta.arn,
        "VpcId": s.spec.vpc,
        "OwnerId": s.meta.account,
        "State": "available",
        "CidrBlock": s.spec.cidr,
        "AvailabilityZone": s.spec.zone,
        "AvailabilityZoneId": zone_id(s.spec.zone),
        "AvailableIpAddressCount": available_addresses(reader, s),
        "DefaultForAz": s.spec.default,
        "MapPublicIpOnLaunch": s.spec.map_public,
        "MapCustomerOwnedIpOnLaunch": False,
        "AssignIpv6AddressOnCreation": False,
        "Ipv6CidrBlockAssociationSet": [],
        "Ipv6Native": False,
        "EnableDns64": False,
        "PrivateDnsNameOptionsOnLaunch": {
            "HostnameType": "ip-name",
            "EnableResourceNameDnsARecord": False,
            "EnableResourceNameDnsAAAARecord": False,
        },
        "BlockPublicAccessStates": {"InternetGatewayBlockMode": "off"},
        "Tags": shown(s.spec.tags),
    }


def group(reader: Reader, g: r.GroupR) -> Shape:
    return {
        "GroupId": g.meta.name,
        "SecurityGroupArn": g.meta.arn,
        "GroupName": g.spec.group,
        "Description": g.spec.description,
        "VpcId": g.spec.vpc,
        "OwnerId": g.meta.account,
        "IpPermissions": permissions([x for x in g.spec.rules if not x.egress], g.meta.account),
        "IpPermissionsEgress": permissions([x for x in g.spec.rules if x.egress], g.meta.account),
        "Tags": shown(g.spec.tags),
    }


def permissions(rules: list[r.Rule], owner: str) -> list[Shape]:
    """Rules of one protocol and one range of ports are one permission."""
    found: dict[tuple[str, int, int], Shape] = {}
    for rule in rules:
        key = (rule.protocol, rule.from_port, rule.to_port)
        if key not in found:
            ports = has_ports(rule.protocol)
            found[key] = {
                "IpProtocol": rule.protocol,
                "FromPort": rule.from_port if ports else None,
                "ToPort": rule.to_port if ports else None,
                "IpRanges": [],
                "Ipv6Ranges": [],
                "PrefixListIds": [],
                "UserIdGroupPairs": [],
            }
        note = {"Description": rule.description} if rule.description else {}
        if rule.cidr:
            found[key]["IpRanges"].append({"CidrIp": rule.cidr, **note})
        elif rule.cidr6:
            found[key]["Ipv6Ranges"].append({"CidrIpv6": rule.cidr6, **note})
        else:
            found[key]["UserIdGroupPairs"].append({"GroupId": rule.group, "UserId": owner, **note})
    return list(found.values())


def has_ports(protocol: str) -> bool:
    return protocol in ("tcp", "udp", "icmp", "icmpv6")


def rule(g: r.GroupR, x: r.Rule) -> Shape:
    referenced = {"GroupId": x.group, "UserId": g.meta.account} if x.group else None
    return {
        "SecurityGroupRuleId": x.id,
        "SecurityGroupRuleArn": g.meta.arn.rpartition(":")[0] + f":security-group-rule/{x.id}",
        "GroupId": g.meta.name,
        "GroupOwnerId": g.meta.account,
        "IsEgress": x.egress,
        "IpProtocol": x.protocol,
        "FromPort": x.from_port,
        "ToPort": x.to_port,
        "CidrIpv4": x.cidr or None,
        "CidrIpv6": x.cidr6 or None,
        "ReferencedGroupInfo": referenced,
        "Description": x.description or None,
        "Tags": shown(x.tags),
    }


def revoked_rule(g: r.GroupR, x: r.Rule) -> Shape:
    shape = rule(g, x)
    for member in ("SecurityGroupRuleArn", "GroupOwnerId", "Tags", "ReferencedGroupInfo"):
        del shape[member]
    return {**shape, "ReferencedGroupId": x.group or None}


def gateway(g: r.GatewayR) -> Shape:
    attachments = [{"State": "available", "VpcId": g.spec.vpc}] if g.spec.vpc else []
    return {
        "InternetGatewayId": g.meta.name,
        "OwnerId": g.meta.account,
        "Attachments": attachments,
        "Tags": shown(g.spec.tags),
    }


def route_table(reader: Reader, t: r.TableR) -> Shape:
    state = {"State": "associated"}
    name = t.meta.name
    associations: list[Shape] = [
        {
            "RouteTableAssociationId": a.id,
            "RouteTableId": name,
            "SubnetId": a.subnet,
            "Main": False,
            "AssociationState": state,
        }
        for a in t.spec.associations
    ]
    if t.spec.main:
        main = {"RouteTableAssociationId": t.spec.main, "RouteTableId": name, "Main": True, "AssociationState": state}
        associations.insert(0, main)
    return {
        "RouteTableId": name,
        "VpcId": t.spec.vpc,
        "OwnerId": t.meta.account,
        "Associations": associations,
        "PropagatingVgws": [],
        "Routes": routes(reader, t),
        "Tags": shown(t.spec.tags),
    }


def routes(reader: Reader, t: r.TableR) -> list[Shape]:
    vpc = reader.get(r.VPC, t.meta.account, t.meta.region, t.spec.vpc)
    assert vpc is not None, "a route table goes with its VPC"
    local: Shape = {
        "DestinationCidrBlock": vpc.spec.cidr,
        "GatewayId": "local",
        "Origin": "CreateRouteTable",
        "State": "active",
    }
    return [local] + [
        {
            "DestinationCidrBlock": each.destination,
            "GatewayId": each.gateway,
            "Origin": "CreateRoute",
            "State": "active" if is_active(reader, t, each) else "blackhole",
        }
        for each in t.spec.routes
    ]


def is_active(reader: Reader, t: r.TableR, route: r.Route) -> bool:
    gateway = reader.get(r.GATEWAY, t.meta.account, t.meta.region, route.gateway)
    return gateway is not None and gateway.spec.vpc == t.spec.vpc


def acl(reader: Reader, a: r.AclR) -> Shape:
    def entry(number: int, action: str, egress: bool) -> Shape:
        return {
            "CidrBlock": "0.0.0.0/0",
            "Egress": egress,
            "Protocol": "-1",
            "RuleAction": action,
            "RuleNumber": number,
        }

    subnets = reader.find(r.SUBNET, "vpc", a.spec.vpc)
    return {
        "NetworkAclId": a.meta.name,
        "VpcId": a.spec.vpc,
        "OwnerId": a.meta.account,
        "IsDefault": True,
        "Associations": [
            {
                "NetworkAclAssociationId": s.spec.acl_association,
                "NetworkAclId": a.meta.name,
                "SubnetId": s.meta.name,
            }
            for s in subnets
        ],
        "Entries": [
            entry(number, action, egress)
            for egress in (True, False)
            for number, action in ((100, "allow"), (32767, "deny"))
        ],
        "Tags": shown(a.spec.tags),
    }


def dhcp_options(d: r.DhcpR) -> Shape:
    return {
        "DhcpOptionsId": d.meta.name,
        "OwnerId": d.meta.account,
        "DhcpConfigurations": [
            {"Key": key, "Values": [{"Value": value} for value in values]} for key, values in d.spec.options
        ],
        "Tags": shown(d.spec.tags),
    }


def private_name(reader: Reader, i: r.InterfaceR) -> str | None:
    vpc = reader.get(r.VPC, i.meta.account, i.meta.region, i.spec.vpc)
    if vpc is None or not (vpc.spec.dns_support and vpc.spec.dns_hostnames):
        return None
    return addresses.private_name(i.spec.address, network.private_domain(i.meta.region))


def interface(reader: Reader, i: r.InterfaceR) -> Shape:
    name = private_name(reader, i)
    return {
        "NetworkInterfaceId": i.meta.name,
        "InterfaceType": "interface",
        "Description": i.spec.description,
        "Status": "in-use" if i.spec.attachment else "available",
        "Attachment": attachment(i),
        "OwnerId": i.meta.account,
        "RequesterId": i.spec.requester_id,
        "RequesterManaged": bool(i.spec.requester),
        "SubnetId": i.spec.subnet,
        "VpcId": i.spec.vpc,
        "AvailabilityZone": i.spec.zone,
        "AvailabilityZoneId": zone_id(i.spec.zone),
        "MacAddress": i.spec.mac,
        "PrivateIpAddress": i.spec.address,
        "PrivateDnsName": name,
        "PrivateIpAddresses": [{"Primary": True, "PrivateIpAddress": i.spec.address, "PrivateDnsName": name}],
        "Ipv6Addresses": [],
        "Groups": interface_groups(reader, i),
        "SourceDestCheck": i.spec.source_dest_check,
        "TagSet": shown(i.spec.tags),
    }


def interface_groups(reader: Reader, i: r.InterfaceR) -> list[Shape]:
    found = (reader.get(r.GROUP, i.meta.account, i.meta.region, id) for id in i.spec.groups)
    return [{"GroupId": g.meta.name, "GroupName": g.spec.group} for g in found if g is not None]


def attachment(i: r.InterfaceR) -> Shape | None:
    if not i.spec.attachment:
        return None
    return {
        "AttachmentId": i.spec.attachment,
        "AttachTime": i.spec.attached,
        "DeleteOnTermination": False,
        "DeviceIndex": 1,
        "InstanceOwnerId": find.owner_of(i.spec.requester),
        "NetworkCardIndex": 0,
        "Status": "attached",
    }
