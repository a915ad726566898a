from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.http_routes import METHODS, Routes, Taken, alike, fault


@pytest.mark.parametrize(
    ("method", "path", "key", "parameters"),
    [
        ("GET", "/pets/dog/1", "GET /pets/dog/1", {}),
        ("GET", "/pets/dog/2", "GET /pets/dog/{id}", {"id": "2"}),
        ("GET", "/pets/cat/2%20b", "GET /pets/{kind}/{id}", {"kind": "cat", "id": "2 b"}),
        ("GET", "/pets/cat/2/3", "GET /{proxy+}", {"proxy": "pets/cat/2/3"}),
        ("POST", "/pets/dog/1", "ANY /{proxy+}", {"proxy": "pets/dog/1"}),
        ("GET", "/", "GET /", {}),
        ("DELETE", "/", "$default", {}),
        ("PUT", "/exact", "PUT /exact", {}),
        ("PATCH", "/exact", "ANY /exact", {}),
    ],
)
def test_the_most_specific_route_wins(method: str, path: str, key: str, parameters: dict[str, str]) -> None:
    routes = Routes(
        (
            "GET /pets/dog/1",
            "GET /pets/dog/{id}",
            "GET /pets/{kind}/{id}",
            "GET /{proxy+}",
            "ANY /{proxy+}",
            "GET /",
            "ANY /exact",
            "PUT /exact",
            "$default",
        )
    )
    assert routes.take(method, path) == Taken(key, parameters)


def test_without_a_default_nothing_may_take_it() -> None:
    routes = Routes(["GET /a/{x}"])
    assert (
        routes.take("POST", "/a/b") is None and routes.take("GET", "/a/") is None and routes.take("GET", "/a") is None
    )


@pytest.mark.parametrize("key", ["$default", "GET /", "ANY /{proxy+}", "POST /a/{b}/c-d_e.f~", "GET /{a}/{b}"])
def test_keys(key: str) -> None:
    assert fault(key) == ""


@pytest.mark.parametrize(
    "key",
    ["GET", "get /", "GET a", "FETCH /", "GET /{a+}/b", "GET /{a}/{a}", "GET /x{a}", "GET /{", "$connect", "GET /a b"],
)
def test_what_is_no_key(key: str) -> None:
    assert fault(key)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("GET /a/{b}/c", "GET /a/{d}/c", True),
        ("ANY /{p+}", "ANY /{q+}", True),
        ("GET /a/{b}", "POST /a/{d}", False),
        ("GET /a/{b}", "GET /a/{b+}", False),
        ("GET /a/{b}", "GET /a/b", False),
        ("GET /a/{b}", "GET /a/{d}/c", False),
        ("$default", "GET /", False),
    ],
)
def test_keys_that_take_the_same(one: str, other: str, same: bool) -> None:
    assert alike(one, other) == same


_SEGMENT = st.sampled_from(["a", "b", "{x}", "{y}", "{p+}"])


@given(st.lists(st.tuples(st.sampled_from(METHODS), st.lists(_SEGMENT, max_size=4)), max_size=8), st.data())
def test_a_route_that_fits_is_found(made: list[tuple[str, list[str]]], data: st.DataObject) -> None:
    keys = [f"{method} /{'/'.join(segments)}" for method, segments in made]
    keys = [key for key in keys if not fault(key)]
    routes = Routes(keys)
    path = "/" + "/".join(data.draw(st.lists(st.sampled_from(["a", "b", "c"]), max_size=5)))
    method = data.draw(st.sampled_from(METHODS[1:]))
    taken = routes.take(method, path)
    fitting = [key for key in keys if _fits(key, method, path)]
    assert (taken is not None) == bool(fitting)
    if taken is not None:
        assert taken.key in fitting


def _fits(key: str, method: str, path: str) -> bool:
    wanted, _, pattern = key.partition(" ")
    have, need = path[1:].split("/"), pattern[1:].split("/")
    if wanted not in (method, "ANY"):
        return False
    for place, segment in enumerate(need):
        if segment.endswith("+}"):
            return place < len(have) and any(have[place:])
        if place >= len(have) or (have[place] != segment and not (segment.startswith("{") and have[place])):
            return False
    return len(have) == len(need)
