"""Paths and templates: AWS's examples, and what holds for any."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.event_input import JsonPath, PathError, Template, TemplateError
from havre.core.event_input.paths import MISSING

EVENT: dict[str, Any] = {
    "id": "7bf73129-1428-4cd3-a780-95db273d1602",
    "detail-type": "EC2 Instance State-change Notification",
    "time": "2015-11-11T21:29:54Z",
    "detail": {"instance-id": "i-0123456789", "state": "RUNNING", "list": [1, {"x": "y"}], "quote": 'a "b" \\ <c>'},
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$", EVENT),
        ("$.detail.state", "RUNNING"),
        ("$.detail-type", "EC2 Instance State-change Notification"),
        ("$.detail.list[0]", 1),
        ("$.detail.list[1].x", "y"),
        ("$['detail']['instance-id']", "i-0123456789"),
        ('$.detail["state"]', "RUNNING"),
        ("$.detail.list[*]", [1, {"x": "y"}]),
        ("$.detail.list[*].x", ["y"]),
        ("$.detail.list[2]", MISSING),
        ("$.detail.none", MISSING),
        ("$.detail.state.deeper", MISSING),
        ("$.id[0]", MISSING),
    ],
)
def test_paths(path: str, expected: Any) -> None:
    assert JsonPath(path).find(EVENT) == expected


@pytest.mark.parametrize("path", ["", "detail", "$detail", "$.", "$[", "$.a[-1]", "$..a", "$.a b", "$[?(@.x)]"])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(PathError):
        JsonPath(path)


PATHS = {"instance": "$.detail.instance-id", "state": "$.detail.state", "list": "$.detail.list", "none": "$.x"}
PATHS |= {"quote": "$.detail.quote"}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('"<instance> is in state <state>"', '"i-0123456789 is in state RUNNING"'),
        ('{"instance": <instance>, "state": "<state>"}', '{"instance": "i-0123456789", "state": "RUNNING"}'),
        ('{"list": <list>}', '{"list": [1,{"x":"y"}]}'),
        ('{"a": "<none>", "b": <none>}', '{"a": "", "b": ""}'),
        ('{"q": "<quote>"}', '{"q": "a \\"b\\" \\\\ <c>"}'),
        ('{"q": <quote>}', '{"q": "a \\"b\\" \\\\ <c>"}'),
        ('"a \\"<state>\\" b"', '"a \\"RUNNING\\" b"'),
        ("<aws.events.rule-name>", '"nightly"'),
        ("plain", "plain"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
    ],
)
def test_templates(template: str, expected: str) -> None:
    assert Template(template, PATHS).fill(EVENT, {"aws.events.rule-name": "nightly"}) == expected


def test_what_is_no_template() -> None:
    with pytest.raises(TemplateError, match="invalid placeholder nowhere"):
        Template('"<nowhere>"', PATHS)
    for whole in ("[<aws.events.event.json>]", '"<aws.events.event.json>"'):
        with pytest.raises(TemplateError, match=r"aws\.events\.event\.json valid only for JSON template"):
            Template(whole, {})
    with pytest.raises(TemplateError, match="reserved"):
        Template("x", {"awsthing": "$.a"})
    with pytest.raises(PathError):
        Template("x", {"a": "b"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_a_json_template_stays_json_whatever_is_filled_in(value: Any) -> None:
    text = Template('{"as": <v>, "in": "x<v>y", "no": <w>}', {"v": "$.v", "w": "$.w"}).fill({"v": value}, {})
    found = json.loads(text)
    assert found["as"] == value and found["no"] == ""
    inside = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert found["in"] == f"x{inside}y"


@given(st.text(alphabet='<>ab"\\{}:', max_size=30))
def test_any_text_is_a_template_or_an_error(text: str) -> None:
    try:
        Template(text, {"a": "$.a"}).fill({"a": 1}, {})
    except TemplateError:
        pass
