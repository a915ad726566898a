"""From a custom domain name and a path to the stage of an API."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from havre.core.http_events import Asked
from havre.services.apigatewayv2.resources import API, DOMAIN, MAPPING, STAGE, Mapped
from havre.services.apigatewayv2.serving.story import Story
from havre.services.apigatewayv2.store import name
from havre.store.ports import Store

HEADER = "x-havre-target-group"
"""By which the proxy says for which domain name it asks: its ARN."""


class Domains:
    def __init__(self, store: Store) -> None:
        self._store = store

    def story(self, asked: Asked, id: str) -> Story | None:
        """None where nothing is mapped."""
        domain = asked.header(HEADER).rpartition("/")[2]
        found = self._store.first(DOMAIN, "name", domain)
        mapped = _mapped(self._store.find(MAPPING, "domain", domain), asked.path) if found is not None else None
        if mapped is None:
            return None
        where = (mapped.meta.account, mapped.meta.region)
        api = self._store.get(API, *where, mapped.spec.api)
        if api is None:
            return None
        base = f"/{mapped.spec.key}" if mapped.spec.key else ""
        told = tuple(each for each in asked.headers if each[0] != HEADER)
        source = asked.header("x-forwarded-for").rpartition(",")[2].strip() or asked.source_ip
        path = asked.path.removeprefix(base) or "/"
        inner = replace(asked, path=path, base=base, headers=told, source_ip=source, host=asked.host.partition(":")[0])
        stage = self._store.get(STAGE, *where, name(api.spec.id, mapped.spec.stage))
        return Story(api, inner, id, stage, mapped=True)


def _mapped(mappings: Sequence[Mapped], path: str) -> Mapped | None:
    """The one whose key has most of the path's segments."""
    fitting = [each for each in mappings if not each.spec.key or f"{path}/".startswith(f"/{each.spec.key}/")]
    return max(fitting, key=lambda each: len(each.spec.key), default=None)
