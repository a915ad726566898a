"""Pages: every item once, whatever changes under way, and no token but that of the same question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.control.operation import Call
from havre.control.paging import Paging
from havre.kernel.errors import ApiError

PAGING = Paging("MaxItems", "Marker", "ValidationError", "No such place: {token}")
NAMES = st.sets(st.text(max_size=3))
Page = Callable[[Sequence[str], dict[str, Any]], tuple[list[str], str | None]]


def call(operation: str = "ListThings", account: str = "1", region: str = "r", service: str = "iam") -> Call:
    site = SimpleNamespace(instance="x")
    of = {"operation": operation, "account": account, "region": region, "service": service, "site": site}
    return cast(Call, SimpleNamespace(**of))


def by_key(items: Sequence[str], request: dict[str, Any]) -> tuple[list[str], str | None]:
    return PAGING.page(call(), request, items, str, 5)


def as_listed(items: Sequence[str], request: dict[str, Any]) -> tuple[list[str], str | None]:
    return PAGING.page_as_listed(call(), request, items, str, 5)


def by_count(items: Sequence[str], request: dict[str, Any]) -> tuple[list[str], str | None]:
    return PAGING.page_by_count(call(), request, items, 5)


@pytest.mark.parametrize("page", [by_key, as_listed, by_count])
@given(names=NAMES, size=st.none() | st.integers(1, 7))
def test_every_item_is_shown_once(page: Page, names: set[str], size: int | None) -> None:
    items = sorted(names)
    seen: list[str] = []
    request: dict[str, Any] = {} if size is None else {"MaxItems": size}
    while True:
        shown, token = page(items, request)
        assert len(shown) <= (size or 5)
        seen += shown
        if token is None:
            break
        assert shown
        request["Marker"] = token
    assert seen == items


@given(st.lists(st.integers(0, 99).map(str), min_size=4, unique=True))
def test_an_order_of_its_own_is_kept(items: list[str]) -> None:
    first, token = as_listed(items, {"MaxItems": 3})
    rest, _ = as_listed(items, {"MaxItems": 1000, "Marker": token})
    assert first + rest == items
    without = [i for i in items if i != first[-1]]  # what the token names has gone
    assert as_listed(without, {"MaxItems": 1000, "Marker": token})[0] == items[3:]


@given(st.sets(st.integers(0, 99), min_size=4), st.sets(st.integers(0, 99)), st.sets(st.integers(0, 99)))
def test_changes_between_pages_neither_repeat_nor_hide(start: set[int], added: set[int], deleted: set[int]) -> None:
    key = "{:02}".format
    first, token = PAGING.page(call(), {"MaxItems": 3}, sorted(start), key, 3)
    rest, _ = PAGING.page(call(), {"MaxItems": 1000, "Marker": token}, sorted((start | added) - deleted), key, 3)
    assert not set(first) & set(rest)
    assert start - deleted <= set(first) | set(rest)


def test_a_token_is_good_for_its_own_question_only() -> None:
    items = ["a", "b", "c"]
    _, token = PAGING.page(call(), {"MaxItems": 1, "PathPrefix": "/"}, items, str, 5)
    assert token is not None
    again = {"MaxItems": 2, "PathPrefix": "/", "Marker": token}  # the size may change under way
    assert PAGING.page(call(), again, items, str, 5) == (["b", "c"], None)
    others = [call("ListOthers"), call(account="2"), call(region="s"), call(service="sts")]
    questions = [(each, again) for each in others] + [(call(), {**again, "PathPrefix": "/x/"})]
    forged = token[:-1] + ("A" if token[-1] != "A" else "B")
    questions += [(call(), {**again, "Marker": each}) for each in (forged, "bogus", "x" * 10_000, "é")]
    for asked, request in questions:
        with pytest.raises(ApiError) as refused:
            PAGING.page(asked, request, items, str, 5)
        assert refused.value.code == "ValidationError"
        assert refused.value.message == f"No such place: {request['Marker'][:256]}"
