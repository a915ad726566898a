"""Condition keys that policies about functions look at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.services.lambda_.lambda_harness import Lambda, archive, arn, refusal

DENIED = "AccessDeniedException"


def user(lambdas: Lambda, *statements: Mapping[str, Any]) -> Any:
    """A client of one who may do everything but for these."""
    lambdas.iam.create_user(UserName="ann")
    key = lambdas.iam.create_access_key(UserName="ann")["AccessKey"]
    open_ = {"Effect": "Allow", "Action": ["lambda:*", "iam:PassRole"], "Resource": "*"}
    policy = {
        "Version": "2012-10-17",
        "Statement": [open_, *({"Effect": "Deny", "Resource": "*", **s} for s in statements)],
    }
    lambdas.iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=json.dumps(policy))
    return lambdas.running.client("lambda", key)


@pytest.fixture
def place(lambdas: Lambda) -> dict[str, str]:
    """A VPC, a subnet and a group of it."""
    lambdas.grant("ec2:*")
    ec2 = lambdas.running.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]
    vpc = subnet["VpcId"]
    group = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["SecurityGroups"][0]
    return {"vpc": vpc, "subnet": subnet["SubnetId"], "group": group["GroupId"]}


def within(place: Mapping[str, str]) -> dict[str, list[str]]:
    return {"SubnetIds": [place["subnet"]], "SecurityGroupIds": [place["group"]]}


def test_functions_only_in_a_vpc(lambdas: Lambda, place: Mapping[str, str]) -> None:
    never = {"Action": "lambda:CreateFunction", "Condition": {"Null": {"lambda:VpcIds": "true"}}}
    ann = user(lambdas, never)
    given = {"FunctionName": "x", "Role": lambdas.role, "Runtime": "python3.12", "Handler": "a.b"}
    code = {"ZipFile": archive()}
    assert refusal(ann.create_function, Code=code, **given)[0] == DENIED
    unknown = {"SubnetIds": ["subnet-0000000000000000a"], "SecurityGroupIds": [place["group"]]}
    assert refusal(ann.create_function, Code=code, VpcConfig=unknown, **given)[0] == DENIED
    assert ann.create_function(Code=code, VpcConfig=within(place), **given)["VpcConfig"]["VpcId"] == place["vpc"]


@pytest.mark.parametrize("key", ["VpcIds", "SubnetIds", "SecurityGroupIds"])
def test_some_networks_are_forbidden(lambdas: Lambda, place: Mapping[str, str], key: str) -> None:
    values = {"VpcIds": place["vpc"], "SubnetIds": place["subnet"], "SecurityGroupIds": place["group"]}
    condition = {"ForAnyValue:StringEquals": {f"lambda:{key}": [values[key]]}}
    ann = user(lambdas, {"Action": "lambda:UpdateFunctionConfiguration", "Condition": condition})
    lambdas.create()
    update = ann.update_function_configuration
    assert refusal(update, FunctionName="one", VpcConfig=within(place))[0] == DENIED
    assert update(FunctionName="one", Timeout=9)["Timeout"] == 9


def test_tags_decide_for_functions_of_a_vpc_as_well(lambdas: Lambda, place: Mapping[str, str]) -> None:
    condition = {"StringEquals": {"aws:ResourceTag/team": "red"}}
    ann = user(lambdas, {"Action": "lambda:UpdateFunctionConfiguration", "Condition": condition})
    lambdas.create(Tags={"team": "red"})
    assert refusal(ann.update_function_configuration, FunctionName="one", VpcConfig=within(place))[0] == DENIED
    lambdas.client.untag_resource(Resource=arn("function:one"), TagKeys=["team"])
    assert ann.update_function_configuration(FunctionName="one", VpcConfig=within(place))["VpcConfig"]["VpcId"]


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}},
        {"ArnEquals": {"lambda:FunctionArn": arn("function:one")}},
    ],
)
def test_urls_are_decided_on_by_function_and_by_how_they_let_in(lambdas: Lambda, condition: Mapping[str, Any]) -> None:
    ann = user(lambdas, {"Action": "lambda:*FunctionUrlConfig", "Condition": condition})
    for name in ("one", "two"):
        lambdas.create(name)
    lambdas.client.create_function_url_config(FunctionName="one", AuthType="NONE")
    lambdas.client.create_function_url_config(FunctionName="two", AuthType="AWS_IAM")
    for name, denied in (("one", True), ("two", False)):
        for call in (ann.get_function_url_config, ann.update_function_url_config, ann.delete_function_url_config):
            assert (refusal(call, FunctionName=name)[0] == DENIED) is denied


def test_some_signing_is_forbidden(lambdas: Lambda) -> None:
    lambdas.create()
    made = [
        lambdas.client.create_code_signing_config(
            AllowedPublishers={
                "SigningProfileVersionArns": ["arn:aws:signer:us-east-1:111122223333:/signing-profiles/p/abc1234567"]
            }
        )["CodeSigningConfig"]["CodeSigningConfigArn"]
        for _ in range(2)
    ]
    condition = {"StringNotEquals": {"lambda:CodeSigningConfigArn": made[0]}}
    ann = user(lambdas, {"Action": "lambda:PutFunctionCodeSigningConfig", "Condition": condition})
    put = ann.put_function_code_signing_config
    assert refusal(put, FunctionName="one", CodeSigningConfigArn=made[1])[0] == DENIED
    assert put(FunctionName="one", CodeSigningConfigArn=made[0])["CodeSigningConfigArn"] == made[0]
