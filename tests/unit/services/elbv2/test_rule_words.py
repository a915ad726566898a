"""Conditions and actions of rules: what is taken is shown as it was given, what AWS does not take is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.kernel.errors import ApiError
from havre.services.elbv2 import actions, conditions

VALUES = {
    "path-pattern": st.from_regex(r"/[a-z*?]{0,10}", fullmatch=True),
    "host-header": st.from_regex(r"[a-z*?]{1,5}\.[a-z*]{1,5}", fullmatch=True),
    "http-request-method": st.from_regex(r"[A-Z_-]{1,40}", fullmatch=True),
    "source-ip": st.from_regex(r"10\.0\.0\.[0-9]/(8|16|32)", fullmatch=True),
}


@given(st.data(), st.sampled_from(sorted(VALUES)))
def test_a_condition_is_shown_as_it_was_given(data: st.DataObject, field: str) -> None:
    values = data.draw(st.lists(VALUES[field], min_size=1, max_size=3))
    try:
        (parsed,) = conditions.parse([{"Field": field, conditions.CONFIGS[field]: {"Values": values}}])
    except ApiError as error:
        assert "wildcards" in error.message
        return
    if field in ("path-pattern", "host-header") and len(values) == 1:
        assert conditions.parse([{"Field": field, "Values": values}]) == (parsed,)
    shown = conditions.shown(parsed)
    assert shown["Field"] == field and shown[conditions.CONFIGS[field]]["Values"] == values
    assert conditions.parse([{k: v for k, v in shown.items() if k != "Values"}]) == (parsed,)


@pytest.mark.parametrize(
    "given_",
    [
        {"Field": "path-pattern", "Values": ["/a b"]},
        {"Field": "path-pattern", "Values": ["/a\n"]},
        {"Field": "path-pattern", "Values": []},
        {"Field": "host-header", "Values": ["localhost"]},
        {"Field": "host-header", "Values": ["a_b.example"]},
        {"Field": "http-request-method", "Values": ["get"]},
        {"Field": "source-ip", "Values": ["10.0.0.1"]},
        {"Field": "source-ip", "Values": ["::/0"]},
        {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "Host", "Values": ["x"]}},
        {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "a b", "Values": ["x"]}},
        {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "a"}]}},
        {"Field": "path-pattern", "HostHeaderConfig": {"Values": ["a.b"]}},
        {"Field": "path-pattern", "Values": ["/a"], "PathPatternConfig": {"Values": ["/b"]}},
        {"Field": "cookie", "Values": ["a"]},
    ],
)
def test_conditions_that_aws_does_not_take(given_: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as caught:
        conditions.parse([given_])
    assert caught.value.code == "ValidationError"


def test_a_rule_has_few_values_and_wildcards() -> None:
    paths = [{"Field": "path-pattern", "PathPatternConfig": {"Values": [f"/{n}" for n in range(6)]}}]
    with pytest.raises(ApiError, match="condition values"):
        conditions.parse(paths)
    with pytest.raises(ApiError, match="wildcards"):
        conditions.parse([{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/*****", "/**"]}}])
    assert conditions.parse(
        [{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X", "Values": [r"\*" * 9]}}]
    )
    twice = [{"Field": "path-pattern", "Values": ["/a"]}] * 2
    with pytest.raises(ApiError, match="more than one condition"):
        conditions.parse(twice)


@given(st.integers(-2, 1200), st.integers(0, 700000), st.booleans())
def test_weights_and_stickiness_have_bounds(weight: int, seconds: int, sticky: bool) -> None:
    config = {
        "TargetGroups": [{"TargetGroupArn": "a", "Weight": weight}, {"TargetGroupArn": "b"}],
        "TargetGroupStickinessConfig": {"Enabled": sticky, "DurationSeconds": seconds},
    }
    good = 0 <= weight <= 999 and (not sticky or 1 <= seconds <= 604800)
    try:
        action = actions.parse([{"Type": "forward", "ForwardConfig": config}])
    except ApiError as error:
        assert error.code == "ValidationError" and not good
    else:
        assert good and action.groups == (("a", weight), ("b", 1)) and action.sticky == (seconds if sticky else 0)


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"StatusCode": "HTTP_301"}, "InvalidLoadBalancerAction"),
        ({"StatusCode": "HTTP_301", "Port": "0"}, "ValidationError"),
        ({"StatusCode": "HTTP_301", "Port": "http"}, "ValidationError"),
        ({"StatusCode": "HTTP_301", "Path": "x"}, "ValidationError"),
        ({"StatusCode": "HTTP_301", "Host": "#{nonsense}"}, "ValidationError"),
        ({"StatusCode": "HTTP_301", "Path": "/\r\nSet-Cookie: x"}, "ValidationError"),
        ({"StatusCode": "HTTP_307", "Port": "81"}, "ValidationError"),
    ],
)
def test_redirects_that_aws_does_not_take(config: dict[str, str], code: str) -> None:
    with pytest.raises(ApiError) as caught:
        actions.parse([{"Type": "redirect", "RedirectConfig": config}])
    assert caught.value.code == code
