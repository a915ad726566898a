"""IAM as boto3 sees it."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.running_gateway import ACCOUNT, ROOT, Running, code

from havre.core.credentials import account_of
from havre.core.policy import parse
from havre.services.iam import managed
from havre.services.iam.root import ensure_root, ensure_secret, load_roots

ALL = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
READ = json.dumps(
    {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ecs:Describe*", "Resource": "*"}}
)
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"


def trust(**principal: str) -> str:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


ECS = trust(Service="ecs-tasks.amazonaws.com")


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    found = Running()
    yield found
    found.close()


@pytest.fixture
def iam(running: Running) -> Any:
    running.wait(running.store.reset())
    return running.client("iam")


def test_a_users_life(iam: Any) -> None:
    made = iam.create_user(UserName="Ann", Path="/team/", Tags=[{"Key": "a", "Value": "b"}])["User"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/team/Ann"
    assert made["UserId"].startswith("AIDA") and len(made["UserId"]) == 21
    assert code(iam.create_user, UserName="ann") == "EntityAlreadyExists"
    assert iam.get_user(UserName="Ann")["User"]["Tags"] == [{"Key": "a", "Value": "b"}]
    iam.tag_user(UserName="Ann", Tags=[{"Key": "A", "Value": "c"}, {"Key": "d", "Value": "e"}])
    iam.untag_user(UserName="Ann", TagKeys=["D"])
    assert iam.list_user_tags(UserName="Ann")["Tags"] == [{"Key": "A", "Value": "c"}]
    assert [u["UserName"] for u in iam.list_users(PathPrefix="/team/")["Users"]] == ["Ann"]
    assert iam.list_users(PathPrefix="/x/")["Users"] == []
    iam.update_user(UserName="Ann", NewUserName="Anna", NewPath="/")
    assert iam.get_user(UserName="Anna")["User"]["UserId"] == made["UserId"]
    assert code(iam.get_user, UserName="Ann") == "NoSuchEntity"
    iam.delete_user(UserName="Anna")
    with pytest.raises(ClientError, match="The user with name Anna cannot be found") as told:
        iam.delete_user(UserName="Anna")
    assert told.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_keys_are_told_once(running: Running, iam: Any) -> None:
    iam.create_user(UserName="ann")
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    assert account_of(key["AccessKeyId"]) == ACCOUNT and len(key["SecretAccessKey"]) == 40
    iam.create_access_key(UserName="ann")
    assert code(iam.create_access_key, UserName="ann") == "LimitExceeded"
    listed = iam.list_access_keys(UserName="ann")["AccessKeyMetadata"]
    assert len(listed) == 2 and all("SecretAccessKey" not in k for k in listed)
    assert key["SecretAccessKey"] not in json.dumps(running.events("CreateAccessKey"))
    assert code(iam.delete_user, UserName="ann") == "DeleteConflict"
    mine = running.client("sts", key).get_caller_identity()
    assert mine["Arn"].endswith("user/ann")
    iam.update_user(UserName="ann", NewUserName="bea")
    assert running.client("sts", key).get_caller_identity()["Arn"].endswith("user/bea")
    for each in listed:
        iam.delete_access_key(UserName="bea", AccessKeyId=each["AccessKeyId"])
    assert code(running.client("sts", key).get_caller_identity) == "InvalidClientTokenId"
    assert code(iam.delete_access_key, UserName="bea", AccessKeyId=key["AccessKeyId"]) == "NoSuchEntity"
    iam.delete_user(UserName="bea")


def test_groups(running: Running, iam: Any) -> None:
    iam.create_user(UserName="ann")
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    iam.create_group(GroupName="Devs")
    iam.put_group_policy(GroupName="Devs", PolicyName="p", PolicyDocument=READ)
    ecs = running.client("ecs", key)
    assert code(ecs.describe_clusters) == "AccessDeniedException"
    iam.add_user_to_group(GroupName="Devs", UserName="ann")
    ecs.describe_clusters()
    assert [u["UserName"] for u in iam.get_group(GroupName="devs")["Users"]] == ["ann"]
    iam.update_group(GroupName="Devs", NewGroupName="Ops")
    ecs.describe_clusters()
    assert [g["GroupName"] for g in iam.list_groups_for_user(UserName="ann")["Groups"]] == ["Ops"]
    assert code(iam.delete_group, GroupName="Ops") == "DeleteConflict"
    iam.remove_user_from_group(GroupName="Ops", UserName="ann")
    assert code(ecs.describe_clusters) == "AccessDeniedException"
    assert code(iam.delete_group, GroupName="Ops") == "DeleteConflict"
    iam.delete_group_policy(GroupName="Ops", PolicyName="p")
    iam.delete_group(GroupName="Ops")
    assert iam.list_groups()["Groups"] == []


def test_a_roles_life(iam: Any) -> None:
    made = iam.create_role(RoleName="task", AssumeRolePolicyDocument=ECS, Description="d", MaxSessionDuration=7200)[
        "Role"
    ]
    assert made["AssumeRolePolicyDocument"] == json.loads(ECS)
    assert iam.get_role(RoleName="task")["Role"]["MaxSessionDuration"] == 7200 and made["RoleId"].startswith("AROA")
    assert code(iam.create_role, RoleName="TASK", AssumeRolePolicyDocument=ECS) == "EntityAlreadyExists"
    for bad in ("{", ALL, trust(AWS=f"arn:aws:iam::{ACCOUNT}:user/nobody"), trust(Service="x")):
        assert code(iam.create_role, RoleName="x", AssumeRolePolicyDocument=bad) == "MalformedPolicyDocument"
    assert code(iam.create_role, RoleName="x", Path="nope", AssumeRolePolicyDocument=ECS) == "ValidationError"
    iam.update_role(RoleName="task", MaxSessionDuration=3600)
    assert iam.get_role(RoleName="task")["Role"]["Description"] == "d"
    iam.update_assume_role_policy(RoleName="task", PolicyDocument=trust(AWS=ACCOUNT))
    assert iam.get_role(RoleName="task")["Role"]["AssumeRolePolicyDocument"] == json.loads(trust(AWS=ACCOUNT))
    iam.put_role_policy(RoleName="task", PolicyName="p", PolicyDocument=READ)
    assert iam.get_role_policy(RoleName="task", PolicyName="p")["PolicyDocument"] == json.loads(READ)
    assert code(iam.get_role_policy, RoleName="task", PolicyName="q") == "NoSuchEntity"
    iam.attach_role_policy(RoleName="task", PolicyArn=ADMIN)
    assert iam.list_attached_role_policies(RoleName="task")["AttachedPolicies"] == [
        {"PolicyName": "AdministratorAccess", "PolicyArn": ADMIN}
    ]
    with pytest.raises(ClientError, match="must detach all policies first"):
        iam.delete_role(RoleName="task")
    iam.detach_role_policy(RoleName="task", PolicyArn=ADMIN)
    with pytest.raises(ClientError, match="must delete policies first"):
        iam.delete_role(RoleName="task")
    iam.delete_role_policy(RoleName="task", PolicyName="p")
    iam.delete_role(RoleName="task")
    assert iam.list_roles()["Roles"] == []


def test_linked_roles(iam: Any) -> None:
    made = iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")["Role"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS"
    assert code(iam.create_service_linked_role, AWSServiceName="ecs.amazonaws.com") == "InvalidInput"
    assert code(iam.create_service_linked_role, AWSServiceName="nope.amazonaws.com") == "InvalidInput"
    attached = iam.list_attached_role_policies(RoleName="AWSServiceRoleForECS")["AttachedPolicies"]
    assert attached[0]["PolicyName"] == "AmazonECSServiceRolePolicy"
    name = {"RoleName": "AWSServiceRoleForECS"}
    assert code(iam.delete_role, **name) == "UnmodifiableEntity"
    assert code(iam.attach_role_policy, **name, PolicyArn=ADMIN) == "UnmodifiableEntity"
    task = iam.delete_service_linked_role(**name)["DeletionTaskId"]
    assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"


def test_policy_versions(running: Running, iam: Any) -> None:
    arn = iam.create_policy(PolicyName="p", Path="/x/", PolicyDocument=READ, Description="d")["Policy"]["Arn"]
    assert arn == f"arn:aws:iam::{ACCOUNT}:policy/x/p"
    assert code(iam.create_policy, PolicyName="P", PolicyDocument=READ) == "EntityAlreadyExists"
    assert code(iam.create_policy, PolicyName="q", PolicyDocument="{}") == "MalformedPolicyDocument"
    big = json.dumps(
        {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": ["ecs:a" + "b" * 6200], "Resource": "*"}}
    )
    assert code(iam.create_policy, PolicyName="q", PolicyDocument=big) == "LimitExceeded"
    iam.create_user(UserName="ann")
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    iam.attach_user_policy(UserName="ann", PolicyArn=arn)
    ecs = running.client("ecs", key)
    ecs.describe_clusters()
    assert code(ecs.create_cluster, clusterName="c") == "AccessDeniedException"
    assert iam.create_policy_version(PolicyArn=arn, PolicyDocument=ALL)["PolicyVersion"]["VersionId"] == "v2"
    assert code(ecs.create_cluster, clusterName="c") == "AccessDeniedException"
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v2")
    ecs.create_cluster(clusterName="c")
    for _ in range(3):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=ALL)
    assert code(iam.create_policy_version, PolicyArn=arn, PolicyDocument=ALL) == "LimitExceeded"
    assert code(iam.delete_policy_version, PolicyArn=arn, VersionId="v2") == "DeleteConflict"
    assert [v["VersionId"] for v in iam.list_policy_versions(PolicyArn=arn)["Versions"]] == [
        "v5",
        "v4",
        "v3",
        "v2",
        "v1",
    ]
    assert iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"] == json.loads(READ)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    assert iam.list_entities_for_policy(PolicyArn=arn)["PolicyUsers"][0]["UserName"] == "ann"
    assert code(iam.delete_policy, PolicyArn=arn) == "DeleteConflict"
    iam.detach_user_policy(UserName="ann", PolicyArn=arn)
    assert code(iam.detach_user_policy, UserName="ann", PolicyArn=arn) == "NoSuchEntity"
    assert code(iam.delete_policy, PolicyArn=arn) == "DeleteConflict"
    for version in ("v1", "v3", "v4", "v5"):
        iam.delete_policy_version(PolicyArn=arn, VersionId=version)
    iam.delete_policy(PolicyArn=arn)
    assert code(iam.get_policy, PolicyArn=arn) == "NoSuchEntity"
    assert code(iam.attach_user_policy, UserName="ann", PolicyArn=arn) == "NoSuchEntity"


def test_boundaries(running: Running, iam: Any) -> None:
    arn = iam.create_policy(PolicyName="limit", PolicyDocument=READ)["Policy"]["Arn"]
    iam.create_user(UserName="ann", PermissionsBoundary=arn)
    iam.attach_user_policy(UserName="ann", PolicyArn=ADMIN)
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    ecs = running.client("ecs", key)
    ecs.describe_clusters()
    with pytest.raises(ClientError, match="because no permissions boundary allows the ecs:CreateCluster action"):
        ecs.create_cluster(clusterName="c")
    assert code(iam.delete_policy, PolicyArn=arn) == "DeleteConflict"
    iam.delete_user_permissions_boundary(UserName="ann")
    ecs.create_cluster(clusterName="c")
    iam.put_user_permissions_boundary(UserName="ann", PermissionsBoundary=arn)
    assert iam.get_user(UserName="ann")["User"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == arn
    assert code(iam.put_user_permissions_boundary, UserName="ann", PermissionsBoundary=arn + "x") == "NoSuchEntity"


def test_instance_profiles(iam: Any) -> None:
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=ECS)
    iam.create_instance_profile(InstanceProfileName="p")
    iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="r")
    assert code(iam.add_role_to_instance_profile, InstanceProfileName="p", RoleName="r") == "LimitExceeded"
    assert iam.get_instance_profile(InstanceProfileName="p")["InstanceProfile"]["Roles"][0]["RoleName"] == "r"
    assert iam.list_instance_profiles_for_role(RoleName="r")["InstanceProfiles"][0]["InstanceProfileName"] == "p"
    assert code(iam.delete_role, RoleName="r") == "DeleteConflict"
    assert code(iam.delete_instance_profile, InstanceProfileName="p") == "DeleteConflict"
    iam.remove_role_from_instance_profile(InstanceProfileName="p", RoleName="r")
    iam.delete_instance_profile(InstanceProfileName="p")
    assert iam.list_instance_profiles()["InstanceProfiles"] == []


def test_pages(iam: Any) -> None:
    for number in range(7):
        iam.create_user(UserName=f"u{number}")
    pages = iam.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 3})
    assert [[u["UserName"] for u in p["Users"]] for p in pages] == [["u0", "u1", "u2"], ["u3", "u4", "u5"], ["u6"]]
    marker = iam.list_users(MaxItems=1)["Marker"]
    forged = marker[:-1] + ("A" if marker[-1] != "A" else "B")
    for wrong in ("nonsense", forged):
        assert code(iam.list_users, Marker=wrong) == "ValidationError"
    assert code(iam.list_roles, Marker=marker) == "ValidationError"
    assert code(iam.list_users, Marker=marker, PathPrefix="/other/") == "ValidationError"


def test_pages_of_what_hangs_on_a_policy_show_all_of_it(iam: Any) -> None:
    text = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "ecs:*", "Resource": "*"}})
    arn = iam.create_policy(PolicyName="p", PolicyDocument=text)["Policy"]["Arn"]
    for name in ("a", "b", "c"):
        iam.create_user(UserName=name)
        iam.create_group(GroupName=name)
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=ECS)
        iam.attach_user_policy(UserName=name, PolicyArn=arn)
        iam.attach_group_policy(GroupName=name, PolicyArn=arn)
        iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    pages = list(
        iam.get_paginator("list_entities_for_policy").paginate(PolicyArn=arn, PaginationConfig={"PageSize": 2})
    )
    for kind in ("User", "Group", "Role"):
        assert [e[f"{kind}Name"] for page in pages for e in page[f"Policy{kind}s"]] == ["a", "b", "c"]
    assert all(sum(len(page[f"Policy{k}s"]) for k in ("User", "Group", "Role")) <= 2 for page in pages)


def test_inline_policies_have_a_size(iam: Any) -> None:
    iam.create_user(UserName="ann")
    statement = {"Effect": "Allow", "Action": "ecs:a" + "b" * 1200, "Resource": "*"}
    text = json.dumps({"Version": "2012-10-17", "Statement": statement})
    iam.put_user_policy(UserName="ann", PolicyName="one", PolicyDocument=text)
    assert code(iam.put_user_policy, UserName="ann", PolicyName="two", PolicyDocument=text) == "LimitExceeded"
    assert iam.list_user_policies(UserName="ann")["PolicyNames"] == ["one"]
    assert code(iam.put_user_policy, UserName="ann", PolicyName="x", PolicyDocument="no") == "MalformedPolicyDocument"


def test_the_account(iam: Any) -> None:
    assert iam.get_account_summary()["SummaryMap"]["UsersQuota"] == 5000
    iam.create_account_alias(AccountAlias="my-team")
    assert iam.list_account_aliases()["AccountAliases"] == ["my-team"]
    assert code(iam.create_account_alias, AccountAlias="a--b") == "ValidationError"
    iam.delete_account_alias(AccountAlias="my-team")
    assert code(iam.get_account_password_policy) == "NoSuchEntity"
    iam.update_account_password_policy(MinimumPasswordLength=12, RequireSymbols=True)
    assert iam.get_account_password_policy()["PasswordPolicy"]["MinimumPasswordLength"] == 12
    iam.delete_account_password_policy()
    iam.create_user(UserName="ann")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=ECS)
    iam.attach_role_policy(RoleName="r", PolicyArn=ADMIN)
    iam.create_policy(PolicyName="p", PolicyDocument=READ)
    told = iam.get_account_authorization_details()
    assert [len(told[k]) for k in ("UserDetailList", "RoleDetailList", "GroupDetailList", "Policies")] == [1, 1, 0, 2]
    assert code(iam.generate_credential_report) == "NotImplementedException"
    assert code(iam.create_login_profile, UserName="ann", Password="x" * 12) == "NotImplementedException"


def test_openid_providers(iam: Any) -> None:
    url = "https://oidc.eks.us-east-1.amazonaws.com/id/ABC"
    arn = iam.create_open_id_connect_provider(Url=url, ClientIDList=["sts.amazonaws.com"])["OpenIDConnectProviderArn"]
    assert arn == f"arn:aws:iam::{ACCOUNT}:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/ABC"
    assert code(iam.create_open_id_connect_provider, Url=url) == "EntityAlreadyExists"
    assert iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)["ClientIDList"] == ["sts.amazonaws.com"]
    iam.tag_open_id_connect_provider(OpenIDConnectProviderArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == [{"Arn": arn}]
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert code(iam.get_open_id_connect_provider, OpenIDConnectProviderArn=arn) == "NoSuchEntity"


def test_the_simulator(iam: Any) -> None:
    def decided(**request: Any) -> list[str]:
        return [r["EvalDecision"] for r in iam.simulate_custom_policy(**request)["EvaluationResults"]]

    both = ["ecs:DescribeClusters", "ecs:CreateCluster"]
    assert decided(PolicyInputList=[READ], ActionNames=both) == ["allowed", "implicitDeny"]
    deny = READ.replace("Allow", "Deny")
    assert decided(PolicyInputList=[ALL, deny], ActionNames=both) == ["explicitDeny", "allowed"]
    assert decided(PolicyInputList=[ALL], PermissionsBoundaryPolicyInputList=[READ], ActionNames=both) == [
        "allowed",
        "implicitDeny",
    ]
    iam.create_user(UserName="ann")
    iam.create_group(GroupName="g")
    iam.add_user_to_group(GroupName="g", UserName="ann")
    iam.put_group_policy(GroupName="g", PolicyName="p", PolicyDocument=READ)
    arn = f"arn:aws:iam::{ACCOUNT}:user/ann"
    result = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=both)["EvaluationResults"]
    assert [r["EvalDecision"] for r in result] == ["allowed", "implicitDeny"]
    assert result[0]["MatchedStatements"][0]["SourcePolicyId"] == "group_g_p"
    (matched,) = next(r for r in result if r["EvalDecision"] == "allowed")["MatchedStatements"]
    assert (matched["StartPosition"]["Line"], matched["EndPosition"]["Line"]) == (1, 1)
    assert matched["EndPosition"]["Column"] > matched["StartPosition"]["Column"] > 1
    assert not any("ResourceSpecificResults" in row for row in result)
    on = {"ResourceArns": ["arn:aws:ecs:us-east-1:0:cluster/a", "arn:aws:ecs:us-east-1:0:cluster/b"]}
    for row in iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=both, **on)["EvaluationResults"]:
        (of,) = row["ResourceSpecificResults"]
        assert (of["EvalResourceName"], of["EvalResourceDecision"]) == (row["EvalResourceName"], row["EvalDecision"])
        assert of["MatchedStatements"] == row["MatchedStatements"]
    assert code(iam.simulate_principal_policy, PolicySourceArn=arn + "x", ActionNames=both) == "NoSuchEntity"


def test_the_simulator_tells_what_it_was_not_told(iam: Any) -> None:
    condition = {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}
    text = json.dumps({"Version": "2012-10-17", "Statement": statement})
    entry = {"ContextKeyName": "aws:PrincipalTag/team", "ContextKeyType": "string", "ContextKeyValues": ["a"]}
    asked = {"PolicyInputList": [text], "ActionNames": ["ecs:RunTask"]}
    (row,) = iam.simulate_custom_policy(**asked)["EvaluationResults"]
    assert row["MissingContextValues"] == ["aws:PrincipalTag/team", "aws:ResourceTag/team"]
    (row,) = iam.simulate_custom_policy(**asked, ContextEntries=[entry])["EvaluationResults"]
    assert (row["EvalDecision"], row["MissingContextValues"]) == ("implicitDeny", ["aws:ResourceTag/team"])
    both = [entry, {**entry, "ContextKeyName": "aws:ResourceTag/team"}]
    (row,) = iam.simulate_custom_policy(**asked, ContextEntries=both)["EvaluationResults"]
    assert (row["EvalDecision"], row["MissingContextValues"]) == ("allowed", [])


def test_what_nobody_has_is_told_to_be_absent(iam: Any) -> None:
    iam.create_user(UserName="ann")
    for operation, member in (
        ("list_mfa_devices", "MFADevices"),
        ("list_ssh_public_keys", "SSHPublicKeys"),
        ("list_signing_certificates", "Certificates"),
        ("list_service_specific_credentials", "ServiceSpecificCredentials"),
    ):
        assert getattr(iam, operation)(UserName="ann")[member] == []
        assert code(getattr(iam, operation), UserName="nobody") == "NoSuchEntity"
    assert iam.list_virtual_mfa_devices()["VirtualMFADevices"] == []
    assert iam.list_server_certificates()["ServerCertificateMetadataList"] == []
    assert iam.list_saml_providers()["SAMLProviderList"] == []
    assert code(iam.get_login_profile, UserName="ann") == "NoSuchEntity"
    assert code(iam.delete_login_profile, UserName="ann") == "NoSuchEntity"


def test_aws_own_policies_can_be_read(iam: Any) -> None:
    for policy in managed.catalogue().values():
        parse(policy.text)
        assert policy.id.startswith("ANPA") and len(policy.id) == 21
    listed = iam.list_policies(Scope="AWS", MaxItems=1000)["Policies"]
    assert {p["Arn"] for p in listed} == set(managed.catalogue())
    arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
    assert iam.get_policy(PolicyArn=arn)["Policy"]["Path"] == "/service-role/"
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    assert "ecr:BatchGetImage" in json.dumps(
        iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    )
    assert code(iam.delete_policy, PolicyArn=arn) == "AccessDenied"


def test_what_an_installation_is_born_with(tmp_path: Path) -> None:
    first = ensure_root(tmp_path, ACCOUNT)
    assert ensure_root(tmp_path, ACCOUNT) == first and first.secret not in repr(first)
    assert account_of(first.access_key) == ACCOUNT
    other = ensure_root(tmp_path, "999988887777")
    assert load_roots(tmp_path) == (first, other)
    assert ensure_secret(tmp_path) == ensure_secret(tmp_path)
    assert all(stat.S_IMODE(f.stat().st_mode) == 0o600 for f in tmp_path.iterdir())
    assert ROOT.secret not in repr(ROOT)
