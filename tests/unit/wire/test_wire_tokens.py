"""Pagination: every item once, and no token but our own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.kernel.errors import ApiError
from havre.wire import tokens
from havre.wire.tokens import Pages, page

_SECRET = b"s" * 32
_POSITIONS = st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists, max_leaves=5)


@given(_POSITIONS, st.dictionaries(st.text(), st.text()))
def test_tokens_give_back_their_position(position: Any, filters: dict[str, str]) -> None:
    token = tokens.encode(_SECRET, "ListTasks", filters, position)
    assert tokens.decode(_SECRET, "ListTasks", filters, token) == position
    assert tokens.decode(_SECRET, "ListTasks", dict(reversed(filters.items())), token) == position


@pytest.mark.parametrize(
    ("secret", "operation", "filters"),
    [(b"other", "ListTasks", {"a": "b"}), (_SECRET, "ListServices", {"a": "b"}), (_SECRET, "ListTasks", {"a": "c"})],
)
def test_tokens_are_good_for_their_own_query_only(secret: bytes, operation: str, filters: dict[str, str]) -> None:
    token = tokens.encode(_SECRET, "ListTasks", {"a": "b"}, "position")
    with pytest.raises(ApiError) as refused:
        tokens.decode(secret, operation, filters, token, "InvalidParameterException", "Invalid token.")
    assert (refused.value.code, refused.value.message) == ("InvalidParameterException", "Invalid token.")


@given(st.text() | st.integers(0, 60).map(lambda at: _with_other_letter(tokens.encode(_SECRET, "O", {}, "x" * 40), at)))
def test_other_tokens_are_refused(token: str) -> None:
    with pytest.raises(ApiError):
        tokens.decode(_SECRET, "O", {}, token)


def _with_other_letter(token: str, at: int) -> str:
    return token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]


@given(st.sets(st.text(max_size=3)), st.integers(1, 7))
def test_pages_show_every_item_once(names: set[str], limit: int) -> None:
    pages = Pages(_SECRET, "List", {})
    items = sorted(names)
    seen: list[str] = []
    token: str | None = None
    while True:
        shown, token = page(pages, items, str, limit, token)
        assert len(shown) <= limit
        seen += shown
        if token is None:
            break
    assert seen == items


@given(st.sets(st.integers(0, 99), min_size=4), st.sets(st.integers(0, 99)), st.sets(st.integers(0, 99)))
def test_changes_between_pages_neither_repeat_nor_hide(start: set[int], added: set[int], deleted: set[int]) -> None:
    pages, key = Pages(_SECRET, "List", {}), "{:02}".format
    first, token = page(pages, sorted(start), key, 3, None)
    rest, _ = page(pages, sorted((start | added) - deleted), key, 1000, token)
    assert not set(first) & set(rest)
    assert start - deleted <= set(first) | set(rest)
