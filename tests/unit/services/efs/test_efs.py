"""File systems, mount targets and access points, as boto3 sees them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.services.efs.efs_harness import ACCOUNT, Efs, refusal

from havre.control import file_systems
from havre.kernel.errors import Permanent
from havre.kernel.workload import Share
from havre.services.efs.resources import FILE_SYSTEM

CREATION = {"OwnerUid": 1000, "OwnerGid": 1001, "Permissions": "0750"}


def test_a_file_system_is_created_once_for_a_token(efs: Efs) -> None:
    made = efs.client.create_file_system(CreationToken="one", Encrypted=True, Tags=[{"Key": "Name", "Value": "mine"}])
    assert (made["LifeCycleState"], made["Name"], made["Encrypted"]) == ("creating", "mine", True)
    assert made["FileSystemArn"] == f"arn:aws:elasticfilesystem:us-east-1:{ACCOUNT}:file-system/{made['FileSystemId']}"
    efs.settle()
    assert efs.shelf.there == [made["FileSystemId"]]
    assert efs.described(made["FileSystemId"])["LifeCycleState"] == "available"
    assert refusal(efs.client.create_file_system, CreationToken="one")[0] == "FileSystemAlreadyExists"
    with pytest.raises(efs.client.exceptions.FileSystemAlreadyExists) as known:
        efs.client.create_file_system(CreationToken="one")
    assert known.value.response["FileSystemId"] == made["FileSystemId"]
    assert len(efs.client.describe_file_systems(CreationToken="one")["FileSystems"]) == 1


def test_it_is_available_once_its_directory_is_there(efs: Efs) -> None:
    efs.shelf.full = True
    id = efs.client.create_file_system(CreationToken="one")["FileSystemId"]
    efs.settle()
    assert efs.described(id)["LifeCycleState"] == "creating"
    assert refusal(efs.client.update_file_system, FileSystemId=id)[0] == "IncorrectFileSystemLifeCycleState"
    efs.shelf.full = False
    efs.running.wait(_again(efs))
    assert efs.described(id)["LifeCycleState"] == "available"


async def _again(efs: Efs) -> None:
    """The reconciler looks at every file system."""
    for found in efs.running.store.list(FILE_SYSTEM):
        efs.runner.wake("efs.file_system", found.key)
    await efs.runner.drain()


def test_what_is_deleted_is_gone_with_its_files(efs: Efs) -> None:
    id = efs.make()
    target = efs.client.create_mount_target(FileSystemId=id, SubnetId=efs.subnets[0]["SubnetId"])["MountTargetId"]
    point = efs.client.create_access_point(FileSystemId=id, ClientToken="t")["AccessPointId"]
    assert refusal(efs.client.delete_file_system, FileSystemId=id)[0] == "FileSystemInUse"
    efs.client.delete_mount_target(MountTargetId=target)
    efs.client.delete_file_system(FileSystemId=id)
    efs.settle()
    assert efs.shelf.there == []
    assert refusal(efs.client.describe_file_systems, FileSystemId=id)[0] == "FileSystemNotFound"
    assert refusal(efs.client.describe_access_points, AccessPointId=point)[0] == "AccessPointNotFound"


def test_throughput_modes(efs: Efs) -> None:
    id = efs.make()
    assert efs.described(id)["ThroughputMode"] == "bursting"
    change = efs.client.update_file_system
    assert refusal(change, FileSystemId=id, ThroughputMode="provisioned")[0] == "BadRequest"
    told = change(FileSystemId=id, ThroughputMode="provisioned", ProvisionedThroughputInMibps=2.0)
    assert told["ProvisionedThroughputInMibps"] == 2.0
    assert "ProvisionedThroughputInMibps" not in change(FileSystemId=id, ThroughputMode="elastic")


@pytest.mark.parametrize(
    "given", [{"KmsKeyId": "alias/x"}, {"Backup": True}, {"AvailabilityZoneName": "us-east-1a"}], ids=str
)
def test_what_is_not_built_names_itself(efs: Efs, given: dict[str, Any]) -> None:
    code, message = refusal(efs.client.create_file_system, CreationToken="one", **given)
    assert code == "NotImplementedException" and next(iter(given)) in message
    assert efs.client.describe_file_systems()["FileSystems"] == []


def test_one_mount_target_a_zone_in_one_vpc(efs: Efs) -> None:
    id = efs.make()
    first, second = (subnet["SubnetId"] for subnet in efs.subnets[:2])
    made = efs.client.create_mount_target(FileSystemId=id, SubnetId=first)
    found = efs.ec2.describe_network_interfaces(NetworkInterfaceIds=[made["NetworkInterfaceId"]])["NetworkInterfaces"][
        0
    ]
    assert (found["PrivateIpAddress"], found["SubnetId"]) == (made["IpAddress"], first)
    assert refusal(efs.client.create_mount_target, FileSystemId=id, SubnetId=first) == (
        "MountTargetConflict",
        "mount target already exists in this AZ",
    )
    efs.client.create_mount_target(FileSystemId=id, SubnetId=second)
    assert efs.described(id)["NumberOfMountTargets"] == 2
    vpc = efs.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    other = efs.ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24", AvailabilityZone="us-east-1c")["Subnet"][
        "SubnetId"
    ]
    assert refusal(efs.client.create_mount_target, FileSystemId=id, SubnetId=other)[0] == "MountTargetConflict"
    assert refusal(efs.client.create_mount_target, FileSystemId=id, SubnetId="subnet-0123456789abcdef0")[0] == (
        "SubnetNotFound"
    )
    assert refusal(efs.client.create_mount_target, FileSystemId="fs-0123456789abcdef0", SubnetId=first)[0] == (
        "FileSystemNotFound"
    )
    assert refusal(efs.client.describe_mount_targets)[0] == "BadRequest"
    efs.client.delete_mount_target(MountTargetId=made["MountTargetId"])
    told = refusal(efs.ec2.describe_network_interfaces, NetworkInterfaceIds=[made["NetworkInterfaceId"]])
    assert told[0] == "InvalidNetworkInterfaceID.NotFound"
    assert refusal(efs.client.delete_mount_target, MountTargetId=made["MountTargetId"])[0] == "MountTargetNotFound"


def test_security_groups_of_mount_targets(efs: Efs) -> None:
    id = efs.make()
    made = efs.client.create_mount_target(FileSystemId=id, SubnetId=efs.subnets[0]["SubnetId"])
    target = made["MountTargetId"]
    group = efs.ec2.create_security_group(GroupName="nfs", Description="d", VpcId=made["VpcId"])["GroupId"]
    before = efs.client.describe_mount_target_security_groups(MountTargetId=target)["SecurityGroups"]
    efs.client.modify_mount_target_security_groups(MountTargetId=target, SecurityGroups=[group])
    assert efs.client.describe_mount_target_security_groups(MountTargetId=target)["SecurityGroups"] == [group]
    efs.client.modify_mount_target_security_groups(MountTargetId=target)
    assert efs.client.describe_mount_target_security_groups(MountTargetId=target)["SecurityGroups"] == before
    change = efs.client.modify_mount_target_security_groups
    told = refusal(change, MountTargetId=target, SecurityGroups=["sg-0123456789abcdef0"])
    assert told[0] == "SecurityGroupNotFound"


def test_access_points(efs: Efs) -> None:
    id = efs.make()
    given = {
        "ClientToken": "t",
        "FileSystemId": id,
        "PosixUser": {"Uid": 1000, "Gid": 1001, "SecondaryGids": [7]},
        "RootDirectory": {"Path": "/app", "CreationInfo": CREATION},
    }
    made = efs.client.create_access_point(**given)
    assert (made["PosixUser"], made["RootDirectory"]) == (given["PosixUser"], given["RootDirectory"])
    assert efs.client.create_access_point(**given)["AccessPointId"] == made["AccessPointId"]
    other = {**given, "RootDirectory": {"Path": "/other"}}
    assert refusal(efs.client.create_access_point, **other)[0] == "AccessPointAlreadyExists"
    (found,) = efs.client.describe_access_points(FileSystemId=id)["AccessPoints"]
    assert found["AccessPointArn"] == made["AccessPointArn"]
    bare = efs.client.create_access_point(FileSystemId=id, ClientToken="u")
    assert (bare["RootDirectory"], "PosixUser" in bare) == ({"Path": "/"}, False)
    efs.client.delete_access_point(AccessPointId=made["AccessPointId"])
    assert refusal(efs.client.delete_access_point, AccessPointId=made["AccessPointId"])[0] == "AccessPointNotFound"


@pytest.mark.parametrize("path", ["/a/../b", "/..", "a"])
def test_root_directories_lead_nowhere_else(efs: Efs, path: str) -> None:
    client = efs.running.client("efs", parameter_validation=False)
    told = refusal(client.create_access_point, FileSystemId=efs.make(), ClientToken="t", RootDirectory={"Path": path})
    assert told[0] in ("BadRequest", "ValidationException")
    assert client.describe_access_points()["AccessPoints"] == []


def test_tags_by_both_kinds_of_operations(efs: Efs) -> None:
    id = efs.make(Tags=[{"Key": "a", "Value": "1"}])
    point = efs.client.create_access_point(FileSystemId=id, ClientToken="t")["AccessPointArn"]
    for resource in (id, point):
        efs.client.tag_resource(ResourceId=resource, Tags=[{"Key": "b", "Value": "2"}])
        assert {"Key": "b", "Value": "2"} in efs.client.list_tags_for_resource(ResourceId=resource)["Tags"]
    efs.client.untag_resource(ResourceId=id, TagKeys=["a"])
    efs.client.create_tags(FileSystemId=id, Tags=[{"Key": "c", "Value": "3"}])
    efs.client.delete_tags(FileSystemId=id, TagKeys=["b"])
    assert efs.client.describe_tags(FileSystemId=id)["Tags"] == [{"Key": "c", "Value": "3"}]


def test_what_is_kept_and_shown(efs: Efs) -> None:
    id = efs.make()
    rules = [{"TransitionToIA": "AFTER_30_DAYS"}, {"TransitionToPrimaryStorageClass": "AFTER_1_ACCESS"}]
    efs.client.put_lifecycle_configuration(FileSystemId=id, LifecyclePolicies=rules)
    assert efs.client.describe_lifecycle_configuration(FileSystemId=id)["LifecyclePolicies"] == rules
    assert efs.client.describe_backup_policy(FileSystemId=id)["BackupPolicy"] == {"Status": "DISABLED"}
    told = refusal(efs.client.put_backup_policy, FileSystemId=id, BackupPolicy={"Status": "ENABLED"})
    assert told[0] == "NotImplementedException"
    assert refusal(efs.client.describe_replication_configurations, FileSystemId=id)[0] == "ReplicationNotFound"


def test_policies_of_file_systems(efs: Efs) -> None:
    id = efs.make()
    assert refusal(efs.client.describe_file_system_policy, FileSystemId=id)[0] == "PolicyNotFound"
    assert refusal(efs.client.put_file_system_policy, FileSystemId=id, Policy="{}")[0] == "InvalidPolicyException"
    deny = _policy(Effect="Deny", Principal="*", Action="elasticfilesystem:*", Resource="*")
    assert refusal(efs.client.put_file_system_policy, FileSystemId=id, Policy=deny)[0] == "InvalidPolicyException"
    allow = _policy(Effect="Allow", Principal="*", Action="elasticfilesystem:ClientMount", Resource="*")
    efs.client.put_file_system_policy(FileSystemId=id, Policy=allow)
    assert efs.client.describe_file_system_policy(FileSystemId=id)["Policy"] == allow
    efs.client.delete_file_system_policy(FileSystemId=id)
    assert refusal(efs.client.describe_file_system_policy, FileSystemId=id)[0] == "PolicyNotFound"


def _policy(**statement: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_sizes_are_measured_by_and_by() -> None:
    efs = Efs("open")
    try:
        id = efs.make()
        assert efs.described(id)["SizeInBytes"]["Value"] == 0
        efs.running.offset += 1000
        efs.running.wait(_again(efs))
        assert efs.described(id)["SizeInBytes"]["Value"] == 4096
    finally:
        efs.close()


# What tasks and functions get


def share(efs: Efs, **wanted: Any) -> Share:
    aws = efs.aws_for(ACCOUNT, "us-east-1", "ecs.amazonaws.com")
    found: Share = efs.running.wait(file_systems.share(aws, file_systems.Wanted(ACCOUNT, "us-east-1", **wanted)))
    return found


def role(efs: Efs, *actions: str) -> str:
    iam = efs.running.client("iam")
    trust = _policy(Effect="Allow", Principal={"Service": "ecs-tasks.amazonaws.com"}, Action="sts:AssumeRole")
    name = f"role-{len(iam.list_roles()['Roles'])}"
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    if actions:
        allowed = [f"elasticfilesystem:Client{action}" for action in actions]
        document = _policy(Effect="Allow", Action=allowed, Resource="*")
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document)
    return arn


@pytest.fixture
def reachable(efs: Efs) -> str:
    id = efs.make()
    efs.client.create_mount_target(FileSystemId=id, SubnetId=efs.subnets[0]["SubnetId"])
    return id


def test_without_a_policy_everybody_may(efs: Efs, reachable: str) -> None:
    assert share(efs, file_system=reachable, root="/a") == Share(reachable, "/a")


def test_a_mount_target_has_to_be_where_the_task_is(efs: Efs, reachable: str) -> None:
    zone, vpc = efs.subnets[0]["AvailabilityZone"], efs.subnets[0]["VpcId"]
    assert share(efs, file_system=reachable, vpc=vpc, zone=zone).file_system == reachable
    for where in ({"zone": efs.subnets[1]["AvailabilityZone"]}, {"vpc": "vpc-other"}):
        with pytest.raises(Permanent, match="Failed to resolve"):
            share(efs, file_system=reachable, **where)
    with pytest.raises(Permanent, match="FileSystemNotFound"):
        share(efs, file_system="fs-0123456789abcdef0")


@pytest.mark.parametrize(
    ("actions", "read_only", "squashed"),
    [(("Mount",), True, True), (("Mount", "Write"), False, True), (("Mount", "Write", "RootAccess"), False, False)],
)
def test_a_role_gets_what_it_is_allowed(
    efs: Efs, reachable: str, actions: tuple[str, ...], read_only: bool, squashed: bool
) -> None:
    found = share(efs, file_system=reachable, role=role(efs, *actions))
    assert (found.read_only, found.squashed) == (read_only, squashed)


def test_a_role_that_may_nothing_mounts_nothing(efs: Efs, reachable: str) -> None:
    with pytest.raises(Permanent, match="access denied by server"):
        share(efs, file_system=reachable, role=role(efs, "Write"))


def test_a_policy_decides_about_everybody_and_about_roles(efs: Efs, reachable: str) -> None:
    mine = role(efs)
    only = _policy(Effect="Allow", Principal={"AWS": mine}, Action="elasticfilesystem:Client*", Resource="*")
    efs.client.put_file_system_policy(FileSystemId=reachable, Policy=only)
    assert not share(efs, file_system=reachable, role=mine).read_only
    with pytest.raises(Permanent, match="access denied"):
        share(efs, file_system=reachable)
    everybody = _policy(Effect="Allow", Principal="*", Action="elasticfilesystem:ClientMount", Resource="*")
    efs.client.put_file_system_policy(FileSystemId=reachable, Policy=everybody)
    assert share(efs, file_system=reachable).read_only


def test_policies_can_ask_for_an_access_point(efs: Efs, reachable: str) -> None:
    point = efs.client.create_access_point(FileSystemId=reachable, ClientToken="t", PosixUser={"Uid": 5, "Gid": 6})
    condition = {"StringEquals": {"elasticfilesystem:AccessPointArn": point["AccessPointArn"]}}
    statement = {"Effect": "Allow", "Principal": "*", "Action": "elasticfilesystem:Client*", "Resource": "*"}
    efs.client.put_file_system_policy(FileSystemId=reachable, Policy=_policy(**statement, Condition=condition))
    found = share(efs, file_system=reachable, access_point=point["AccessPointId"])
    assert (found.user, found.squashed, found.path) == ((5, 6), False, "/")
    with pytest.raises(Permanent, match="access denied"):
        share(efs, file_system=reachable)


def test_an_access_point_of_another_file_system(efs: Efs, reachable: str) -> None:
    point = efs.client.create_access_point(FileSystemId=efs.make("two"), ClientToken="t")["AccessPointId"]
    with pytest.raises(Permanent, match="is an access point of"):
        share(efs, file_system=reachable, access_point=point)
