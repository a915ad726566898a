"""Names, digests, manifests, passwords: what comes from outside, whatever it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havre.core.images.manifest import OCI_IMAGE, OCI_INDEX, ManifestError, parse
from havre.core.images.mutability import is_movable
from havre.core.images.names import digest_of, is_digest, is_repository, is_tag
from havre.core.images.passwords import Passwords, Ticket

SECRET = b"\x02" * 32


@pytest.mark.parametrize("name", ["ab", "a/b", "team/web-app_1.2/x", "a" * 256, "0/1", "a__b", "a---b"])
def test_names_that_ecr_takes(name: str) -> None:
    assert is_repository(name)


@given(st.text(max_size=20))
def test_no_name_leads_out_of_its_place(name: str) -> None:
    if is_repository(name):
        parts = name.split("/")
        assert all(part and part not in (".", "..") and part[0].isalnum() for part in parts)
        assert name == name.lower() and "\0" not in name and name.isascii()
    if is_tag(name):
        assert "/" not in name and ":" not in name and name[0] not in ".-"
    if is_digest(name):
        assert "/" not in name


@given(st.binary(max_size=100), st.sampled_from(["sha256", "sha512"]))
def test_digests(content: bytes, kind: str) -> None:
    digest = digest_of(content, kind)
    assert is_digest(digest)
    assert not is_digest(digest.upper()) and not is_digest(digest + "0") and not is_digest(f"{digest}\n")


@pytest.mark.parametrize(
    ("setting", "filters", "tag", "movable"),
    [
        ("MUTABLE", (), "v1", True),
        ("IMMUTABLE", (), "v1", False),
        ("IMMUTABLE_WITH_EXCLUSION", ("latest", "dev-*"), "dev-1", True),
        ("IMMUTABLE_WITH_EXCLUSION", ("latest",), "v1", False),
        ("MUTABLE_WITH_EXCLUSION", ("v*.*",), "v1.2", False),
        ("MUTABLE_WITH_EXCLUSION", ("v*.*",), "v1", True),
    ],
)
def test_which_tags_move(setting: str, filters: tuple[str, ...], tag: str, movable: bool) -> None:
    assert is_movable(tag, setting, filters) is movable


BLOB = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest_of(b"x"), "size": 1}
IMAGE = {"schemaVersion": 2, "mediaType": OCI_IMAGE, "config": BLOB, "layers": [BLOB]}


def test_what_a_manifest_says() -> None:
    read = parse(json.dumps({**IMAGE, "subject": BLOB, "annotations": {"a": "b"}}).encode())
    assert (read.media_type, len(read.blobs), read.size) == (OCI_IMAGE, 2, 2)
    assert read.subject is not None and read.subject.digest == BLOB["digest"]
    assert read.artifact_type == BLOB["mediaType"]
    index = parse(json.dumps({"schemaVersion": 2, "manifests": [BLOB]}).encode())
    assert (index.media_type, [c.digest for c in index.children]) == (OCI_INDEX, [BLOB["digest"]])


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"", ""),
        (b"[]", ""),
        (b"[" * 100_000, ""),
        (json.dumps({**IMAGE, "schemaVersion": 1}).encode(), ""),
        (json.dumps(IMAGE).encode(), OCI_INDEX),
        (json.dumps({**IMAGE, "mediaType": "text/plain"}).encode(), ""),
        (json.dumps({**IMAGE, "manifests": []}).encode(), ""),
        (json.dumps({**IMAGE, "config": {**BLOB, "digest": "sha256:../../x"}}).encode(), ""),
        (json.dumps({**IMAGE, "config": {**BLOB, "size": -1}}).encode(), ""),
        (json.dumps({**IMAGE, "config": {**BLOB, "size": True}}).encode(), ""),
        (json.dumps({**IMAGE, "config": None}).encode(), ""),
        (json.dumps({**IMAGE, "layers": [BLOB] * 10_001}).encode(), ""),
        (json.dumps({**IMAGE, "annotations": {"a": 1}}).encode(), ""),
    ],
)
def test_what_is_no_manifest(content: bytes, content_type: str) -> None:
    with pytest.raises(ManifestError):
        parse(content, content_type)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*IMAGE, *BLOB]), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*IMAGE, "manifests", "subject", "annotations", "artifactType"]), json_values))
def test_any_json_is_read_or_refused(value: Any) -> None:
    try:
        parse(json.dumps({"schemaVersion": 2, **value}).encode())
    except ManifestError:
        return


def _ticket(**fields: Any) -> Ticket:
    return Ticket(**{"principal": b"who", "account": "000000000000", "issued": 1, "expires": 2} | fields)


@given(st.binary(max_size=200), st.integers(0, 2**40), st.text(max_size=80))
def test_passwords_come_back_as_they_were(principal: bytes, expires: int, layer: str) -> None:
    ticket = _ticket(principal=principal, expires=expires, layer=layer)
    assert Passwords(SECRET).read(Passwords(SECRET).issue(ticket)) == ticket
    assert Passwords(b"\x03" * 32).read(Passwords(SECRET).issue(ticket)) is None


@given(st.data())
def test_an_altered_password_is_none(data: Any) -> None:
    text = Passwords(SECRET).issue(_ticket())
    at = data.draw(st.integers(0, len(text) - 2))  # the last character has bits that stand for nothing
    other = data.draw(st.sampled_from("ABCDEFGHabcdefgh0123456789-_").filter(lambda c: c != text[at]))
    assert Passwords(SECRET).read(text[:at] + other + text[at + 1 :]) is None


@given(st.text(max_size=300))
def test_any_text_is_no_password(text: str) -> None:
    assert Passwords(SECRET).read(text) is None
