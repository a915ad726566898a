"""Pages of lists: one way for all services. A token is sealed, and good for the question that it came from alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from havre.control.operation import Call, Request
from havre.kernel.errors import ApiError
from havre.wire import tokens

T = TypeVar("T")


class Paging(msgspec.Struct, frozen=True):
    """How one service pages: the members that name the size of a page and the place it begins at, and how a token is
    refused that is none of this question's: by ``code`` and ``message``, in which ``{token}`` stands for it."""

    size: str
    token: str
    code: str
    message: str
    status: int = 0

    def read(self, call: Call, request: Request) -> Any:
        """The place that the request's token names, None without one. Raises ApiError."""
        given = request.get(self.token)
        if not given:
            return None
        try:
            return tokens.decode(_secret(call), call.operation, self._question(call, request), given)
        except ApiError:
            raise ApiError(self.code, self.message.replace("{token}", given[:256]), self.status) from None

    def write(self, call: Call, request: Request, place: Any) -> str:
        """The token of ``place``, which is whatever JSON can say."""
        return tokens.encode(_secret(call), call.operation, self._question(call, request), place)

    def page(
        self, call: Call, request: Request, items: Sequence[T], key: Callable[[T], str], most: int
    ) -> tuple[list[T], str | None]:
        """The page that the request asks for, of at most ``most`` items, and the token of the next, None behind the last.

        ``items`` stand in the order of ``key``, which is unique: a page begins behind the last key of the one before, so
        that what is added or deleted in between neither repeats nor hides an item.
        """
        after = self.read(call, request)
        first = 0 if after is None else _behind(items, key, after)
        shown = list(items[first : first + self._most(request, most)])
        if not shown or first + len(shown) >= len(items):
            return shown, None
        return shown, self.write(call, request, key(shown[-1]))

    def page_as_listed(
        self, call: Call, request: Request, items: Sequence[T], key: Callable[[T], str], most: int
    ) -> tuple[list[T], str | None]:
        """As ``page``, for ``items`` in an order that is not that of their keys. If the last one shown has gone since, the
        next page begins where it stood."""
        place = self.read(call, request)
        first = 0
        if place is not None:
            last, many = place
            first = next((n for n, each in enumerate(items, 1) if key(each) == last), many - 1)
        shown = list(items[first : first + self._most(request, most)])
        end = first + len(shown)
        if not shown or end >= len(items):
            return shown, None
        return shown, self.write(call, request, [key(shown[-1]), end])

    def page_by_count(self, call: Call, request: Request, items: Sequence[T], most: int) -> tuple[list[T], str | None]:
        """As ``page``, for ``items`` whose order may change under way: the token says how many have been shown."""
        first = self.read(call, request) or 0
        end = first + self._most(request, most)
        return list(items[first:end]), self.write(call, request, end) if end < len(items) else None

    def _most(self, request: Request, most: int) -> int:
        return int(request.get(self.size) or most)

    def _question(self, call: Call, request: Request) -> dict[str, Any]:
        asked = {name: value for name, value in request.items() if name not in (self.size, self.token)}
        return {**asked, "account": call.account, "region": call.region}


def _secret(call: Call) -> bytes:
    return f"havre-{call.service}-{call.site.instance}".encode()


def _behind(items: Sequence[T], key: Callable[[T], str], after: str) -> int:
    low, high = 0, len(items)
    while low < high:
        middle = (low + high) // 2
        if key(items[middle]) <= after:
            low = middle + 1
        else:
            high = middle
    return low
