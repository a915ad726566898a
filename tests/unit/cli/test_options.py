from __future__ import annotations

from pathlib import Path

import pytest
import typer.main

from havre.cli.main import app
from havre.cli.options import LONGEST_STATE, UpOptions, parse_up, settle_engine


def test_the_short_cut_knows_every_option_of_up() -> None:
    up = typer.main.get_command(app).commands["up"]  # type: ignore[attr-defined]
    arguments = []
    for parameter in up.params:
        if parameter.name == "help":
            continue
        arguments += [parameter.opts[0]] if parameter.is_flag else [parameter.opts[0], "1"]
    parsed = parse_up(arguments)
    assert parsed is not None
    assert parsed.detach and parsed.port == 1 and parsed.auth == "1" and parsed.state.endswith("/1")
    assert {p.name for p in up.params} - {"help"} == set(UpOptions.FIELDS)


def test_the_short_cut_has_the_same_defaults() -> None:
    up = typer.main.get_command(app).commands["up"]  # type: ignore[attr-defined]
    parsed = parse_up([])
    assert parsed is not None
    for parameter in up.params:
        if parameter.name not in ("help", "state"):
            assert getattr(parsed, parameter.name) == parameter.default


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"auth": "open", "host": "0.0.0.0"}, "loopback"),
        ({"auth": "maybe"}, "strict or open"),
        ({"port": 0}, "port"),
        ({"port": 70000}, "port"),
        ({"account": "12"}, "twelve"),
        ({"region": "moon"}, "us-east-1"),
        ({"region": "us-east-"}, "us-east-1"),
        ({"region": "US-east-1"}, "us-east-1"),
        ({"region": ""}, "us-east-1"),
    ],
)
def test_wrong_options_are_refused_in_words(options: dict[str, object], word: str) -> None:
    assert word in UpOptions(state="/x", **options).check()  # type: ignore[arg-type]


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-3", "us-gov-west-1", "ap-southeast-12", "eusc-de-east-1"])
def test_regions_of_aws(region: str) -> None:
    assert UpOptions(state="/x", region=region).check() == ""


def test_open_is_allowed_on_loopback() -> None:
    assert UpOptions(state="/x", auth="open", host="127.0.0.9").check() == ""


@pytest.mark.parametrize(
    ("host", "endpoint"),
    [
        ("127.0.0.1", "http://127.0.0.1:4566"),
        ("localhost", "http://127.0.0.1:4566"),
        ("0.0.0.0", "http://127.0.0.1:4566"),
        ("::1", "http://[::1]:4566"),
        ("192.0.2.1", "http://192.0.2.1:4566"),
    ],
)
def test_the_endpoint_is_a_url_that_clients_here_reach(host: str, endpoint: str) -> None:
    assert UpOptions(state="/x", host=host).endpoint == endpoint


def test_a_state_directory_leaves_room_for_its_sockets() -> None:
    assert UpOptions(state="/" + "x" * (LONGEST_STATE - 1)).check() == ""
    assert "--state" in UpOptions(state="/" + "x" * LONGEST_STATE).check()


def test_instances_have_names_of_their_own() -> None:
    one, other = UpOptions(state="/a"), UpOptions(state="/b")
    assert one.instance != other.instance
    assert len(one.instance) == 8 and one.instance.isalnum()
    assert one.instance == UpOptions(state="/a", port=1).instance


def test_options_survive_the_way_to_the_children() -> None:
    options = UpOptions(state="/a", port=4570, auth="open")
    assert UpOptions.from_json(options.to_json()) == options


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--port", "x"], ["--port"], ["--nonsense", "1"], ["word"], ["--state", "--detach"], ["--host="]],
)
def test_what_is_unusual_is_left_to_typer(arguments: list[str]) -> None:
    assert parse_up(arguments) is None


def test_both_ways_to_write_a_value() -> None:
    assert parse_up(["--port=4570", "--auth", "open"]) == parse_up(["--auth=open", "--port", "4570"])


def _settled(state: Path, engine: str) -> str:
    """The engine, or why it is none."""
    options = UpOptions(str(state), engine=engine)
    return settle_engine(options) or options.engine


def test_a_state_remembers_its_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert _settled(tmp_path, "") == "docker"
    assert _settled(tmp_path, "oci") == "oci"
    assert _settled(tmp_path, "") == "oci"
    (tmp_path / "kept.json").write_text("{}")
    assert "runs on the oci engine" in _settled(tmp_path, "docker")
    assert _settled(tmp_path, "") == "oci"
    (tmp_path / "kept.json").unlink()
    assert _settled(tmp_path, "docker") == "docker"


def test_a_state_from_before_there_were_engines_has_run_on_docker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    (tmp_path / "run.json").write_text("{}")
    assert "runs on the docker engine" in _settled(tmp_path, "oci")
    assert _settled(tmp_path, "") == "docker"


def test_the_oci_engine_needs_root_and_others_are_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "needs root" in _settled(tmp_path, "oci")
    assert UpOptions(str(tmp_path), engine="podman").check() == "--engine podman: choose docker or oci"
