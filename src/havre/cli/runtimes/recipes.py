"""What goes into each runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

BOOKWORM, TRIXIE, FORKY = "bookworm", "trixie", "forky"
_BASE = ("ca-certificates", "tzdata")
_PATH = "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"
LIBRARIES = "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"


@dataclass(frozen=True)
class Package:
    """One of npm's: ``integrity`` is its archive's digest, as npm writes it."""

    name: str
    version: str
    integrity: str


@dataclass(frozen=True)
class Recipe:
    """``suite`` and ``packages`` are Debian's; ``requirements`` has what comes by pip (directory → file of this package),
    ``locked`` (a lock file) and ``modules`` what goes to /var/runtime/node_modules by npm, ``node`` Node.js itself for each
    machine. ``scripts``: path in the root → file of this package, with ``words`` put in; ``finish`` is the one that runs
    in the finished root. ``links``: path → target."""

    name: str
    tag: str
    packages: tuple[str, ...] = ()
    suite: str = BOOKWORM
    requirements: Mapping[str, str] = field(default_factory=dict)
    locked: tuple[str, ...] = ()
    modules: tuple[Package, ...] = ()
    node: Mapping[str, Package] = field(default_factory=dict)
    scripts: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    finish: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    entry_point: tuple[str, ...] = ("/lambda-entrypoint.sh",)

    def script(self, name: str) -> str:
        text = files("havre.cli.runtimes").joinpath("files", name).read_text()
        for word, value in self.words.items():
            text = text.replace(f"@{word}@", value)
        return text

    @property
    def version(self) -> str:
        """Another one whenever anything that goes in has changed."""
        names = {*self.scripts.values(), *self.locked, *self.requirements.values(), self.finish} - {""}
        texts = [repr(self), *(self.script(name) for name in sorted(names))]
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


def _python(version: str, suite: str) -> Recipe:
    """With PyPI's pip, for Dockerfiles that begin from it: Debian's is for one version, and brings a hundred packages."""
    names = (f"python{version}", "python3", "python")
    return Recipe(
        f"python{version}",
        f"havre/lambda-python:{version}",
        (f"python{version}", *_BASE),
        suite,
        requirements={
            "/var/runtime": "python-requirements.txt",
            "/usr/lib/python3/dist-packages": "pip-requirements.txt",
        },
        scripts={
            **_ENTRY,
            "/var/lang/bin/pip": "pip.sh",
            "/var/lang/bin/pip3": "pip.sh",
            "/var/runtime/bootstrap": "python-bootstrap.sh",
            "/var/runtime/bootstrap.py": "python_bootstrap.py",
        },
        words={"VERSION": version},
        finish="python-finish.sh",
        links={
            **_LOCALE,
            **{f"/var/lang/bin/{name}": f"/usr/bin/python{version}" for name in names},
        },
        environment=_ENVIRONMENT,
    )


_CLIENT_3 = Package(
    "aws-lambda-ric",
    "3.3.0",
    "sha512-9p06TbKVK4a050NY/vYOxhMHvnIiUu5o1W0//q6yNLSqA/c91pn4BOj3C3sRTpplkUNsGJdU5qWyU2STo6L8hA==",
)
"""For as long as AWS's runtimes take handlers with a callback: up to Node.js 22."""
_CLIENT_4 = Package(
    "aws-lambda-ric",
    "4.0.2",
    "sha512-FE5Vskx7mYNnqAnWWJXUOsLp2VGgdsJsCoRLFTa8L4Yk0QVtArqR8q58yPA++QC1a73ZWJXBQ2AH31nIAv7NOQ==",
)
_NODES = {
    "20": (
        "20.20.2",
        "PeHQM8wAdmHtZA1mBocygZxs5LiUWtsJezQTkBd0iY987KpGrD1O2tVEydvMZiuXceRanxt7rjTnDEBwOPujoQ==",
        "LCXJnNTFiyGuYBw2gZSI5OBFMbkjAPt8sqD/NKrWoE2QmDgSubTqFng6GaNJ9EJ8HpxBMGcWWpbbcs4Vo+CnGg==",
    ),
    "22": (
        "22.23.3",
        "qHnz5tFsHoj/WM+uRENVjWONi5hVvmwrgq8A4V76KpuVNAc4+jwK8x4gwbobE9BtHNg/AKR2583eYorLF/c7ng==",
        "l3DAHZreylo+p9QXDtsOrjG2JXJqVzYXnAGmIQNOUNARcMppTO2cmewVQP+36tjJnSE+dzpMNtgW+c3oiDvXtA==",
    ),
    "24": (
        "24.21.0",
        "3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==",
        "FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==",
    ),
    "26": (
        "26.10.0",
        "OmAztarr1gK4PD+sNyoku4N5Q40d8eqMuLjNa/zRvxF33aCsVKVIQLs4V5HYPWSWWlMiTdkmbZE/6Phigma0hw==",
        "idArV/cmqW9M9ODyGlbOIiyxFourDh1mJB0SdKCdMbSZjjef9CLEN3o1/eE4yf+B0+5BD+F74MpTTHiB3XXTBQ==",
    ),
}
"""Major version → version, and the digest of its archive for x86_64 and aarch64."""


