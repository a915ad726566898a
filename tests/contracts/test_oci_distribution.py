"""OCI distribution-spec conformance: every check, without one failure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.oci_client import Client
from tests.contracts.oci_conformance import Suite
from tests.contracts.oci_data import SETS
from tests.contracts.registry_server import running


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running(tmp_path_factory.mktemp("registry"), ["conformance/first", "conformance/second"]) as server:
        yield Client(server.address, server.password)


@pytest.fixture
def suite(client: Client) -> Iterator[Suite]:
    suite = Suite(client, "conformance/first", "conformance/second")
    yield suite
    assert suite.passed
    assert not suite.failed


def test_ping_and_empty_lists(suite: Suite) -> None:
    suite.basics()


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_blobs(suite: Suite, algorithm: str) -> None:
    suite.blobs(algorithm)


@pytest.mark.parametrize("name", SETS)
def test_data(suite: Suite, name: str) -> None:
    suite.data(name)


def test_bad_manifests(suite: Suite) -> None:
    suite.bad_manifests()
