"""What the documents name exists: links, files, commands with their options, targets of make, variables.

Figures are not checked here: each of docs/SPECIFICATION.md has its benchmark.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.exceptions import TyperException

from havre.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.service")])
_TREE = frozenset(
    str(path.relative_to(ROOT))
    for top in ("src", "tests", "docs", "benchmarks", "examples", "scripts", "requirements")
    for path in [ROOT / top, *(ROOT / top).rglob("*")]
    if "__pycache__" not in path.parts
)
_FILE = re.compile(
    r"[\w-][\w./*-]*\.(?:py|md|sh|service|cjs|mjs|java|rb)|(?:src|tests|docs|benchmarks|examples|scripts)/[\w./*-]*"
)
_ELSEWHERE = {"app.py"}  # files of users' own


def faults(text: str, place: Path) -> list[str]:
    """What ``text``, a document in the directory ``place``, names that is not there."""
    return [*_links(text, place), *_files(text), *_commands(text), *_targets(text), *_variables(text)]


def _links(text: str, place: Path) -> Iterator[str]:
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        target, _, heading = link.partition("#")
        if link.startswith(("http://", "https://")):
            continue
        if not (place / target).exists():
            yield f"the link {link}"
        elif heading and heading not in _headings((place / target).read_text()):
            yield f"the heading {link}"


def _headings(text: str) -> set[str]:
    """As anchors of the pages that are made of a document."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def _code(text: str) -> Iterator[str]:
    """Lines of blocks, and what stands in backquotes."""
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    yield from re.findall(r"^Exec\w+=\S+/(havre .*)$", text, re.MULTILINE)


def _files(text: str) -> Iterator[str]:
    for name in _code(text):
        if _FILE.fullmatch(name) and name not in _ELSEWHERE:
            pattern = re.escape(name.rstrip("/")).replace(r"\*", "[^/]*")
            if not any(re.search(rf"(?:^|/){pattern}$", path) for path in _TREE):
                yield f"the file {name}"


def _commands(text: str) -> Iterator[str]:
    for line in _code(text):
        for typed in re.findall(r"(?:^|[\s(\"])(havre [a-z][^`()|;]*)", line.split("  #")[0]):
            words = shlex.split(typed.replace("'", "").replace('"', ""))[1:]
            yield from _unknown(typer.main.get_command(app), words)


def _unknown(command: Any, words: list[str]) -> Iterator[str]:
    """``command`` is one of click's, which Typer brings with it."""
    while hasattr(command, "commands") and words and re.fullmatch("[a-z][a-z-]*", words[0]):
        if words[0] not in command.commands:
            yield f"the command havre {words[0]}"
            return
        command = command.commands[words.pop(0)]
    try:
        command.make_parser(command.context_class(command, **command.context_settings)).parse_args(words)
    except TyperException as fault:
        yield f"of {command.name}: {fault}"


def _targets(text: str) -> Iterator[str]:
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in _code(text):
        if typed := re.match(r"make ((?:[a-z-]+ ?)+)", line):
            yield from (f"the target {target}" for target in typed[1].split() if target not in known)


def _variables(text: str) -> Iterator[str]:
    for name in set(re.findall(r"\bHAVRE_[A-Z_]+", text)):
        sources = (path for top in ("src", "tests") for path in (ROOT / top).rglob("*.py") if path != Path(__file__))
        if not any(name in path.read_text() for path in sources):
            yield f"the variable {name}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_names_is_there(document: Path) -> None:
    assert faults(document.read_text(), document.parent) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[it](docs/nowhere.md)", "the link docs/nowhere.md"),
        ("[it](README.md#no-such-heading)", "the heading README.md#no-such-heading"),
        ("`control/nowhere.py`", "the file control/nowhere.py"),
        ("`tests/nothing`", "the file tests/nothing"),
        ("```sh\nhavre fly --high\n```\n", "the command havre fly"),
        ("`havre lambda fly`", "the command havre fly"),
        ('`eval "$(havre env --zsh)"`', "of env: No such option: --zsh"),
        ("ExecStart=/opt/havre/.venv/bin/havre up --fast", "of up: No such option: --fast"),
        ("`make install coffee`", "the target coffee"),
        ("HAVRE_NO_SUCH_THING", "the variable HAVRE_NO_SUCH_THING"),
    ],
)
def test_what_is_not_there_is_seen(text: str, fault: str) -> None:
    assert faults(text, ROOT) == [fault]


def test_examples_in_help_are_commands_that_exist() -> None:
    examples = dict(_examples(typer.main.get_command(app), "havre"))
    assert [name for name, example in examples.items() if not example] == []
    assert {name: faults(example, ROOT) for name, example in examples.items() if faults(example, ROOT)} == {}


def _examples(command: Any, name: str) -> Iterator[tuple[str, str]]:
    if not hasattr(command, "commands"):
        yield name, command.epilog or ""
        return
    for word, below in command.commands.items():
        yield from _examples(below, f"{name} {word}")


def test_each_promise_has_its_script() -> None:
    rows = re.findall(r"^\|.*\| `(\w+)` \|$", (ROOT / "docs/SPECIFICATION.md").read_text(), re.MULTILINE)
    scripts = {path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py")}
    assert len(rows) > 20
    assert set(rows) <= scripts


def test_documents_are_found() -> None:
    names = {str(path.relative_to(ROOT)) for path in DOCUMENTS}
    assert names > {"README.md", "docs/ARCHITECTURE.md", "docs/design/tasks.md", "examples/systemd/havre.service"}
