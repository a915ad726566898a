"""The interpreter of a runtime, warmed up: modules that functions use are imported before there is a function."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

API = "127.0.0.1:9001"
NEEDED = (
    "awslambdaric awslambdaric.bootstrap awslambdaric.lambda_config awslambdaric.lambda_runtime_client"
    " runpy importlib json logging"
)
USUAL = (
    "asyncio base64 collections concurrent.futures contextlib copy csv dataclasses datetime decimal enum functools gzip"
    " hashlib hmac http.client io itertools math operator pathlib random re secrets shutil ssl string subprocess tempfile"
    " threading typing urllib.parse urllib.request uuid boto3"
)
FORMATTED = ("AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_LOG_LEVEL")
"""Variables that the interface client reads when it is imported."""


class Advance:
    """Modules that are imported in advance. ``early``: those that a cold start has, too. Others may have to give way to the
    function's own; they are found by their first names, for whatever is looked at becomes memory of the child's own."""

    def __init__(self) -> None:
        self.bootstrap: Any = None
        self.modules: dict[str, list[str]] = {}
        self.packages: list[str] = []
        """Those that came with the runtime and not with Python: they go together."""

    def warm_up(self) -> None:
        os.environ["AWS_LAMBDA_RUNTIME_API"] = API
        self.bootstrap = importlib.import_module("bootstrap")
        del sys.modules["bootstrap"]
        self.bring(NEEDED)
        early = set(sys.modules)
        self.bring(USUAL)
        for name in set(sys.modules) - early:
            self.modules.setdefault(name.partition(".")[0], []).append(name)
            if (getattr(sys.modules[name], "__file__", None) or "").startswith("/var/runtime"):
                self.packages.append(name)
        gc.collect()
        gc.freeze()

    def bring(self, names: str) -> None:
        for name in names.split():
            try:
                importlib.import_module(name)
            except ImportError:
                continue

    def run(self, environment: dict[str, str]) -> None:
        """What /var/runtime/bootstrap does. ``random`` was seeded anew by the fork."""
        os.environ.clear()
        os.environ.update(environment)
        time.tzset()
        if any(name in environment for name in FORMATTED):
            del sys.modules["awslambdaric.bootstrap"]
            delattr(sys.modules["awslambdaric"], "bootstrap")
        self.give_way([path for path in self.bootstrap.paths([]) if path != "/var/runtime"])
        self.bootstrap.main()

    def give_way(self, paths: list[str]) -> None:
        """Forget what was imported in advance and the function brings itself."""
        shadowed: list[str] = []
        for path in paths:
            try:
                for name in os.listdir(path):
                    shadowed += self.modules.get(name.partition(".")[0], ())
            except OSError:
                continue
        if any(name in self.packages for name in shadowed):
            shadowed += self.packages
        for name in shadowed:
            sys.modules.pop(name, None)
