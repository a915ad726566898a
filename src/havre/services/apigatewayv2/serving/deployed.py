"""What a stage serves, ready to be asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from havre.core.http_routes import Routes, Taken
from havre.services.apigatewayv2.resources import API, AUTHORIZER, DEPLOYMENT, INTEGRATION, ROUTE, STAGE, Api, Part
from havre.services.apigatewayv2.store import name
from havre.store.ports import Store

_REMEMBERED = 256


class Deployed:
    def __init__(self, deployment: Part) -> None:
        members = deployment.spec.members
        self._routes = {route["RouteKey"]: route for route in members[ROUTE.name].values()}
        self._integrations: Mapping[str, Mapping[str, Any]] = members[INTEGRATION.name]
        self._authorizers: Mapping[str, Mapping[str, Any]] = members[AUTHORIZER.name]
        self._table = Routes(self._routes)

    def take(self, method: str, path: str) -> Taken | None:
        return self._table.take(method, path)

    def route(self, key: str) -> Mapping[str, Any]:
        route: Mapping[str, Any] = self._routes[key]
        return route

    def integration(self, route: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return self._integrations.get(str(route.get("Target", "")).partition("/")[2])

    def authorizer(self, route: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return self._authorizers.get(str(route.get("AuthorizerId", "")))


class Shelf:
    """Deployments never change: each is read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[tuple[str, str], Deployed] = {}

    def api(self, id: str) -> Api | None:
        return next(iter(self._store.find(API, "id", id)), None)

    def stage(self, api: Api, path: str) -> tuple[Part | None, str]:
        """The stage that a path means, and what is left of the path."""
        first, _, rest = path[1:].partition("/")
        where = (api.meta.account, api.meta.region)
        if first and first != "$default":
            named = self._store.get(STAGE, *where, name(api.spec.id, first))
            if named is not None:
                return named, f"/{rest}"
        return self._store.get(STAGE, *where, name(api.spec.id, "$default")), path

    def deployed(self, stage: Part) -> Deployed | None:
        id = stage.spec.members.get("DeploymentId", "")
        known = self._known.get((stage.spec.api, id))
        if known is None:
            where = (stage.meta.account, stage.meta.region)
            found = self._store.get(DEPLOYMENT, *where, name(stage.spec.api, id))
            if found is None:
                return None
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[stage.spec.api, id] = Deployed(found)
        return known
