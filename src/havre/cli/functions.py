"""``havre lambda …``: what developers of functions type."""

from __future__ import annotations

import os
from typing import Annotated

import typer

app = typer.Typer(
    name="lambda", help="Functions: runtimes, invocations, logs.", no_args_is_help=True, rich_markup_mode="markdown"
)


@app.command(
    "build-runtime",
    epilog="Examples: `sudo havre lambda build-runtime python3.11` · `… nodejs18.x` · `… provided.al2023`",
)
def build_runtime(
    runtime: Annotated[str, typer.Argument(help="A managed runtime's identifier, as in CreateFunction.")],
    again: Annotated[bool, typer.Option("--again", help="Make it anew although it is there.")] = False,
) -> None:
    """Make a runtime from Debian packages and AWS's runtime interface client, where AWS's base images cannot be pulled."""
    from havre.cli.runtimes.build import BuildError, build

    try:
        root = build(runtime, os.environ, typer.echo, again=again)
    except BuildError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{runtime}: {root}")
