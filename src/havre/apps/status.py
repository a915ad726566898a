"""What ``/_havre/health``, ``status``, ``explain`` and ``reset`` answer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from havre import __version__
from havre.apps import explaining
from havre.control.nodes import BALANCER, NODE, WORKLOAD
from havre.kernel.resource import scoped

MIN_FREE = 4 << 20
"""Bytes on the disk of the state directory below which it is called full."""

if TYPE_CHECKING:
    from havre.apps.server import Server


class Status:
    def __init__(self, server: Server) -> None:
        self._server = server

    async def health(self, _: Mapping[str, str]) -> tuple[int, Any]:
        """200 when all that can be asked for is there, 503 before. ``loops`` has the last progress of each."""
        problems = self._problems()
        health = {**self._server.supervisor.health(), **self._server.workers.health()}
        loops = {name: msgspec.to_builtins(state) for name, state in health.items()}
        services = dict.fromkeys(self._server.services, "running")
        ready = self._server.ready
        status = "starting" if not ready else "degraded" if problems else "ok"
        answer = {"status": status, "version": __version__, "services": services, "problems": problems, "loops": loops}
        return 200 if ready else 503, answer

    async def explain(self, query: Mapping[str, str]) -> tuple[int, Any]:
        given = query.get("arn", "")
        try:
            arn = explaining.asked(given)
        except ValueError:
            return 400, {"message": f"{given!r} is no ARN; it begins with arn:aws: (aws ecs describe-tasks shows it)"}
        server = self._server
        reasons = await server.workers.explain(arn)
        if not reasons:
            told = explaining.plain(server.store, server.config.site, arn)
            if told is None:
                return 404, {"message": f"nothing here has the ARN {given!r}"}
            reasons = told
        return 200, {"arn": given, "reasons": reasons}

    async def reset(self, _: Mapping[str, str]) -> tuple[int, Any]:
        """Every resource of every account goes, and with them what runs."""
        server = self._server
        await server.store.reset()
        await server.registry.parts.blobs.clear()
        await server.journal.reset()
        await server.metering.reset()
        server.trail.reset()
        await server.borrowing.reset()
        await server.functions.reset()
        await server.shelf.reset()
        await server.nodes.start_afresh()
        return 200, {"status": "ok"}

    async def status(self, _: Mapping[str, str]) -> tuple[int, Any]:
        site = self._server.config.site
        problems = self._problems()
        tables = {
            "Nodes": self._nodes(),
            "Services": self._services(),
            "Tasks": self._workloads(),
            "Load balancers": self._balancers(),
        }
        return 200, {
            "status": "ok" if not problems else "degraded",
            "version": __version__,
            "endpoint": site.endpoint,
            "account": site.account,
            "region": site.region,
            "problems": problems,
            "tables": tables,
        }

    def _problems(self) -> list[str]:
        states = self._server.supervisor.health()
        found = [f"{name}: {state.error}" for name, state in states.items() if state.state == "restarting"]
        disk = os.statvfs(self._server.config.state)
        if disk.f_bavail * disk.f_frsize < MIN_FREE:
            found.append(f"the disk of {self._server.config.state} is full: nothing is written until there is room")
        if problem := self._server.borrowing.problem:
            found.append(problem)
        nodes = self._server.store.list(NODE)
        if not any(node.status.connected for node in nodes):
            return [*found, "no node is connected"]
        for node in nodes:
            for what in (node.status.engine_error, node.status.network_error):
                if what:
                    found.append(f"{node.meta.name}: {what}")
        return found

    def _nodes(self) -> list[dict[str, Any]]:
        return [
            {
                "node": node.meta.name,
                "connected": "yes" if node.status.connected else "no",
                "cpu": node.status.cpu,
                "memory MiB": node.status.memory,
                "engine": f"{node.status.engine} {node.status.engine_version}".strip(),
            }
            for node in self._server.store.list(NODE)
        ]

    def _services(self) -> list[dict[str, Any]]:
        from havre.services.ecs.resources import DEPLOYMENT, SERVICE, TASK

        store, rows = self._server.store, []
        for service in store.list(SERVICE):
            meta, spec = service.meta, service.spec
            if spec.state == "INACTIVE":
                continue
            tasks = store.find(TASK, "service", scoped(meta.account, meta.region, meta.name))
            primary = store.get(DEPLOYMENT, meta.account, meta.region, spec.primary)
            rows.append(
                {
                    "service": meta.name,
                    "status": spec.state,
                    "running": f"{sum(t.status.last == 'RUNNING' for t in tasks)} of {spec.desired}",
                    "task definition": primary.spec.launch.definition if primary else "",
                    "deployment": primary.status.state if primary else "",
                }
            )
        return rows

    def _workloads(self) -> list[dict[str, Any]]:
        rows = []
        for resource in self._server.store.list(WORKLOAD):
            work, report = resource.spec.workload, resource.status.report
            rows.append(
                {
                    "task": work.arn.split(":")[-1],
                    "group": work.group,
                    "status": report.phase if report else "PENDING",
                    "address": work.interface.address if work.interface else "",
                    "images": ", ".join(c.image for c in work.containers),
                }
            )
        return rows

    def _balancers(self) -> list[dict[str, Any]]:
        rows = []
        for resource in self._server.store.list(BALANCER):
            balancer, report = resource.spec.balancer, resource.status.report
            targets = report.targets if report else ()
            for listener in balancer.listeners:
                scheme = "https" if listener.protocol == "HTTPS" else "http"
                port = "" if listener.port == (443 if scheme == "https" else 80) else f":{listener.port}"
                rows.append(
                    {
                        "URL": f"{scheme}://{balancer.dns_name}{port}/",
                        "or": f"{scheme}://{balancer.host_address}{port}/" if balancer.host_address else "",
                        "state": report.state if report else "provisioning",
                        "healthy": f"{sum(t.state == 'healthy' for t in targets)} of {len(targets)}",
                    }
                )
        return rows
