from __future__ import annotations

from pathlib import Path

import pytest
import typer.main

from havre.cli.main import app
from havre.cli.options import UpOptions, parse_up


def test_the_short_cut_knows_every_option_of_up() -> None:
    up = typer.main.get_command(app).commands["up"]  # type: ignore[attr-defined]
    arguments = []
    for parameter in up.params:
        if parameter.name == "help":
            continue
        arguments += [parameter.opts[0]] if parameter.is_flag else [parameter.opts[0], "1"]
    parsed = parse_up(arguments)
    assert parsed.detach and parsed.port == 1 and parsed.auth == "1" and parsed.state.name == "1"
    assert {p.name for p in up.params} - {"help"} == set(UpOptions.__dataclass_fields__)


def test_the_short_cut_has_the_same_defaults() -> None:
    up = typer.main.get_command(app).commands["up"]  # type: ignore[attr-defined]
    parsed = parse_up([])
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
    ],
)
def test_wrong_options_are_refused_in_words(options: dict[str, object], word: str) -> None:
    assert word in UpOptions(state=Path("/x"), **options).check()  # type: ignore[arg-type]


def test_open_is_allowed_on_loopback() -> None:
    assert UpOptions(state=Path("/x"), auth="open", host="127.0.0.9").check() == ""


def test_instances_have_names_of_their_own() -> None:
    one, other = UpOptions(state=Path("/a")), UpOptions(state=Path("/b"))
    assert one.instance != other.instance
    assert len(one.instance) == 8 and one.instance.isalnum()
    assert one.instance == UpOptions(state=Path("/a"), port=1).instance


def test_options_survive_the_way_to_the_children() -> None:
    options = UpOptions(state=Path("/a"), port=4570, auth="open")
    assert UpOptions.from_json(options.to_json()) == options
