"""What a function's sandbox is made of: its root file system, its code, its layers, what runs in it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from havre.engines.oci import archives
from havre.engines.oci.zygotes import PLAIN
from havre.engines.sandbox import Sources
from havre.kernel import runtimes
from havre.kernel.errors import Permanent, Temporary
from havre.kernel.function import Code, Function

if TYPE_CHECKING:
    from havre.engines.oci.images import Images

_SKELETON = ("dev", "etc", "mnt", "opt", "proc", "sys", "tmp", "var/task", "var/rapid")
_HOSTS = "127.0.0.1\tlocalhost\n127.0.0.1\tsandbox sandbox.localdomain\n"
"""Extensions take telemetry at the second name."""
_PYTHONS = "python"
_SHORT = 12


class Plan(msgspec.Struct, frozen=True):
    """``lower``: directories of the root file system, the top first, as seen from where images are.
    ``kind`` is what its sandboxes are forked from. ``arguments`` and ``environment`` are what its image says; ``version``
    is that of the managed runtime, "" for images."""

    lower: tuple[str, ...]
    kind: str
    task: str = ""
    opt: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    version: str = ""
    directory: str = "/var/task"


class Roots:
    """``directory`` is the engine's own; ``built`` is where runtimes are that were built here."""

    def __init__(self, directory: Path, built: Path, sources: Sources) -> None:
        self.directory = directory
        self._built = built
        self._sources = sources
        self._under_way: dict[str, asyncio.Future[None]] = {}
        self._plans: dict[str, Plan] = {}
        self._uses: dict[str, set[str]] = {}
        """Function → digests of its archives."""
        self._left: set[str] = set()
        """Digests of those that were forgotten."""

    @cached_property
    def images(self) -> Images:
        """Loaded when there is one: what it takes to pull is of no use to archives."""
        from havre.engines.oci.images import Images

        return Images(self.directory / "images", self._sources)

    # --- what all sandboxes share

    @property
    def stage(self) -> Path:
        return self.directory / "stage"

    @property
    def held(self) -> Path:
        """Where sandboxes mount a disk before they know whose they are."""
        return self.directory / "held"

    @property
    def empty(self) -> Path:
        return self.directory / "empty"

    def settle(self, resolvers: list[str]) -> None:
        """The directories that sandboxes are put together from. Raises OSError."""
        for path in (
            self.directory,
            self.stage,
            self.held,
            self.empty,
            self.directory / "code",
            self.directory / "images",
            self._skeleton,
        ):
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
            path.chmod(0o755)
        self.directory.chmod(0o700)  # programs of images, with whatever rights they say, are for nobody on this machine
        self.empty.chmod(0o555)
        for left in (*self.directory.glob("code/.*"), *self.directory.glob("images/.unpacking-*")):
            shutil.rmtree(left, ignore_errors=True)  # of a life that was killed
        for name in _SKELETON:
            archives.directory(self._skeleton / name)
        for name, text in (("hosts", _HOSTS), ("resolv.conf", "".join(f"nameserver {r}\n" for r in resolvers))):
            path = self._skeleton / "etc" / name
            path.write_text(text)
            path.chmod(0o644)

    @property
    def _skeleton(self) -> Path:
        return self.directory / "skeleton"

    def built(self, runtime: str) -> Path:
        return runtimes.root_of(self._built, runtime).resolve()

    # --- plans

    async def plan(self, function: Function) -> Plan:
        """With everything there that it names. Raises Permanent, Temporary."""
        known = self._plans.get(function.id)
        if known is None:
            try:
                known = await self._made(function)
            except OSError as error:
                raise Temporary(f"the files of {function.name} cannot be prepared: {error}") from error
            self._plans[function.id] = known
        return known

    async def _made(self, function: Function) -> Plan:
        if function.code.kind == "image":
            return await self._of_image(function)
        base = await self._base(function.runtime, function.handler)
        code, *layers = await asyncio.gather(*(self._files(c) for c in (function.code, *function.layers)))
        self._uses[function.id] = {c.digest for c in (function.code, *function.layers) if c.digest}
        return msgspec.structs.replace(base, task=str(code), opt=tuple(str(layer) for layer in reversed(layers)))

    async def _base(self, runtime: str, handler: str) -> Plan:
        """The runtime as it was made here, else AWS's own image of it."""
        image = runtimes.base_image(runtime)
        if not image:
            raise Permanent(f"there is no runtime {runtime!r}")
        root = self.built(runtime)
        if root.is_dir():
            return self._of_built(runtime, root, handler)
        try:
            pulled = await self.images.pull(image, "")
        except (Permanent, Temporary) as error:
            remedy = f"this makes one: {runtimes.how_to_make(runtime)}"
            raise Permanent(f"the runtime {runtime} is not on this machine: {image}: {error}; {remedy}") from error
        lower = (str(self._skeleton), *pulled.layers)
        version = runtimes.version_of(runtime, (pulled.digest or pulled.layers[0]).removeprefix("sha256:")[:_SHORT])
        arguments = (runtimes.entry_point(runtime),)
        return Plan(lower, PLAIN, arguments=arguments, environment=pulled.environment, version=version)

    def _of_built(self, runtime: str, root: Path, handler: str) -> Plan:
        """Interpreters are warmed up in those that were built of packages: their start is known."""
        lower = (str(self._skeleton), str(root))
        version = runtimes.version_of(runtime, root.parent.name.rpartition("-")[2])
        image = runtimes.made_from(self._built, runtime)
        if image is None:
            kind = runtime if runtime.startswith(_PYTHONS) else PLAIN
            return Plan(lower, kind, arguments=(runtimes.entry_point(runtime),), version=version)
        own = (*image.entry_point, handler) if image.entry_point else (runtimes.entry_point(runtime),)
        return Plan(lower, PLAIN, arguments=own, environment=image.environment, version=version)

    async def _of_image(self, function: Function) -> Plan:
        image = await self.images.pull(function.code.image, function.code.digest)
        entry = image.entry_point if function.entry_point is None else function.entry_point
        command = image.command if function.command is None else function.command
        if not (*entry, *command):
            raise Permanent(f"the image {function.code.image} has neither ENTRYPOINT nor CMD")
        return Plan(
            (str(self._skeleton), *image.layers),
            PLAIN,
            arguments=(*entry, *command),
            environment=image.environment,
            directory=function.working_directory or image.directory or "/",
        )

    async def _files(self, code: Code) -> Path:
        if code.kind == "directory":
            if not _is_there(Path(code.path)):
                raise Permanent(f"there is no directory {code.path} on this machine")
            return Path(code.path)
        target = self.directory / "code" / code.digest
        await self._once(code.digest, lambda: self._unpacked(code, target))
        return target

    async def _unpacked(self, code: Code, target: Path) -> None:
        if not _is_there(target):
            archive = await self._sources.archive(code)
            try:
                await asyncio.to_thread(archives.unpack, archive, target)
            finally:
                if code.sealed:
                    archive.unlink(missing_ok=True)

    async def _once(self, key: str, work: Callable[[], Awaitable[None]]) -> None:
        """Whoever comes while it is under way waits for the same."""
        running = self._under_way.get(key)
        if running is not None:
            await asyncio.shield(running)
            return
        done = self._under_way[key] = asyncio.get_running_loop().create_future()
        try:
            await work()
        except BaseException as error:
            done.set_exception(error if isinstance(error, Exception) else Temporary("it was given up"))
            done.exception()  # somebody else may wait for it, or nobody
            raise
        else:
            done.set_result(None)
        finally:
            del self._under_way[key]

    # --- the end

    async def forget(self, functions: set[str], in_use: set[str]) -> None:
        """``in_use``: directories that sandboxes have mounted; they go another time."""
        for id in functions:
            self._plans.pop(id, None)
            self._left |= self._uses.pop(id, set())
        for digest in self._left.difference(*self._uses.values()):
            path = self.directory / "code" / digest
            if str(path) not in in_use:
                self._left.discard(digest)
                with suppress(OSError):
                    gone = path.rename(path.with_name(f".gone-{digest}"))  # nobody finds half of it
                    await asyncio.to_thread(shutil.rmtree, gone)


def _is_there(directory: Path) -> bool:
    return directory.is_dir()


def escaped(path: str) -> str:
    """As overlayfs reads a list of directories."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")
