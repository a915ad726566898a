"""The VPCs and load balancers of this machine: as described, in order, again until they are."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from havre.control.workloads.parts import AgentParts
from havre.core.balancing import guarded
from havre.engines.sandbox import OWN_VPC
from havre.kernel.addresses import inner_address
from havre.kernel.balancer import Balancer, BalancerStatus
from havre.kernel.errors import Gone, Permanent, Temporary
from havre.kernel.vpc import Vpc

log = logging.getLogger("havre.node")

_RETRY = 1.0
_PATIENCE = 3.0
"""Seconds that the end of a task waits for load balancers to hear of it."""


class Networks:
    """A VPC is built when something here needs it, and kept as it is described from then on."""

    def __init__(self, parts: AgentParts, used: Callable[[], set[str]]) -> None:
        self._parts = parts
        self._used = used
        self._vpcs: dict[str, Vpc] = {}
        self._built: dict[str, Vpc] = {}
        self._gone: set[str] = set()
        self._balancers: dict[str, Balancer] = {}
        self._running: dict[str, Balancer] = {}
        self._ended: set[str] = set()
        self._failures: dict[str, str] = {}
        self._applied: tuple[list[Balancer], dict[str, str]] | None = None
        self._told: dict[str, BalancerStatus] = {}
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        """Set while everything is as was last said."""
        self._settled.set()
        self._lock = asyncio.Lock()
        self._stopped = False

    # --- what is wanted
    def replace(self, vpcs: Sequence[Vpc], balancers: Sequence[Balancer]) -> None:
        """A snapshot: what is missing goes, what a former life of this process left as well."""
        known = (set(self._vpcs) | set(self._parts.network.namespaces())) - {OWN_VPC}
        self.remove(known - {v.id for v in vpcs}, set(self._balancers) - {b.id for b in balancers})
        self.update(vpcs, balancers)

    def update(self, vpcs: Sequence[Vpc], balancers: Sequence[Balancer]) -> None:
        self._vpcs |= {v.id: v for v in vpcs}
        self._balancers |= {b.id: b for b in balancers}
        self._gone -= {v.id for v in vpcs}
        self._ended -= {b.id for b in balancers}
        self._change()

    def remove(self, vpcs: set[str], balancers: set[str]) -> None:
        for id in vpcs:
            self._vpcs.pop(id, None)
        for id in balancers:
            self._balancers.pop(id, None)
            self._told.pop(id, None)
        self._gone |= vpcs
        self._ended |= balancers
        self._change()

    def _change(self) -> None:
        self._settled.clear()
        self._changed.set()

    def released(self) -> None:
        """Something has ended that used a VPC: one that is to go may go now."""
        if self._gone:
            self._changed.set()

    def subnet(self, vpc: str, subnet: str) -> str:
        """Its CIDR; "" for one that is not known."""
        known = self._vpcs.get(vpc)
        return next((s.cidr for s in known.subnets if s.id == subnet), "") if known else ""

    async def ready(self, vpc: str) -> None:
        """Returns when the VPC is as it is described now. Raises Permanent where there are no networks."""
        why = self._parts.network.available()
        if why:
            raise Permanent(f"awsvpc networking is not available on this machine: {why}")
        if vpc not in self._vpcs or self._built.get(vpc) != self._vpcs[vpc]:
            async with self._lock:  # which is held while load balancers are applied, too
                await self._build(vpc)

    async def _build(self, id: str) -> None:
        wanted = self._vpcs.get(id)
        if wanted is None:
            raise Temporary(f"nothing is known of {id} yet", 0.1)
        if self._built.get(id) != wanted:
            await self._parts.network.ensure_vpc(wanted)
            self._built[id] = wanted

    async def applied(self) -> None:
        """Returns when load balancers do as was last said, so that nothing is sent any more to a task that ends now; or
        after a while all the same. After a lost connection the end of a task and its target's come in one message."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._settled.wait()

    async def stop(self) -> None:
        """Nothing is built or applied from now on, whatever the server says: all of it is about to be removed."""
        self._stopped = True
        self._settled.set()
        async with self._lock:
            return

    # --- the loops
    async def run(self) -> None:
        """For ever: what changes is built, taken down, applied."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._converge()
                if not self._changed.is_set():
                    self._settled.set()
            except (Temporary, Permanent, Gone) as e:
                log.info("networks: %s", e)
                await asyncio.sleep(_RETRY)
                self._changed.set()

    async def _converge(self) -> None:
        if why := self._parts.network.available():
            self._fail_balancers(why)
            return
        async with self._lock:
            if self._stopped:
                return
            trouble = await self._build_all()
            trouble = await self._converge_balancers() or trouble
            await self._report()
            await self._take_down()
        if trouble:
            raise Temporary(trouble)

    async def _take_down(self) -> None:
        """Whoever needs one of them meanwhile waits, for it is not called built any more, and builds it anew."""
        for id in tuple(self._gone):
            if id in self._gone and id not in self._used():
                self._built.pop(id, None)
                await self._parts.network.remove_vpc(id)
                self._gone.discard(id)

    async def _build_all(self) -> str:
        """What is in use, and what was; one that cannot be built keeps none of the others. Says what went wrong."""
        trouble = ""
        for id in self._used() | {b.vpc for b in self._balancers.values()} | set(self._built):
            try:
                if id in self._vpcs:
                    await self._build(id)
            except (Temporary, Permanent, Gone) as e:
                trouble = f"{id}: {e}"
        return trouble

    async def _converge_balancers(self) -> str:
        """Addresses before the proxy binds them; the proxy lets go before they are taken away. Says what has to be tried
        again; that balancer goes on as it was."""
        trouble = ""
        self._failures.clear()
        for balancer in self._balancers.values():
            if self._running.get(balancer.id) == balancer:
                continue
            try:
                if balancer.vpc:  # one of no VPC answers on this machine only
                    await self._parts.network.add_balancer(balancer)
                self._running[balancer.id] = balancer
            except Permanent as e:
                self._failures[balancer.id] = e.reason
                self._running.pop(balancer.id, None)
            except Temporary as e:
                trouble = f"{balancer.id}: {e}"
        wanted = [self._guarded(self._running[id]) for id in self._balancers if id in self._running]
        namespaces = dict(self._parts.network.namespaces())
        if (wanted, namespaces) != self._applied:
            await self._parts.balancer.apply(wanted, namespaces)
            self._applied = (wanted, namespaces)
        for id in tuple(self._ended):
            await self._parts.network.remove_balancer(id)
            self._running.pop(id, None)
            self._ended.discard(id)
        return trouble

    def _guarded(self, balancer: Balancer) -> Balancer:
        vpc = self._vpcs.get(balancer.vpc)
        inner = inner_address(balancer.host_address) if balancer.host_address else ""
        return replace(guarded(balancer, vpc.security_groups if vpc else ()), inner_address=inner)

    def _fail_balancers(self, why: str) -> None:
        self._failures = dict.fromkeys(self._balancers, f"load balancers need this machine's networks: {why}")
        self._tell([])

    async def watch(self) -> None:
        """For ever: what the balancers say of their targets goes to the server when it changes."""
        async for _ in self._parts.balancer.changes():
            try:
                await self._report()
            except (Temporary, Permanent, Gone) as e:
                log.info("balancers: %s", e)

    async def _report(self) -> None:
        self._tell(await self._parts.balancer.status())

    def _tell(self, statuses: Sequence[BalancerStatus]) -> None:
        failed = [BalancerStatus(id, "failed", why) for id, why in self._failures.items()]
        known = [s for s in (*statuses, *failed) if s.id in self._balancers and self._told.get(s.id) != s]
        if known:
            self._told |= {s.id: s for s in known}
            self._parts.reports.report_balancers(known)

    def forget_told(self) -> None:
        """A new connection: tell everything again."""
        self._told.clear()
