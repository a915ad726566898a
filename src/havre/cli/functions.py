"""``havre lambda …``: what developers of functions type."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from havre.cli.options import default_state

if TYPE_CHECKING:
    from havre.cli.aws import Clients

app = typer.Typer(
    name="lambda", help="Functions: runtimes, invocations, logs.", no_args_is_help=True, rich_markup_mode="markdown"
)


@app.command(
    "build-runtime",
    epilog="Examples: `sudo havre lambda build-runtime python3.11` · `… nodejs22.x` · `… java21` · "
    "`… dotnet8 --from-image public.ecr.aws/lambda/dotnet:8`",
)
def build_runtime(
    runtime: Annotated[str, typer.Argument(help="A managed runtime's identifier, as in CreateFunction.")],
    from_image: Annotated[
        str, typer.Option("--from-image", metavar="IMAGE", help="Of the local Docker Engine, else of its registry.")
    ] = "",
    again: Annotated[bool, typer.Option("--again", help="Make it anew although it is there.")] = False,
) -> None:
    """Make a runtime from Debian's packages, PyPI and npm, where AWS's images cannot be pulled; or any from its image."""
    from havre.cli.runtimes.build import build
    from havre.cli.runtimes.doing import BuildError
    from havre.cli.runtimes.from_image import build_from

    try:
        if from_image:
            root = build_from(runtime, from_image, os.environ, typer.echo, again=again)
        else:
            root = build(runtime, os.environ, typer.echo, again=again)
    except BuildError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{runtime}: {root}")


State = Annotated[
    Path | None,
    typer.Option(
        "--state", metavar="DIR", help="The instance's state directory.", show_default="as for every other command"
    ),
]


@app.command(
    epilog="""Examples: `havre lambda invoke hello '{"name": "you"}'` · `… hello @event.json` · `… hello - < event.json`"""
)
def invoke(
    name: Annotated[str, typer.Argument(help="The function: its name or ARN.")],
    payload: Annotated[str, typer.Argument(help="JSON, @file, or - for standard input.")] = "{}",
    qualifier: Annotated[str, typer.Option(help="A version or an alias.")] = "",
    tenant: Annotated[str, typer.Option(help="Its tenant, of a function with tenant isolation.")] = "",
    asynchronous: Annotated[bool, typer.Option("--async", help="Queue it, and do not wait.")] = False,
    state: State = None,
) -> None:
    """Invoke a function: its answer goes to stdout, its log and its error with the trace to stderr. Exit 1 if it failed."""
    from havre.cli.developing.invoke import invoke as run
    from havre.cli.developing.invoke import read_payload

    with _told("invoke"):
        data = read_payload(payload)
        given = {"Qualifier": qualifier, "TenantId": tenant}
        raise typer.Exit(run(_clients(state), name, data, given, asynchronous=asynchronous))


@app.command(
    epilog="Examples: `havre lambda logs hello --follow` · `havre lambda logs hello --since 2h --filter ERROR`"
)
def logs(
    name: Annotated[str, typer.Argument(help="The function: its name or ARN.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it writes more.")] = False,
    since: Annotated[str, typer.Option(help="How far back: 90s, 10m, 2h, 1d.")] = "10m",
    pattern: Annotated[str, typer.Option("--filter", help="A CloudWatch Logs filter pattern.")] = "",
    state: State = None,
) -> None:
    """Show what a function wrote."""
    from havre.cli.developing import logs as module

    with _told("logs"):
        back = module.since(since)
        raise typer.Exit(module.logs(_clients(state), name, pattern=pattern, back=back, follow=follow))


@app.command(
    epilog="Examples: `havre lambda dev .` · `havre lambda dev src --handler app.main --env TABLE=t --debug-port 5678`"
)
def dev(  # noqa: PLR0913  each is an option
    directory: Annotated[Path, typer.Argument(help="Where the code is.", exists=True, file_okay=False)],
    name: Annotated[str, typer.Option(help="The function's name.", show_default="the directory's")] = "",
    handler: Annotated[str, typer.Option(help="As in CreateFunction.")] = "app.handler",
    runtime: Annotated[str, typer.Option(help="As in CreateFunction.")] = "python3.11",
    memory: Annotated[int, typer.Option(help="MiB.")] = 512,
    timeout: Annotated[int, typer.Option(help="Seconds.")] = 30,
    env: Annotated[list[str] | None, typer.Option("--env", metavar="NAME=VALUE", help="May be repeated.")] = None,
    debug_port: Annotated[int, typer.Option(help="A port of the function's, reachable on 127.0.0.1.")] = 0,
    state: State = None,
) -> None:
    """Make a function out of a directory and show its log: a saved file is live at the next invocation."""
    from havre.cli.developing import dev as module

    whole = directory.absolute()
    with _told("dev"):
        wanted = module.Wanted(
            name=name or whole.name,
            directory=whole,
            handler=handler,
            runtime=runtime,
            memory=memory,
            timeout=timeout,
            environment=_pairs(env or ()),
            debug_port=debug_port,
        )
        raise typer.Exit(module.dev(_clients(state), wanted))


def _pairs(given: Sequence[str]) -> dict[str, str]:
    """Raises ValueError."""
    if wrong := [each for each in given if not each.partition("=")[1]]:
        raise ValueError(f"--env {wrong[0]}: it is written NAME=VALUE")
    return {name: value for name, _, value in (each.partition("=") for each in given)}


def _clients(state: Path | None) -> Clients:
    """Raises NotRunning."""
    from havre.cli.aws import Clients

    return Clients((state or Path(default_state())).absolute())


@contextmanager
def _told(command: str) -> Iterator[None]:
    """What is wrong with what was typed (exit 2, as of all that is typed wrong), or that nothing runs (1), in a line."""
    from havre.cli.client import NotRunning

    try:
        yield
    except (ValueError, NotRunning) as error:
        typer.echo(f"havre lambda {command}: {error}", err=True)
        raise typer.Exit(2 if isinstance(error, ValueError) else 1) from None
