"""Functions: made, updated, published, deleted."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from tests.unit.services.lambda_.lambda_harness import OTHER_ROOT, TRUST, Lambda, archive, arn, digest, refusal

from havre.kernel.errors import Permanent, Temporary
from havre.kernel.runtimes import BUILT, base_image
from havre.services.lambda_.compile import function_of
from havre.services.lambda_.queries import resolve
from havre.services.lambda_.rules import runtimes

INVALID = "InvalidParameterValueException"
PYTHON = [runtime for runtime in runtimes.SUPPORTED if runtime.startswith("python")][-1]


def test_a_new_function_is_pending_until_it_is_prepared(lambdas: Lambda) -> None:
    code = archive()
    made = lambdas.create(ready=False, Description="mine", Environment={"Variables": {"NAME": "value"}}, Timeout=9)
    assert (made["State"], made["StateReasonCode"]) == ("Pending", "Creating") and "LastUpdateStatus" not in made
    assert made["FunctionArn"] == arn("function:one") and made["Version"] == "$LATEST"
    assert made["CodeSha256"] == base64.b64encode(hashlib.sha256(code).digest()).decode()
    assert made["CodeSize"] == len(code) and made["MemorySize"] == 128 and made["EphemeralStorage"] == {"Size": 512}
    assert made["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/aws/lambda/one"}
    lambdas.reconcile()
    [function] = lambdas.functions.prepared
    assert function.environment == {"NAME": "value"} and function.timeout == 9 and function.version == "$LATEST"
    assert function.code.digest == digest(code) and lambdas.code.path(digest(code)).read_bytes() == code
    shown = lambdas.get()
    assert (shown["State"], shown["LastUpdateStatus"]) == ("Active", "Successful") and "StateReason" not in shown
    assert shown["RevisionId"] != made["RevisionId"]
    assert shown["LastModified"] == made["LastModified"]


def test_a_function_that_cannot_be_prepared_says_why(lambdas: Lambda) -> None:
    lambdas.functions.fault = Permanent("there is no runtime python3.12 on this machine")
    lambdas.create()
    shown = lambdas.get()
    assert (shown["State"], shown["StateReasonCode"]) == ("Failed", "InvalidRuntime")
    assert shown["StateReason"] == "there is no runtime python3.12 on this machine"
    lambdas.functions.fault = None
    lambdas.client.update_function_configuration(FunctionName="one", Runtime="python3.13")
    lambdas.reconcile()
    assert lambdas.get()["State"] == "Active"


def test_what_passes_by_itself_leaves_a_function_pending(lambdas: Lambda) -> None:
    lambdas.functions.fault = Temporary("no node is there")
    lambdas.create()
    assert lambdas.get()["State"] == "Pending"


def test_an_update_takes_effect_when_it_is_prepared_and_one_goes_on_at_a_time(lambdas: Lambda) -> None:
    lambdas.create()
    first = lambdas.functions.prepared[-1].id
    answer = lambdas.client.update_function_configuration(FunctionName="one", MemorySize=256)
    assert (answer["State"], answer["LastUpdateStatus"], answer["MemorySize"]) == ("Active", "InProgress", 256)
    assert answer["LastUpdateStatusReasonCode"] == "Creating"
    changes: list[Any] = [
        (lambdas.client.update_function_configuration, {"Timeout": 5}),
        (lambdas.client.update_function_code, {"ZipFile": archive()}),
        (lambdas.client.publish_version, {}),
    ]
    for change, more in changes:
        code, message = refusal(change, FunctionName="one", **more)
        assert code == "ResourceConflictException"
        assert message == (
            f"The operation cannot be performed at this time. An update is in progress for resource: {arn('function:one')}"
        )
    lambdas.reconcile()
    assert lambdas.get()["LastUpdateStatus"] == "Successful"
    assert lambdas.functions.prepared[-1].memory == 256 and lambdas.functions.retired == [first]


def test_nothing_is_changed_while_a_function_is_created(lambdas: Lambda) -> None:
    lambdas.create(ready=False)
    code, message = refusal(lambdas.client.update_function_configuration, FunctionName="one", Timeout=5)
    assert code == "ResourceConflictException" and message.endswith("in the following state: Pending")


def test_a_failed_update_leaves_what_was_before(lambdas: Lambda) -> None:
    lambdas.create()
    before = lambdas.functions.prepared[-1]
    lambdas.functions.fault = Permanent("the archive is broken")
    lambdas.client.update_function_code(FunctionName="one", ZipFile=archive({"app.py": "2"}))
    lambdas.reconcile()
    shown = lambdas.get()
    assert (shown["State"], shown["LastUpdateStatus"]) == ("Active", "Failed")
    assert (shown["LastUpdateStatusReasonCode"], shown["LastUpdateStatusReason"]) == (
        "InvalidZipFileException",
        "the archive is broken",
    )
    found = resolve(lambdas.running.store, "111122223333", "us-east-1", "one").function
    assert function_of(found) == before and lambdas.functions.retired == []


def test_a_machine_that_runs_no_functions_is_not_told_as_a_broken_archive(lambdas: Lambda) -> None:
    lambdas.functions.fault = Permanent("functions need root: sandboxes are made of namespaces")
    lambdas.create()
    shown = lambdas.get()
    assert (shown["State"], shown["StateReasonCode"]) == ("Failed", "InternalError")


def test_a_revision_that_has_moved_on_is_refused(lambdas: Lambda) -> None:
    lambdas.create()
    old = lambdas.get()["RevisionId"]
    lambdas.client.update_function_configuration(FunctionName="one", Timeout=5, RevisionId=old)
    lambdas.reconcile()
    for change in (lambdas.client.update_function_configuration, lambdas.client.publish_version):
        assert refusal(change, FunctionName="one", RevisionId=old)[0] == "PreconditionFailedException"


def test_a_dry_run_changes_nothing(lambdas: Lambda) -> None:
    lambdas.create()
    new = archive({"app.py": "new"})
    answer = lambdas.client.update_function_code(FunctionName="one", ZipFile=new, DryRun=True)
    assert base64.b64decode(answer["CodeSha256"]).hex() == digest(new)
    assert lambdas.get()["CodeSha256"] != answer["CodeSha256"] and lambdas.get()["LastUpdateStatus"] == "Successful"


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({"Runtime": None}, INVALID, "Runtime and Handler are mandatory parameters"),
        ({"Handler": None}, INVALID, "Runtime and Handler are mandatory parameters"),
        ({"Runtime": "python3.7"}, INVALID, "The runtime parameter of python3.7 is no longer supported"),
        ({"Runtime": "python3.9"}, INVALID, f"recommend you use the new runtime ({PYTHON}) while creating or updating"),
        ({"Runtime": "go1.x"}, INVALID, "use the new runtime (provided.al2023) while"),
        ({"Runtime": "nodejs16.x"}, INVALID, "The runtime parameter of nodejs16.x is no longer supported"),
        ({"Runtime": "cobol"}, INVALID, "Value cobol at 'runtime' failed to satisfy constraint"),
        ({"Timeout": 901}, "ValidationException", "less than or equal to 900"),
        ({"MemorySize": 10241}, "ValidationException", "less than or equal to 10240"),
        ({"MemorySize": 127}, "ValidationException", "greater than or equal to 128"),
        ({"EphemeralStorage": {"Size": 10241}}, "ValidationException", "less than or equal to 10240"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, INVALID, "Reserved keys used in this request: AWS_REGION"),
        ({"Environment": {"Variables": {"LONG": "x" * 4096}}}, INVALID, "exceeded the 4KB limit"),
        ({"Code": {"ZipFile": b"no archive"}}, INVALID, "Could not unzip uploaded file"),
        ({"Code": {"ImageUri": "x/y"}}, INVALID, "Please don't provide ImageUri when creating"),
        ({"Code": {}}, INVALID, "Please provide a source for function code."),
        ({"PackageType": "Image"}, INVALID, "Please provide ImageUri when creating"),
        ({"Role": "arn:aws:iam::111122223333:role/nobody"}, INVALID, "cannot be assumed by Lambda."),
        ({"Role": "arn:aws:iam::444455556666:role/theirs"}, "AccessDeniedException", "Cross-account pass role"),
        ({"Layers": [arn("layer:none:1")]}, INVALID, "does not exist."),
        ({"Layers": [arn(f"layer:l{n}:1") for n in range(6)]}, INVALID, "Cannot reference more than 5 layers."),
        ({"FileSystemConfigs": [{"Arn": "arn:aws:elasticfilesystem:us-east-1:111122223333:access-point/fsap-"
          + "a" * 17, "LocalMountPath": "/mnt/x"}]}, INVALID, "must be configured to execute in a VPC"),
        ({"Architectures": ["arm64"]}, "NotImplementedException", "the architecture arm64"),
        ({"DeadLetterConfig": {"TargetArn": "arn:aws:s3:::bucket"}}, INVALID, "dead-letter queue"),
        ({"DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:111122223333:d.fifo"}}, INVALID, "dead-letter queue"),
        ({"DurableConfig": {"ExecutionTimeout": 31622401}}, "ValidationException", "executionTimeout"),
        ({"SnapStart": {"ApplyOn": "PublishedVersions"}, "Runtime": "nodejs22.x"}, INVALID, "nodejs22.x is not supported"),
        ({"LoggingConfig": {"SystemLogLevel": "WARN"}}, INVALID, "only supported with JSON logs"),
        ({"VpcConfig": {"SubnetIds": ["subnet-0123"], "SecurityGroupIds": ["sg-0123"]}}, INVALID,
         "Error occurred while DescribeSubnets. EC2 Error Code: InvalidSubnetID.NotFound."),
        ({"VpcConfig": {"SubnetIds": ["subnet-0123"]}}, INVALID, "Both subnet IDs and security group IDs"),
        ({"Tags": {"aws:x": "y"}}, INVALID, "aws:"),
        ({"FunctionName": "x" * 65}, INVALID, "less than or equal to 64"),
        ({"FunctionName": "one:prod"}, INVALID, "has no qualifier"),
        ({"CodeSigningConfigArn": arn("code-signing-config:csc-" + "a" * 17)}, "CodeSigningConfigNotFoundException", ""),
    ],
)  # fmt: skip
def test_what_aws_refuses_is_refused_and_makes_nothing(
    unchanged: Lambda, given: dict[str, Any], code: str, words: str
) -> None:
    found, message = refusal(lambda **more: unchanged.create(ready=False, **more), **given)
    assert found == code and words in message
    assert unchanged.client.list_functions()["Functions"] == []


def test_the_role_has_to_trust_lambda(lambdas: Lambda) -> None:
    theirs = lambdas.make_role("theirs", {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    })  # fmt: skip
    code, message = refusal(lambdas.create, Role=theirs)
    assert (code, message) == (INVALID, "The role defined for the function cannot be assumed by Lambda.")


def test_a_function_is_durable_from_the_start_or_never(lambdas: Lambda) -> None:
    lambdas.create(DurableConfig={"ExecutionTimeout": 60})
    update = lambdas.client.update_function_configuration
    shown = update(FunctionName="one", DurableConfig={"RetentionPeriodInDays": 3})
    assert shown["DurableConfig"] == {"ExecutionTimeout": 60, "RetentionPeriodInDays": 3}
    lambdas.create("two")
    assert refusal(update, FunctionName="two", DurableConfig={"ExecutionTimeout": 60})[0] == INVALID


def test_tags_are_shown_to_those_who_may_list_them(lambdas: Lambda) -> None:
    lambdas.create(Tags={"team": "blue"})
    lambdas.iam.create_user(UserName="ann")
    key = lambdas.iam.create_access_key(UserName="ann")["AccessKey"]
    statement = {"Effect": "Allow", "Action": "lambda:GetFunction", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    lambdas.iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=policy)
    shown = lambdas.running.client("lambda", key).get_function(FunctionName="one")
    assert "Tags" not in shown and shown["TagsError"]["ErrorCode"] == "AccessDeniedException"
    assert "lambda:ListTags" in shown["TagsError"]["Message"]


def test_a_name_is_taken_once(lambdas: Lambda) -> None:
    lambdas.create()
    assert refusal(lambdas.create) == ("ResourceConflictException", "Function already exist: one")


def test_functions_are_found_by_every_form_of_their_names(lambdas: Lambda) -> None:
    lambdas.create()
    whole = arn("function:one")
    for name in ("one", whole, "111122223333:function:one", "one:$LATEST", f"{whole}:$LATEST"):
        shown = lambdas.get(name)
        assert shown["FunctionArn"] == (f"{whole}:$LATEST" if "$" in name else whole)
    assert refusal(lambdas.get, name="one:$LATEST", Qualifier="1") == (
        INVALID,
        "The derived qualifier from the function name does not match the specified qualifier.",
    )
    assert refusal(lambdas.get, name="two") == (
        "ResourceNotFoundException",
        f"Function not found: {arn('function:two')}",
    )
    assert refusal(lambdas.get, name="one", Qualifier="prod")[1] == f"Function not found: {whole}:prod"
    elsewhere = whole.replace("us-east-1", "eu-west-1")
    assert refusal(lambdas.get, name=elsewhere) == (
        "ResourceNotFoundException",
        "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
    )


def test_lists_come_in_pages(lambdas: Lambda) -> None:
    for name in ("a", "b", "c"):
        lambdas.create(name, ready=False, Publish=True)
    pages = lambdas.client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2})
    assert [[f["FunctionName"] for f in page["Functions"]] for page in pages] == [["a", "b"], ["c"]]
    every = lambdas.client.list_functions(FunctionVersion="ALL")["Functions"]
    assert [f["FunctionArn"] for f in every[:2]] == [arn("function:a:$LATEST"), arn("function:a:1")]
    assert refusal(lambdas.client.list_functions, Marker="x")[0] == INVALID


def test_settings_that_are_not_named_stay(lambdas: Lambda) -> None:
    dead = {"TargetArn": "arn:aws:sqs:us-east-1:111122223333:dead"}
    assert refusal(lambdas.create, DeadLetterConfig=dead) == (
        INVALID,
        "The provided execution role does not have permissions to call SendMessage on SQS",
    )
    lambdas.grant("sqs:SendMessage")
    lambdas.create(
        Environment={"Variables": {"A1": "b"}},
        LoggingConfig={"LogFormat": "JSON", "SystemLogLevel": "WARN"},
        DeadLetterConfig=dead,
    )
    update = lambdas.client.update_function_configuration
    shown = update(FunctionName="one", LoggingConfig={"ApplicationLogLevel": "DEBUG"}, TracingConfig={"Mode": "Active"})
    assert shown["LoggingConfig"] == {
        "LogFormat": "JSON",
        "LogGroup": "/aws/lambda/one",
        "ApplicationLogLevel": "DEBUG",
        "SystemLogLevel": "WARN",
    }
    assert shown["Environment"] == {"Variables": {"A1": "b"}} and shown["TracingConfig"] == {"Mode": "Active"}
    lambdas.reconcile()
    shown = update(FunctionName="one", Environment={}, DeadLetterConfig={}, LoggingConfig={"LogFormat": "Text"})
    assert shown["Environment"] == {"Variables": {}} and shown["DeadLetterConfig"] == dead
    assert shown["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/aws/lambda/one"}
    lambdas.reconcile()
    assert "DeadLetterConfig" not in update(FunctionName="one", DeadLetterConfig={"TargetArn": ""})


def test_a_function_of_a_vpc_knows_its_vpc(lambdas: Lambda) -> None:
    ec2 = lambdas.running.client("ec2")
    subnets = ec2.describe_subnets()["Subnets"]
    vpc = subnets[0]["VpcId"]
    group = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["SecurityGroups"][0]["GroupId"]
    given = {"SubnetIds": [subnets[0]["SubnetId"]], "SecurityGroupIds": [group]}
    assert refusal(lambdas.create, VpcConfig=given) == (
        INVALID,
        "The provided execution role does not have permissions to call CreateNetworkInterface on EC2",
    )
    lambdas.grant("ec2:*")
    lambdas.create(VpcConfig=given)
    assert lambdas.get()["VpcConfig"] == {**given, "VpcId": vpc, "Ipv6AllowedForDualStack": False}
    network = lambdas.functions.prepared[-1].network
    assert network is not None and (network.vpc, network.security_groups) == (vpc, (group,))
    empty: dict[str, list[str]] = {"SubnetIds": [], "SecurityGroupIds": []}
    shown = lambdas.client.update_function_configuration(FunctionName="one", VpcConfig=empty)["VpcConfig"]
    assert shown == {**empty, "VpcId": "", "Ipv6AllowedForDualStack": False}
    lambdas.reconcile()
    assert lambdas.functions.prepared[-1].network is None


def test_code_from_a_directory_is_for_the_installation_itself(lambdas: Lambda, tmp_path: Any) -> None:
    code = {"S3Bucket": "hot-reload", "S3Key": str(tmp_path)}
    lambdas.create(Code=code)
    assert lambdas.functions.prepared[-1].code.path == str(tmp_path)
    answer = lambdas.client.get_function(FunctionName="one")
    assert answer["Code"] == {"RepositoryType": "hot-reload", "Location": f"file://{tmp_path}"}
    for key in ("relative", str(tmp_path / "missing")):
        assert refusal(lambdas.create, name="two", Code={"S3Bucket": "hot-reload", "S3Key": key})[0] == INVALID
    theirs = lambdas.running.client("lambda", OTHER_ROOT)
    iam = lambdas.running.client("iam", OTHER_ROOT)

    role = iam.create_role(RoleName="x", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    code_, message = refusal(
        theirs.create_function, FunctionName="x", Role=role, Runtime="python3.12", Handler="a.b", Code=code
    )
    assert code_ == INVALID and "own account" in message


def test_who_may_use_a_directory_is_told_by_iam(lambdas: Lambda, tmp_path: Any) -> None:
    lambdas.iam.create_user(UserName="ann")
    key = lambdas.iam.create_access_key(UserName="ann")["AccessKey"]
    open_ = {"Effect": "Allow", "Action": ["lambda:*", "iam:PassRole"], "Resource": "*"}
    mine = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::hot-reload{tmp_path}/mine*"}
    policy = {"Version": "2012-10-17", "Statement": [open_, mine]}
    lambdas.iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=json.dumps(policy))
    ann = lambdas.running.client("lambda", key)
    given = {"FunctionName": "x", "Role": lambdas.role, "Runtime": "python3.12", "Handler": "a.b"}
    (tmp_path / "yours").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "link").symlink_to(tmp_path / "yours")
    refused = "AccessDeniedException"
    cases = (("yours", refused), ("mine/../yours", refused), ("mine/link", refused), ("./mine", "no error"))
    for name, code in cases:
        place = {"S3Bucket": "hot-reload", "S3Key": f"{tmp_path}/{name}"}
        assert refusal(ann.create_function, Code=place, **given)[0] == code


def test_whoever_makes_a_function_may_pass_its_role(lambdas: Lambda) -> None:

    lambdas.iam.create_user(UserName="ann")
    key = lambdas.iam.create_access_key(UserName="ann")["AccessKey"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "lambda:*", "Resource": "*"}]}
    lambdas.iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=json.dumps(policy))
    ann = lambdas.running.client("lambda", key)
    given = {"FunctionName": "x", "Role": lambdas.role, "Runtime": "python3.12", "Handler": "a.b"}
    code, message = refusal(ann.create_function, Code={"ZipFile": archive()}, **given)
    assert code == "AccessDeniedException" and "iam:PassRole" in message


def test_every_runtime_of_the_model_is_taken_or_retired(lambdas: Lambda) -> None:
    known = {*runtimes.SUPPORTED, *runtimes.RETIRED}
    model = set(lambdas.client.meta.service_model.shape_for("Runtime").enum)
    assert known == model - {"custom"}, "custom is what customers publish as runtimes of their own: nobody can here"
    assert not set(runtimes.SUPPORTED) & set(runtimes.RETIRED)
    assert set(BUILT) - {"provided.al2", "provided.al2023"} <= set(runtimes.SUPPORTED)
    assert all(base_image(runtime) for runtime in runtimes.SUPPORTED)
