"""The commands. Each says in its help how it is typed; each answers as JSON when asked with --json."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

import typer

from havre.cli.functions import app as functions
from havre.cli.options import DEFAULT_ACCOUNT, DEFAULT_PORT, DEFAULT_REGION, ENGINES, UpOptions, default_state
from havre.cli.tasks import app as tasks

app = typer.Typer(
    name="havre",
    help="Container as a Service, wire-compatible with AWS, on machines of one's own.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.add_typer(functions)
app.add_typer(tasks)

State = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="DIR",
        help="Where everything of this instance is kept.",
        show_default="$HAVRE_STATE, or /var/lib/havre for root, ~/.local/share/havre for others",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]


def _among(words: Iterable[str]) -> Callable[[str], list[str]]:
    """What the shell completes a value from."""
    known = list(words)
    return lambda incomplete: [word for word in known if word.startswith(incomplete)]


def _services(incomplete: str) -> list[str]:
    from havre.services.catalogue import NAMES

    return _among(NAMES)(incomplete)


def _version(wanted: bool) -> None:
    if wanted:
        from havre import __version__

        typer.echo(f"Havre {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Container as a Service, wire-compatible with AWS, on machines of one's own."""


def _state(state: Path | None) -> Path:
    return (state or Path(default_state())).absolute()


@app.command(epilog="Examples: `havre up` · `havre up --detach --port 4567 --state ./state` · `havre up --auth open`")
def up(  # noqa: PLR0913  one for each option
    state: State = None,
    port: Annotated[int, typer.Option(help="The port of the AWS endpoint and of the registry.")] = DEFAULT_PORT,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    region: Annotated[str, typer.Option(help="The region of clients that name none.")] = DEFAULT_REGION,
    account: Annotated[str, typer.Option(help="The account of the root credentials.")] = DEFAULT_ACCOUNT,
    auth: Annotated[
        str,
        typer.Option(
            help="strict: signatures and policies are checked; open: any credentials.",
            autocompletion=_among(("strict", "open")),
        ),
    ] = "strict",
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return as soon as it is ready.")] = False,
    tls: Annotated[bool, typer.Option("--tls", help="Answer HTTPS at the same port, too (see `havre ca`).")] = False,
    engine: Annotated[
        str,
        typer.Option(
            help="What tasks run on: docker, a Docker Engine; oci, crun and conmon (Linux, root).",
            show_default="what the state has run on; docker",
            autocompletion=_among(ENGINES),
        ),
    ] = "",
) -> None:
    """Start Havre, in the foreground unless --detach is given."""
    from havre.cli.up import up as run

    raise typer.Exit(run(UpOptions(str(_state(state)), port, host, region, account, auth, detach, engine, tls)))


@app.command(epilog="Examples: `havre down` · `havre down --keep` (tasks run on, the next `havre up` finds them)")
def down(
    state: State = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave tasks, networks and load balancers running.")] = False,
) -> None:
    """Stop Havre, and with it every task, network and rule that it made. What was created is kept in --state."""
    from havre.cli.down import down as run

    raise typer.Exit(run(_state(state), keep=keep))


@app.command(epilog='Example: `eval "$(havre env)"` and then any `aws` command.')
def env(
    state: State = None,
    as_json: Json = False,
    fish: Annotated[bool, typer.Option("--fish", help="For the fish shell.")] = False,
) -> None:
    """Print the environment that AWS clients need: endpoint, region, root credentials."""
    from havre.cli.environment import show

    raise typer.Exit(show(_state(state), as_json=as_json, fish=fish))


@app.command(
    epilog='Example: `curl --cacert "$(havre ca)" https://www.example.com --resolve www.example.com:443:127.0.0.1`'
)
def ca(state: State = None, as_json: Json = False) -> None:
    """Print where the certificate is by which clients trust what ACM issues here."""
    from havre.cli.authority import show

    raise typer.Exit(show(_state(state), as_json=as_json))


@app.command(epilog="Examples: `havre status` · `havre status --json | jq .tables.Services`")
def status(state: State = None, as_json: Json = False) -> None:
    """Show what runs: processes, the node, services, tasks, load balancers with their URLs."""
    from havre.cli.status import show

    raise typer.Exit(show(_state(state), as_json=as_json))


@app.command(epilog="Example: `havre explain arn:aws:ecs:us-east-1:000000000000:service/default/web`")
def explain(
    arn: Annotated[str, typer.Argument(help="The ARN of a service, task, load balancer or anything else that runs.")],
    state: State = None,
    as_json: Json = False,
) -> None:
    """Say in words why something is as it is: why it is not running, what it waits for."""
    from havre.cli.status import explain as run

    raise typer.Exit(run(_state(state), arn, as_json=as_json))


@app.command(epilog="Examples: `havre coverage` · `havre coverage ecs`")
def coverage(
    service: Annotated[
        str | None, typer.Argument(help="Only this service, operation by operation.", autocompletion=_services)
    ] = None,
    as_json: Json = False,
) -> None:
    """List which AWS operations are built, and what is accepted with a limited effect."""
    from havre.cli.coverage import show

    raise typer.Exit(show(service, as_json=as_json))


@app.command(epilog="Examples: `havre doctor` · `sudo havre doctor --fix`")
def doctor(
    fix: Annotated[
        bool, typer.Option("--fix", help="Install and start what is missing (Debian and its like; root).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what this machine has and lacks, and what each lack costs."""
    from havre.cli.doctor import examine

    raise typer.Exit(examine(fix=fix, as_json=as_json))


@app.command(epilog="Example: `havre demo` (or `make demo`, which installs what is missing first)")
def demo(
    state: Annotated[Path, typer.Option("--state", metavar="DIR", help="An instance of its own.")] = Path(
        ".state/demo"
    ),
    port: Annotated[int, typer.Option(help="0 takes 4566, or the next free one.")] = 0,
    down_after: Annotated[bool, typer.Option("--down", help="Stop everything at the end.")] = False,
    engine: Annotated[
        str,
        typer.Option(help="What tasks run on: docker, or oci (crun and conmon).", autocompletion=_among(ENGINES)),
    ] = "",
) -> None:
    """An image behind a load balancer, updated, broken, killed; then a function. With the AWS CLI and docker."""
    from havre.cli.demo import run

    raise typer.Exit(run(state.absolute(), port, engine=engine, down_after=down_after))
