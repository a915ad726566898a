"""What goes into each runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.resources import files

SUITE = "bookworm"
_AWSLAMBDARIC = "awslambdaric==4.2.2"
_BOTO3 = "boto3==1.44.5"
_NODE_CLIENT = "aws-lambda-ric@3.3.0"
_PATH = "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"
LIBRARIES = "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"


@dataclass(frozen=True)
class Recipe:
    """``packages`` are Debian's; ``wheels`` and ``modules`` go to /var/runtime by pip and npm; ``tools`` are packages
    that only building the modules needs. ``scripts``: path in the root → file of this package. ``links``: path → target."""

    name: str
    tag: str
    packages: tuple[str, ...]
    wheels: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    scripts: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    entry_point: tuple[str, ...] = ()

    def script(self, name: str) -> str:
        return files("havre.cli.runtimes").joinpath("files", name).read_text()

    @property
    def version(self) -> str:
        """Another one whenever anything that goes in has changed."""
        texts = [repr(self), *(self.script(name) for name in sorted(self.scripts.values()))]
        return sha256("\n".join(texts).encode()).hexdigest()[:12]


_ENVIRONMENT = {
    "LANG": "en_US.UTF-8",
    "TZ": ":/etc/localtime",
    "PATH": _PATH,
    "LD_LIBRARY_PATH": LIBRARIES,
    "LAMBDA_TASK_ROOT": "/var/task",
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
}
_LOCALE = {"/usr/lib/locale/en_US.utf8": "C.utf8"}
"""The name of the locale that functions run in as AWS has it; Debian's own would bring every locale's sources along."""
_ENTRY = {"/lambda-entrypoint.sh": "lambda-entrypoint.sh"}
_PYTHON = Recipe(
    "python3.11",
    "havre/lambda-python:3.11",
    ("python3.11", "python3-pip", "ca-certificates", "tzdata"),
    wheels=(_AWSLAMBDARIC, _BOTO3),
    scripts={
        **_ENTRY,
        "/var/runtime/bootstrap": "python-bootstrap.sh",
        "/var/runtime/bootstrap.py": "python_bootstrap.py",
    },
    links={
        **_LOCALE,
        "/var/lang/bin/python3.11": "/usr/bin/python3.11",
        "/var/lang/bin/python3": "python3.11",
        "/var/lang/bin/python": "python3.11",
        "/var/lang/bin/pip": "/usr/bin/pip3",
        "/var/lang/bin/pip3": "/usr/bin/pip3",
    },
    environment=_ENVIRONMENT,
    entry_point=("/lambda-entrypoint.sh",),
)
_NODE = Recipe(
    "nodejs18.x",
    "havre/lambda-nodejs:18",
    ("nodejs", "ca-certificates", "tzdata"),
    modules=(_NODE_CLIENT,),
    tools=("npm", "cmake", "g++", "make", "autoconf", "automake", "libtool", "pkg-config", "libnode-dev", "python3"),
    scripts={
        **_ENTRY,
        "/var/runtime/bootstrap": "node-bootstrap.sh",
        "/var/runtime/index.mjs": "node-index.mjs",
    },
    links={**_LOCALE, "/var/lang/bin/node": "/usr/bin/node"},
    environment=_ENVIRONMENT,
    entry_point=("/lambda-entrypoint.sh",),
)
_PROVIDED = {
    name: Recipe(
        name,
        "havre/lambda-provided:" + name.partition(".")[2],
        ("ca-certificates", "tzdata", "curl"),
        scripts={**_ENTRY, "/var/runtime/bootstrap": "provided-bootstrap.sh"},
        links=_LOCALE,
        environment=_ENVIRONMENT,
        entry_point=("/lambda-entrypoint.sh",),
    )
    for name in ("provided.al2023", "provided.al2")
}
RECIPES: Mapping[str, Recipe] = {_PYTHON.name: _PYTHON, _NODE.name: _NODE, **_PROVIDED}
