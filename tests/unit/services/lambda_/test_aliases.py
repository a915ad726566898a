"""Aliases and their weights; layers; tags."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.unit.services.lambda_.lambda_harness import OTHER_ROOT, Lambda, archive, arn, digest, refusal

from havre.services.lambda_.queries import resolve

INVALID = "InvalidParameterValueException"


def two_versions(lambdas: Lambda) -> None:
    lambdas.create(Publish=True)
    lambdas.client.update_function_code(FunctionName="one", ZipFile=archive({"app.py": "2"}), Publish=True)
    lambdas.reconcile()


def test_an_alias_leads_to_a_version(lambdas: Lambda) -> None:
    two_versions(lambdas)
    made = lambdas.client.create_alias(FunctionName="one", Name="prod", FunctionVersion="1", Description="live")
    assert made["AliasArn"] == arn("function:one:prod") and made["FunctionVersion"] == "1"
    shown = lambdas.get("one", Qualifier="prod")
    assert (shown["Version"], shown["FunctionArn"]) == ("1", arn("function:one:prod"))
    moved = lambdas.client.update_alias(
        FunctionName="one", Name="prod", FunctionVersion="2", RevisionId=made["RevisionId"]
    )
    assert (moved["FunctionVersion"], moved["Description"]) == ("2", "live")
    stale = refusal(lambdas.client.update_alias, FunctionName="one", Name="prod", RevisionId=made["RevisionId"])
    assert stale[0] == "PreconditionFailedException"
    assert lambdas.client.get_alias(FunctionName="one", Name="prod")["RevisionId"] == moved["RevisionId"]


def test_the_url_of_an_alias_outlives_it(lambdas: Lambda) -> None:
    two_versions(lambdas)
    client, live = lambdas.client, {"FunctionName": "one", "Qualifier": "live"}
    client.create_alias(FunctionName="one", Name="live", FunctionVersion="1")
    made = client.create_function_url_config(**live, AuthType="NONE")
    client.delete_alias(FunctionName="one", Name="live")
    assert client.get_function_url_config(**live)["FunctionUrl"] == made["FunctionUrl"]
    client.delete_function_url_config(**live)
    assert client.list_function_url_configs(FunctionName="one")["FunctionUrlConfigs"] == []


def test_an_alias_shares_invocations_with_one_other_version(lambdas: Lambda) -> None:
    two_versions(lambdas)
    routing = {"AdditionalVersionWeights": {"2": 0.25}}
    create, update = lambdas.client.create_alias, lambdas.client.update_alias
    create(FunctionName="one", Name="prod", FunctionVersion="1", RoutingConfig=routing)
    found = resolve(lambdas.running.store, "111122223333", "us-east-1", "one", "prod")
    assert found.shares == (("1", 0.75), ("2", 0.25))
    assert [found.draw(c) for c in (0.0, 0.2, 0.25, 0.99)] == ["2", "2", "1", "1"]
    assert update(FunctionName="one", Name="prod", Description="x")["RoutingConfig"] == routing
    assert "RoutingConfig" not in update(FunctionName="one", Name="prod", RoutingConfig={})
    wrong: list[tuple[str, dict[str, float], str]] = [
        ("1", {"1": 0.5}, INVALID),
        ("1", {"2": 0.5, "3": 0.1}, INVALID),
        ("1", {"9": 0.5}, "ResourceNotFoundException"),
        ("$LATEST", {"2": 0.5}, INVALID),
        ("1", {"2": 1.5}, "ValidationException"),
        ("9", {}, "ResourceNotFoundException"),
    ]
    for version, weights, code in wrong:
        given = {"FunctionVersion": version, "RoutingConfig": {"AdditionalVersionWeights": weights}}
        assert refusal(create, FunctionName="one", Name="other", **given)[0] == code


def test_aliases_are_listed_by_the_versions_that_they_lead_to(lambdas: Lambda) -> None:
    two_versions(lambdas)
    for name, version in (("a", "1"), ("b", "2"), ("c", "1")):
        lambdas.client.create_alias(FunctionName="one", Name=name, FunctionVersion=version)
    listed = lambdas.client.list_aliases(FunctionName="one", FunctionVersion="1")["Aliases"]
    assert [a["Name"] for a in listed] == ["a", "c"]
    unknown = refusal(lambdas.client.create_alias, FunctionName="none", Name="a", FunctionVersion="1")
    assert unknown == ("ResourceNotFoundException", f"Function not found: {arn('function:none:1')}")
    taken = refusal(lambdas.client.create_alias, FunctionName="one", Name="a", FunctionVersion="1")
    assert taken == ("ResourceConflictException", f"Alias already exists: {arn('function:one:a')}")
    lambdas.client.delete_alias(FunctionName="one", Name="a")
    lambdas.client.delete_alias(FunctionName="one", Name="a")
    code, message = refusal(lambdas.client.get_alias, FunctionName="one", Name="a")
    assert (code, message) == ("ResourceNotFoundException", f"Cannot find alias arn: {arn('function:one:a')}")


def publish(lambdas: Lambda, name: str = "lib", **more: Any) -> dict[str, Any]:
    return dict(lambdas.client.publish_layer_version(LayerName=name, Content={"ZipFile": archive()}, **more))


def test_layers_have_versions_that_functions_keep(lambdas: Lambda) -> None:
    first = publish(lambdas, Description="mine", CompatibleRuntimes=["python3.12"], LicenseInfo="MIT")
    assert first["LayerArn"] == arn("layer:lib") and first["LayerVersionArn"] == arn("layer:lib:1")
    assert first["Version"] == 1 and base64.b64decode(first["Content"]["CodeSha256"]).hex() == digest(archive())
    second = publish(lambdas)
    assert second["Version"] == 2
    lambdas.create(Layers=[second["LayerVersionArn"]])
    assert lambdas.get()["Layers"] == [{"Arn": arn("layer:lib:2"), "CodeSize": len(archive())}]
    assert lambdas.functions.prepared[-1].layers[0].digest == digest(archive())
    lambdas.client.delete_layer_version(LayerName="lib", VersionNumber=2)
    assert refusal(lambdas.client.get_layer_version, LayerName="lib", VersionNumber=2)[0] == "ResourceNotFoundException"
    assert lambdas.get()["Layers"][0]["Arn"] == arn("layer:lib:2")
    lambdas.client.delete_layer_version(LayerName="lib", VersionNumber=2)
    assert publish(lambdas)["Version"] == 3
    found = lambdas.client.get_layer_version_by_arn(Arn=arn("layer:lib:1"))
    assert found["Description"] == "mine" and found["LicenseInfo"] == "MIT"
    assert refusal(lambdas.client.get_layer_version, LayerName="lib", VersionNumber=0)[0] == INVALID


def test_layers_are_listed_by_what_they_fit(lambdas: Lambda) -> None:
    publish(lambdas, "a", CompatibleRuntimes=["python3.12"], CompatibleArchitectures=["x86_64"])
    publish(lambdas, "a", CompatibleRuntimes=["nodejs22.x"])
    publish(lambdas, "b")
    every = lambdas.client.list_layers()["Layers"]
    assert [(each["LayerName"], each["LatestMatchingVersion"]["Version"]) for each in every] == [("a", 2), ("b", 1)]
    python = lambdas.client.list_layers(CompatibleRuntime="python3.12")["Layers"]
    assert [(each["LayerName"], each["LatestMatchingVersion"]["Version"]) for each in python] == [("a", 1)]
    versions = lambdas.client.list_layer_versions(LayerName="a")["LayerVersions"]
    assert [v["Version"] for v in versions] == [2, 1]
    fitting = lambdas.client.list_layer_versions(LayerName="a", CompatibleArchitecture="x86_64")["LayerVersions"]
    assert [v["Version"] for v in fitting] == [1]
    for call in (lambdas.client.list_layers, lambda **more: lambdas.client.list_layer_versions(LayerName="a", **more)):
        assert refusal(call, CompatibleRuntime="cobol")[0] == "ValidationException"
    assert refusal(lambda: publish(lambdas, CompatibleRuntimes=["cobol"]))[0] == "ValidationException"


def test_two_versions_of_one_layer_do_not_go_together(lambdas: Lambda) -> None:
    publish(lambdas)
    publish(lambdas)
    code, message = refusal(lambdas.create, Layers=[arn("layer:lib:1"), arn("layer:lib:2")])
    assert code == INVALID and message.startswith("Two different versions of the same layer")


def test_a_layer_of_another_account_is_used_when_its_policy_says_so(lambdas: Lambda) -> None:
    theirs = lambdas.running.client("lambda", OTHER_ROOT)
    made = theirs.publish_layer_version(LayerName="shared", Content={"ZipFile": archive()})["LayerVersionArn"]
    code, message = refusal(lambdas.create, Layers=[made])
    assert code == "AccessDeniedException" and "lambda:GetLayerVersion" in message
    add = theirs.add_layer_version_permission
    given = {"LayerName": "shared", "VersionNumber": 1, "Action": "lambda:GetLayerVersion"}
    added = add(StatementId="us", Principal="111122223333", **given)
    assert refusal(add, StatementId="us", Principal="*", **given)[0] == "ResourceConflictException"
    assert theirs.get_layer_version_policy(LayerName="shared", VersionNumber=1)["RevisionId"] == added["RevisionId"]
    lambdas.create(Layers=[made])
    remove = theirs.remove_layer_version_permission
    wrong = {"LayerName": "shared", "VersionNumber": 1, "StatementId": "us", "RevisionId": "0" * 36}
    assert refusal(remove, **wrong)[0] == "PreconditionFailedException"
    remove(LayerName="shared", VersionNumber=1, StatementId="us")
    code, _ = refusal(theirs.get_layer_version_policy, LayerName="shared", VersionNumber=1)
    assert code == "ResourceNotFoundException"


def test_code_and_layers_together_are_bounded(lambdas: Lambda, monkeypatch: pytest.MonkeyPatch) -> None:
    from havre.services.lambda_.rules import archives

    publish(lambdas)
    monkeypatch.setattr(archives, "UNZIPPED", 60)
    code, message = refusal(lambdas.create, Layers=[arn("layer:lib:1")])
    assert code == INVALID and "combined with layers exceeds" in message


def test_tags_hang_on_functions_and_on_nothing_of_theirs(lambdas: Lambda) -> None:
    lambdas.create(Tags={"team": "blue"}, Publish=True)
    whole = arn("function:one")
    before = lambdas.get()["RevisionId"]
    lambdas.client.tag_resource(Resource=whole, Tags={"cost": "low"})
    assert lambdas.client.list_tags(Resource=whole)["Tags"] == {"team": "blue", "cost": "low"}
    assert lambdas.client.get_function(FunctionName="one")["Tags"] == {"team": "blue", "cost": "low"}
    assert lambdas.get()["RevisionId"] != before
    lambdas.client.untag_resource(Resource=whole, TagKeys=["team", "never"])
    assert lambdas.client.list_tags(Resource=whole)["Tags"] == {"cost": "low"}
    assert refusal(lambdas.client.tag_resource, Resource=f"{whole}:1", Tags={"a": "b"})[0] == INVALID
    many = {f"k{n}": "v" for n in range(50)}
    assert refusal(lambdas.client.tag_resource, Resource=whole, Tags=many)[0] == INVALID
    assert refusal(lambdas.client.list_tags, Resource=arn("function:no"))[0] == "ResourceNotFoundException"
