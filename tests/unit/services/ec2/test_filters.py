"""What the values of filters fit, and that no value takes long."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.services.ec2.filters import matching


def found(wanted: str, *values: str) -> list[str]:
    filters = [{"Name": "tag:Name", "Values": [wanted]}]
    return matching(values, filters, {}, lambda value: {"Name": value})


@pytest.mark.parametrize(
    ("wanted", "fitting"),
    [
        ("web", ["web"]),
        ("w*", ["web", "w*b", "w?b"]),
        ("w?b", ["web", "w*b", "w?b"]),
        ("w\\*b", ["w*b"]),
        ("w\\?b", ["w?b"]),
        ("*", ["web", "w*b", "w?b", "", "a\nb"]),
        ("", [""]),
        ("a*b", ["a\nb"]),
        ("w\\eb", ["web"]),
        ("web\\", []),
    ],
)
def test_wildcards(wanted: str, fitting: list[str]) -> None:
    assert found(wanted, "web", "w*b", "w?b", "", "a\nb") == fitting


@given(st.text("ab*?", max_size=8), st.text("abc", max_size=8))
def test_they_are_those_of_regular_expressions(wanted: str, value: str) -> None:
    pattern = wanted.replace("*", ".*").replace("?", ".")
    assert bool(found(wanted, value)) == bool(re.fullmatch(pattern, value))


def test_no_value_takes_long() -> None:
    assert found("*a" * 100 + "*b", "a" * 255) == []
    assert found("*a" * 100 + "*b", "a" * 254 + "b") != []
