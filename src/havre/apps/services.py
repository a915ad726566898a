"""The services of a process, each loaded when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from havre.control.operation import Service
from havre.services import catalogue


class Services(Mapping[str, Service]):
    """``makers``: services that need more than their package to be made."""

    def __init__(self, makers: Mapping[str, Callable[[], Service]]) -> None:
        self._makers = makers
        self._made: dict[str, Service] = {}

    def __getitem__(self, name: str) -> Service:
        service = self._made.get(name)
        if service is None:
            if name not in catalogue.NAMES:
                raise KeyError(name)
            make = self._makers.get(name)
            service = self._made[name] = make() if make is not None else catalogue.load(name)
        return service

    def __contains__(self, name: object) -> bool:
        return name in catalogue.NAMES

    def __iter__(self) -> Iterator[str]:
        return iter(catalogue.NAMES)

    def __len__(self) -> int:
        return len(catalogue.NAMES)
