from __future__ import annotations

import pytest

from havre.kernel.function import session_name


@pytest.mark.parametrize(("function", "session"), [("a", "a@lambda_function"), ("ab", "ab"), ("x" * 64, "x" * 64)])
def test_sessions_are_named_after_functions(function: str, session: str) -> None:
    assert session_name(function) == session
