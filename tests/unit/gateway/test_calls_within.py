"""What an operation asks of another service, and that cannot answer for the moment: the client is told to try again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.running_gateway import Running

from havre.control.operation import Operations, Service
from havre.kernel.errors import ApiError, Temporary


def _full() -> Service:
    ops = Operations()

    @ops("ListKeys")
    async def keys(call: Any, request: Any) -> Any:
        raise Temporary("the disk is full")

    return Service("kms", ops.all)


def _asks() -> Service:
    """Takes every error of the other for the word that something is wrong with the request, as services do."""
    ops = Operations()

    async def ask(aws: Any) -> Any:
        try:
            return await aws("kms", "ListKeys", {})
        except ApiError as error:
            raise ApiError("InvalidParameterException", f"no such key: {error.code}", 400) from None

    @ops("DescribeRepositories")
    async def as_caller(call: Any, request: Any) -> Any:
        return await ask(call.aws)

    @ops("DescribeRegistry")
    async def as_itself(call: Any, request: Any) -> Any:
        return await ask(call.as_service("ecr.amazonaws.com"))

    return Service("ecr", ops.all)


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    found = Running(besides=(_full(), _asks()))
    yield found
    found.close()


@pytest.mark.parametrize("operation", ["describe_repositories", "describe_registry"])
def test_what_passes_is_not_told_as_a_mistake_of_the_client(running: Running, operation: str) -> None:
    with pytest.raises(ClientError) as told:
        getattr(running.client("ecr"), operation)()
    assert told.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert told.value.response["Error"]["Code"] == "ServiceUnavailableException"
