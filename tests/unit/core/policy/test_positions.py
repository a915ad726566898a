"""Positions of statements, against what AWS's simulator was seen to tell of such documents."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.policy import parse, positions

ALLOW = {"Effect": "Allow", "Action": "*", "Resource": "*"}
DOCUMENT = {"Version": "2012-10-17", "Statement": [ALLOW]}
COMPACT = (",", ":")


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        (json.dumps(DOCUMENT, indent=2), (3, 17), (8, 6)),
        (json.dumps(DOCUMENT, separators=COMPACT), (1, 38), (1, 84)),
        (json.dumps(DOCUMENT), (1, 41), (1, 92)),
        (json.dumps({**DOCUMENT, "Statement": ALLOW}, separators=COMPACT), (1, 37), (1, 83)),
        (json.dumps({"Statement": ALLOW, "Version": "2012-10-17"}, separators=COMPACT), (1, 14), (1, 60)),
    ],
)
def test_where_a_statement_stands(text: str, start: tuple[int, int], end: tuple[int, int]) -> None:
    assert positions(text) == [(start, end)]


@given(st.integers(1, 5), st.sampled_from([None, 0, 2]), st.booleans(), st.text(max_size=8))
def test_each_statement_is_found(many: int, indent: int | None, last: bool, sid: str) -> None:
    statements = [{**ALLOW, "Condition": {"StringEquals": {"aws:x": f'"Statement": [{sid}{n}'}}} for n in range(many)]
    document: dict[str, Any] = {"Id": '{"Statement":', "Version": "2012-10-17", "Statement": statements}
    text = json.dumps(dict(reversed(document.items())) if last else document, indent=indent)
    parse(text, "identity")
    found = positions(text)
    lines = text.split("\n")
    offsets = [sum(len(line) + 1 for line in lines[:n]) - 1 for n in range(len(lines))]
    read = [text[offsets[a.line - 1] + a.column : offsets[b.line - 1] + b.column] for a, b in found]
    assert [json.loads(each) for each in read] == statements
