"""Versions of functions: published, numbered, deleted; functions that are deleted with all of theirs."""

from __future__ import annotations

from tests.unit.services.lambda_.lambda_harness import Lambda, archive, arn, refusal


def test_versions_are_not_updated(lambdas: Lambda) -> None:
    lambdas.create(Publish=True)
    for name in ("one:1", "one:$LATEST"):
        for change, given in (
            (lambdas.client.update_function_configuration, {"Timeout": 5}),
            (lambdas.client.update_function_code, {"ZipFile": archive()}),
        ):
            code, message = refusal(change, FunctionName=name, **given)
            assert code == "InvalidParameterValueException" and message.startswith(
                "This operation is permitted on Lambda functions only."
            )


def test_a_version_is_published_when_something_has_changed(lambdas: Lambda) -> None:
    lambdas.create(Description="latest")
    before = lambdas.get()["RevisionId"]
    first = lambdas.client.publish_version(FunctionName="one", Description="first")
    assert (first["Version"], first["Description"]) == ("1", "first")
    assert (first["State"], first["LastUpdateStatus"]) == ("Active", "Successful")
    assert first["FunctionArn"] == arn("function:one:1") and lambdas.get()["RevisionId"] != before
    lambdas.reconcile()
    assert lambdas.get("one", Qualifier="1")["State"] == "Active"
    assert lambdas.functions.prepared[-1].version == "1"
    assert lambdas.get("one", Qualifier="1")["RevisionId"] == first["RevisionId"]
    assert lambdas.client.publish_version(FunctionName="one", Description="again")["Version"] == "1"
    lambdas.client.update_function_configuration(FunctionName="one", Description="latest")
    lambdas.reconcile()
    assert lambdas.client.publish_version(FunctionName="one")["Version"] == "1"
    lambdas.client.update_function_configuration(FunctionName="one", Timeout=7)
    lambdas.reconcile()
    assert (
        refusal(lambdas.client.publish_version, FunctionName="one", CodeSha256="x")[0]
        == "InvalidParameterValueException"
    )
    assert lambdas.client.publish_version(FunctionName="one")["Version"] == "2"
    assert lambdas.get("one", Qualifier="1")["Timeout"] == 3
    listed = lambdas.client.list_versions_by_function(FunctionName="one")["Versions"]
    assert [v["Version"] for v in listed] == ["$LATEST", "1", "2"] and "State" not in listed[0]
    lambdas.client.update_function_configuration(FunctionName="one", Description="another")
    lambdas.reconcile()
    third = lambdas.client.publish_version(FunctionName="one")
    assert (third["Version"], third["Description"]) == ("3", "another")


def test_create_and_update_publish_if_they_are_asked_to(lambdas: Lambda) -> None:
    made = lambdas.create(Publish=True)
    assert (made["Version"], made["FunctionArn"]) == ("1", arn("function:one"))
    answer = lambdas.client.update_function_code(FunctionName="one", ZipFile=archive({"app.py": "2"}), Publish=True)
    assert (answer["Version"], answer["FunctionArn"]) == ("2", arn("function:one:2"))


def test_numbers_of_versions_never_come_again(lambdas: Lambda) -> None:
    lambdas.create(Publish=True)
    lambdas.client.delete_function(FunctionName="one")
    assert lambdas.create(Publish=True)["Version"] == "2"


def test_a_deleted_function_takes_all_of_its_own_along(lambdas: Lambda) -> None:
    lambdas.create(Publish=True)
    lambdas.client.create_alias(FunctionName="one", Name="prod", FunctionVersion="1")
    answer = lambdas.client.delete_function(FunctionName="one")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    lambdas.reconcile()
    assert refusal(lambdas.get)[0] == "ResourceNotFoundException"
    lambdas.create()
    assert lambdas.client.list_aliases(FunctionName="one")["Aliases"] == []
    assert [v["Version"] for v in lambdas.client.list_versions_by_function(FunctionName="one")["Versions"]] == [
        "$LATEST"
    ]


def test_versions_are_deleted_unless_an_alias_points_to_them(lambdas: Lambda) -> None:
    lambdas.create(Publish=True)
    lambdas.client.create_alias(FunctionName="one", Name="prod", FunctionVersion="1")
    delete = lambdas.client.delete_function
    assert refusal(delete, FunctionName="one", Qualifier="$LATEST")[0] == "InvalidParameterValueException"
    code, message = refusal(delete, FunctionName="one", Qualifier="1")
    assert code == "ResourceConflictException" and "prod" in message
    lambdas.client.delete_alias(FunctionName="one", Name="prod")
    delete(FunctionName="one", Qualifier="1")
    assert refusal(lambdas.get, name="one:1")[0] == "ResourceNotFoundException"
    assert lambdas.client.publish_version(FunctionName="one")["Version"] == "2"


def test_snapshots_are_of_published_versions(lambdas: Lambda) -> None:
    lambdas.create(Runtime="python3.13", SnapStart={"ApplyOn": "PublishedVersions"})
    published = lambdas.client.publish_version(FunctionName="one")
    assert (published["State"], published["SnapStart"]["OptimizationStatus"]) == ("Pending", "Off")
    lambdas.reconcile()
    assert lambdas.get(Qualifier="1")["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}
    assert lambdas.get()["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
    assert {f.version: f.snap_start for f in lambdas.functions.prepared} == {"$LATEST": False, "1": True}