_FOR_MODULES = {"/var/node_modules": "/opt/nodejs/node_modules", "/node_modules": "/var/runtime/node_modules"}
"""ES modules are not looked for in NODE_PATH, but in the directories above the function's: layers first, then the SDK."""


def _node(major: str) -> Recipe:
    version, *digests = _NODES[major]
    by_callback = int(major) < 24
    client = "/var/runtime/node_modules/aws-lambda-ric/" + ("dist/" if by_callback else "") + "rapid-client.node/"
    machines = zip((("x86_64", "x64"), ("aarch64", "arm64")), digests, strict=True)
    return Recipe(
        f"nodejs{major}.x",
        f"havre/lambda-nodejs:{major}",
        _BASE if int(major) < 26 else (*_BASE, "libatomic1"),
        locked=("node/package.json", "node/package-lock.json"),
        modules=(_CLIENT_3 if by_callback else _CLIENT_4,),
        node={name: Package(f"node-linux-{npm}", version, f"sha512-{digest}") for (name, npm), digest in machines},
        scripts={
            **_ENTRY,
            "/var/runtime/bootstrap": "node-bootstrap.sh",
            "/var/runtime/index.mjs": "node-index-called.mjs" if by_callback else "node-index-imported.mjs",
            client + "package.json": "rapid-client.json",
            client + "rapid-client.cjs": "rapid-client.cjs",
        },
        words={"VERSION": major, "EXPERIMENTS": "require-module detect-module" if by_callback else ""},
        links={**_LOCALE, **_FOR_MODULES},
        environment=_ENVIRONMENT,
    )


def _ruby(version: str, suite: str) -> Recipe:
    client = ("start", "api", "context", "failures", "lines")
    return Recipe(
        f"ruby{version}",
        f"havre/lambda-ruby:{version}",
        (f"ruby{version}", *_BASE),
        suite,
        scripts={
            **_ENTRY,
            "/var/runtime/bootstrap": "ruby-bootstrap.sh",
            **{f"/var/runtime/lib/lambda_client/{name}.rb": f"ruby/{name}.rb" for name in client},
        },
        words={"VERSION": version},
        links={**_LOCALE, "/var/lang/bin/ruby": f"/usr/bin/ruby{version}"},
        environment=_ENVIRONMENT,
    )


_JACKSON = tuple(f"/usr/share/java/jackson-{part}.jar" for part in ("core", "annotations", "databind"))


def _java(name: str, version: str, suite: str) -> Recipe:
    """Compiled by what is in the runtime itself: Debian's has the compiler's module."""
    return Recipe(
        name,
        f"havre/lambda-java:{name.removeprefix('java')}",
        (f"openjdk-{version}-jre-headless", "libjackson2-databind-java", *_BASE),
        suite,
        scripts={
            **_ENTRY,
            "/var/runtime/bootstrap": "java-bootstrap.sh",
            **{f"/var/runtime/src/{path}": f"java/{path}" for path in _sources("java")},
        },
        words={"NAME": name, "CLASSES": ":".join(("/var/runtime/lib/client.jar", *_JACKSON))},
        finish="java-finish.sh",
        links={**_LOCALE, "/var/lang/bin/java": "/usr/bin/java"},
        environment=_ENVIRONMENT,
    )


def _sources(directory: str) -> list[str]:
    """Paths in it of all files."""

    def below(at: Traversable, path: str) -> Iterator[str]:
        for each in at.iterdir():
            yield from below(each, f"{path}{each.name}/") if each.is_dir() else (path + each.name,)

    return sorted(below(files("havre.cli.runtimes").joinpath("files", directory), ""))


def _provided(name: str) -> Recipe:
    return Recipe(
        name,
        "havre/lambda-provided:" + name.partition(".")[2],
        (*_BASE, "curl"),
        scripts={**_ENTRY, "/var/runtime/bootstrap": "provided-bootstrap.sh"},
        links=_LOCALE,
        environment=_ENVIRONMENT,
    )


_JAVAS = (
    ("java17", "17", BOOKWORM),
    ("java17.al2023", "17", BOOKWORM),
    ("java21", "21", TRIXIE),
    ("java25", "25", TRIXIE),
)


def _recipes() -> list[Recipe]:
    pythons = [_python(*of) for of in (("3.11", BOOKWORM), ("3.13", TRIXIE), ("3.14", FORKY), ("3.15", FORKY))]
    nodes = [_node(major) for major in _NODES]
    javas = [_java(*of) for of in _JAVAS]
    rubies = [_ruby("3.3", TRIXIE)]
    return [*pythons, *nodes, *javas, *rubies, *(_provided(name) for name in ("provided.al2023", "provided.al2"))]


RECIPES: Mapping[str, Recipe] = {recipe.name: recipe for recipe in _recipes()}
