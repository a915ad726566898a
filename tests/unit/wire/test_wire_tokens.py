"""Page tokens: they give back their position, and no token but our own is taken."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.kernel.errors import ApiError
from havre.wire import tokens

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
