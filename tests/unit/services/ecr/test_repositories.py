"""Repositories, their settings, policies and tags, the registry as a whole."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from tests.running_gateway import ACCOUNT, OTHER, OTHER_ROOT, code

from .conftest import Installation, put


def test_create_describe_delete(installation: Installation, api: Any) -> None:
    made = api.create_repository(repositoryName="team/web", tags=[{"Key": "team", "Value": "a"}])["repository"]
    assert made["repositoryArn"] == f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/team/web"
    assert made["repositoryUri"] == "127.0.0.1:4566/team/web"
    assert made["registryId"] == ACCOUNT
    assert made["imageTagMutability"] == "MUTABLE"
    assert made["encryptionConfiguration"] == {"encryptionType": "AES256"}
    assert api.describe_repositories(repositoryNames=["team/web"])["repositories"] == [made]
    assert api.list_tags_for_resource(resourceArn=made["repositoryArn"])["tags"] == [{"Key": "team", "Value": "a"}]
    assert code(api.create_repository, repositoryName="team/web") == "RepositoryAlreadyExistsException"
    api.delete_repository(repositoryName="team/web")
    assert code(api.describe_repositories, repositoryNames=["team/web"]) == "RepositoryNotFoundException"
    assert code(api.delete_repository, repositoryName="team/web") == "RepositoryNotFoundException"


@pytest.mark.parametrize("name", ["UPPER", "-x", "a//b", "a/", "../etc", "a" * 257, "a__-b"])
def test_bad_names_are_refused(api: Any, name: str) -> None:
    assert code(api.create_repository, repositoryName=name) == "InvalidParameterException"
    assert api.describe_repositories()["repositories"] == []


def test_accounts_and_regions_are_apart(installation: Installation, api: Any) -> None:
    uri = api.create_repository(repositoryName="app")["repository"]["repositoryUri"]
    other = installation.client(OTHER_ROOT)
    west = installation.client(region="us-west-2")
    assert other.describe_repositories()["repositories"] == []
    uris = {uri, *(c.create_repository(repositoryName="app")["repository"]["repositoryUri"] for c in (other, west))}
    assert len(uris) == 3
    assert code(other.describe_repositories, registryId=ACCOUNT) == "AccessDeniedException"


def test_pages(api: Any) -> None:
    for n in range(5):
        api.create_repository(repositoryName=f"page/{n}")
    first = api.describe_repositories(maxResults=2)
    assert [r["repositoryName"] for r in first["repositories"]] == ["page/0", "page/1"]
    pages = api.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 2})
    assert [r["repositoryName"] for p in pages for r in p["repositories"]] == [f"page/{n}" for n in range(5)]
    assert code(api.describe_repositories, nextToken="bm90IG91cnM=") == "InvalidParameterException"
    assert code(api.list_images, repositoryName="page/0", nextToken=first["nextToken"]) == "InvalidParameterException"


def test_immutable_tags(api: Any) -> None:
    api.create_repository(repositoryName="fixed", imageTagMutability="IMMUTABLE")
    put(api, "fixed", "v1", b"one")
    put(api, "fixed", "v2", b"one")
    with pytest.raises(api.exceptions.ImageTagAlreadyExistsException) as taken:
        put(api, "fixed", "v1", b"two")
    assert "'v1' already exists in the 'fixed' repository" in taken.value.response["Error"]["Message"]
    api.put_image_tag_mutability(
        repositoryName="fixed",
        imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
        imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "latest*"}],
    )
    put(api, "fixed", "latest", b"one")
    put(api, "fixed", "latest", b"two")
    with pytest.raises(api.exceptions.ImageTagAlreadyExistsException):
        put(api, "fixed", "v1", b"two")
    assert (
        code(api.put_image_tag_mutability, repositoryName="fixed", imageTagMutability="NO")
        == "InvalidParameterException"
    )


def test_a_full_repository_needs_force(api: Any) -> None:
    api.create_repository(repositoryName="full")
    put(api, "full", "v1")
    assert code(api.delete_repository, repositoryName="full") == "RepositoryNotEmptyException"
    api.delete_repository(repositoryName="full", force=True)
    api.create_repository(repositoryName="full")
    assert api.list_images(repositoryName="full")["imageIds"] == []


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]


def test_a_policy_lets_another_account_pull(installation: Installation, api: Any) -> None:
    api.create_repository(repositoryName="shared")
    digest = put(api, "shared", "v1")
    stranger = installation.client(OTHER_ROOT)
    wanted = {"registryId": ACCOUNT, "repositoryName": "shared", "imageIds": [{"imageTag": "v1"}]}
    assert code(stranger.batch_get_image, **wanted) == "AccessDeniedException"
    assert installation.wire(OTHER_ROOT)("GET", "/v2/shared/manifests/v1").status == 403
    allow = {"Sid": "x", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{OTHER}:root"}, "Action": PULL}
    api.set_repository_policy(repositoryName="shared", policyText=_policy(allow))
    (image,) = stranger.batch_get_image(**wanted)["images"]
    assert image["imageId"] == {"imageDigest": digest, "imageTag": "v1"}
    reply = installation.wire(OTHER_ROOT)("GET", "/v2/shared/manifests/v1")
    assert (reply.status, reply.body.decode()) == (200, image["imageManifest"])
    assert installation.wire(OTHER_ROOT)("PUT", "/v2/shared/manifests/v2", reply.body).status == 403
    api.delete_repository_policy(repositoryName="shared")
    assert code(stranger.batch_get_image, **wanted) == "AccessDeniedException"
    assert code(api.get_repository_policy, repositoryName="shared") == "RepositoryPolicyNotFoundException"


def test_statements_of_a_repository_policy_may_share_an_id_and_be_of_the_older_version(
    installation: Installation, api: Any
) -> None:
    api.create_repository(repositoryName="shared")
    put(api, "shared", "v1")
    stranger = installation.client(OTHER_ROOT)
    wanted = {"registryId": ACCOUNT, "repositoryName": "shared", "imageIds": [{"imageTag": "v1"}]}
    allow = [{"Sid": "x", "Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": action} for action in PULL]
    text = _policy(*allow).replace("2012-10-17", "2008-10-17")
    api.set_repository_policy(repositoryName="shared", policyText=text)
    assert stranger.batch_get_image(**wanted)["failures"] == []


def test_the_registry_policy_counts_too(installation: Installation, api: Any) -> None:
    api.create_repository(repositoryName="shared")
    put(api, "shared", "v1")
    stranger = installation.client(OTHER_ROOT)
    wanted = {"registryId": ACCOUNT, "repositoryName": "shared", "imageIds": [{"imageTag": "v1"}]}
    everything = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/*"
    statement = {"Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": PULL, "Resource": everything}
    api.put_registry_policy(policyText=_policy(statement))
    assert stranger.batch_get_image(**wanted)["failures"] == []
    assert json.loads(api.get_registry_policy()["policyText"])["Statement"] == [statement]
    api.delete_registry_policy()
    assert code(stranger.batch_get_image, **wanted) == "AccessDeniedException"


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        _policy({"Effect": "Allow", "Principal": "*", "Action": "ecr:*", "Resource": "*"}),
        _policy({"Effect": "Allow", "Action": "ecr:*"}),
        _policy({"Effect": "Perhaps", "Principal": "*", "Action": "ecr:*"}),
    ],
)
def test_bad_policies_are_refused(api: Any, text: str) -> None:
    api.create_repository(repositoryName="app")
    assert code(api.set_repository_policy, repositoryName="app", policyText=text) == "InvalidParameterException"


def test_a_policy_that_locks_its_author_out_needs_force(api: Any) -> None:
    api.create_repository(repositoryName="app")
    text = _policy({"Effect": "Deny", "Principal": "*", "Action": "ecr:SetRepositoryPolicy"})
    assert code(api.set_repository_policy, repositoryName="app", policyText=text) == "InvalidParameterException"
    api.set_repository_policy(repositoryName="app", policyText=text, force=True)
    assert code(api.set_repository_policy, repositoryName="app", policyText=text) == "AccessDeniedException"


def test_tags_decide_in_the_api_and_for_docker(installation: Installation, api: Any) -> None:
    for name, team in (("mine", "a"), ("theirs", "b")):
        api.create_repository(repositoryName=name, tags=[{"Key": "team", "Value": team}])
        put(api, name, "v1")
    iam = installation.running.client("iam")
    iam.create_user(UserName="u")
    key = iam.create_access_key(UserName="u")["AccessKey"]
    own = {
        "Effect": "Allow",
        "Action": PULL,
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:ResourceTag/team": "a"}},
    }
    login = {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=_policy(own, login))
    user, wire = installation.client(key), installation.wire(key)
    ids = [{"imageTag": "v1"}]
    assert len(user.batch_get_image(repositoryName="mine", imageIds=ids)["images"]) == 1
    assert code(user.batch_get_image, repositoryName="theirs", imageIds=ids) == "AccessDeniedException"
    assert wire("GET", "/v2/mine/manifests/v1").status == 200
    refused = wire("GET", "/v2/theirs/manifests/v1")
    assert (refused.status, refused.codes) == (403, ["DENIED"])
    api.untag_resource(resourceArn=f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/mine", tagKeys=["team"])
    assert wire("GET", "/v2/mine/manifests/v1").status == 403


def test_a_token_holds_twelve_hours(installation: Installation, api: Any) -> None:
    (data,) = api.get_authorization_token()["authorizationData"]
    now = installation.running.world.now()
    assert data["expiresAt"].timestamp() == pytest.approx(now + 12 * 3600, abs=30)
    assert data["proxyEndpoint"] == "http://127.0.0.1:4566"
    assert base64.b64decode(data["authorizationToken"]).startswith(b"AWS:")
    wire = installation.wire()
    assert wire("GET", "/v2/").status == 200
    installation.running.offset = 12 * 3600 + 1
    expired = wire("GET", "/v2/")
    assert (expired.status, expired.codes) == (403, ["DENIED"])
    assert "expired" in expired.json["errors"][0]["message"]


def test_a_login_ends_with_its_user(installation: Installation) -> None:
    iam = installation.running.client("iam")
    iam.create_user(UserName="u")
    key = iam.create_access_key(UserName="u")["AccessKey"]
    everything = _policy({"Effect": "Allow", "Action": "ecr:*", "Resource": "*"})
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=everything)
    installation.client(key).create_repository(repositoryName="app")
    wire = installation.wire(key)
    assert wire("GET", "/v2/app/tags/list").status == 200
    iam.delete_user_policy(UserName="u", PolicyName="p")
    assert wire("GET", "/v2/app/tags/list").status == 403


def test_what_is_not_built_is_named(api: Any) -> None:
    api.create_repository(repositoryName="app")
    digest = put(api, "app", "v1")
    for call, arguments in (
        (api.start_image_scan, {"repositoryName": "app", "imageId": {"imageTag": "v1"}}),
        (api.create_pull_through_cache_rule, {"ecrRepositoryPrefix": "x1", "upstreamRegistryUrl": "public.ecr.aws"}),
    ):
        with pytest.raises(Exception, match="does not implement"):
            call(**arguments)
    rule = {"destinations": [{"region": "eu-west-1", "registryId": ACCOUNT}]}
    with pytest.raises(Exception, match="replication"):
        api.put_replication_configuration(replicationConfiguration={"rules": [rule]})
    assert api.describe_registry()["replicationConfiguration"] == {"rules": []}
    shown = api.describe_image_replication_status(repositoryName="app", imageId={"imageDigest": digest})
    assert shown["replicationStatuses"] == []
    assert api.describe_pull_through_cache_rules()["pullThroughCacheRules"] == []
    assert api.describe_repository_creation_templates()["repositoryCreationTemplates"] == []
    kms = {"encryptionType": "KMS"}
    assert code(api.create_repository, repositoryName="kms", encryptionConfiguration=kms) == "KmsException"
