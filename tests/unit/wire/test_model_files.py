"""Models come out of the cache as they went in, whatever happened to it meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from havre.wire import model_files
from havre.wire.model_files import Library, UnknownService
from havre.wire.models import ModelSource


def test_a_cached_model_is_the_built_one(tmp_path: Path) -> None:
    built = Library(tmp_path).load("sts")
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o077 == 0
    assert Library(tmp_path).load("sts") == built == Library(None).load("sts")


def test_the_cache_is_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Library(tmp_path).load("sts")
    monkeypatch.setattr(Library, "_build", lambda *_: pytest.fail("built again"))
    Library(tmp_path).load("sts")


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-9], lambda b: b"", lambda b: b[:99] + b"\x00" + b[100:], lambda b: b * 2]
)
def test_a_damaged_cache_is_built_anew(tmp_path: Path, damage: object) -> None:
    built = Library(tmp_path).load("sts")
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage(file.read_bytes()))  # type: ignore[operator]
    assert Library(tmp_path).load("sts") == built
    assert Library(tmp_path).load("sts") == built


def test_another_version_takes_the_place_of_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Library(tmp_path).load("sts")
    Library(tmp_path).load("ecr")
    monkeypatch.setattr(model_files, "_FORMAT", 999)
    Library(tmp_path).load("sts")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 2
    assert "-999-" in names[1]


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert Library(tmp_path / "file").load("sts").metadata["endpointPrefix"] == "sts"


@pytest.mark.parametrize("name", ["nosuch", "../ec2", "", "ec2/2016-11-15", ".."])
def test_unknown_services(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnknownService):
        Library(tmp_path).load(name)


def test_models_tell_what_operations_are() -> None:
    models = ModelSource(None)
    ecs, lambda_, sts = models.service("ecs"), models.service("lambda"), models.service("sts")
    assert (ecs.protocol, ecs.api_version, ecs.json_version) == ("json", "2014-11-13", "1.1")
    assert ecs.operations["ListTasks"].paginator is not None
    assert "ClusterNotFoundException" in ecs.operations["DescribeServices"].errors
    assert lambda_.operations["InvokeAsync"].streaming_input == "InvokeArgs"
    assert lambda_.operations["InvokeWithResponseStream"].events_output == "EventStream"
    assert lambda_.operations["Invoke"].status == 200
    assert sts.operations["AssumeRoleWithWebIdentity"].unsigned
    assert not sts.operations["AssumeRole"].unsigned
    assert models.service("logs").operations["StartLiveTail"].events_output == "responseStream"
    assert models.service("cloudwatch").protocols == ("smithy-rpc-v2-cbor", "json", "query")
    with pytest.raises(KeyError):
        ecs.operations["Nope"]
