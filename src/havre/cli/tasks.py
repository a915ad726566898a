"""``havre ecs …``: what people who look after tasks type."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from havre.cli.options import default_state

app = typer.Typer(
    name="ecs", help="Tasks: a terminal in a container.", no_args_is_help=True, rich_markup_mode="markdown"
)


@app.command(
    "exec",
    epilog="Examples: `havre ecs exec 74cf2ae0…` · `havre ecs exec --cluster shop --container web TASK ls -l /` · "
    "`havre ecs exec TASK < script.sh`",
    context_settings={"allow_interspersed_args": False},  # what follows the task is the command's
)
def execute(
    task: Annotated[str, typer.Argument(help="The task: its id or ARN.")],
    command: Annotated[list[str] | None, typer.Argument(help="What to run.", show_default="sh")] = None,
    cluster: Annotated[str, typer.Option(help="Its name or ARN.", show_default="that of the ARN, or default")] = "",
    container: Annotated[str, typer.Option(help="Needed where the task has several.")] = "",
    state: Annotated[
        Path | None,
        typer.Option(
            "--state", metavar="DIR", help="The instance's state directory.", show_default="as for every other command"
        ),
    ] = None,
) -> None:
    """Run a command in a container, on a terminal, as `aws ecs execute-command` does; no plugin is needed. The task was run
    with execute command enabled. Exit 1 when it could not begin or was cut off; its own exit code is not told, as on AWS."""
    from havre.cli.aws import Clients
    from havre.cli.client import NotRunning
    from havre.cli.developing.terminal import execute as run

    try:
        clients = Clients((state or Path(default_state())).absolute())
        raise typer.Exit(run(clients, cluster or _cluster(task), task, container, command or ["sh"]))
    except (ValueError, NotRunning) as error:
        typer.echo(f"havre ecs exec: {error}", err=True)
        raise typer.Exit(1) from None


def _cluster(task: str) -> str:
    """``arn:aws:ecs:us-east-1:000000000000:task/shop/74cf…`` is of ``shop``."""
    parts = task.split("/")
    return parts[1] if task.startswith("arn:") and len(parts) == 3 else "default"
