"""The ``havre`` program. ``up`` takes a short cut past Typer, for it is what people and their tests wait for."""

from __future__ import annotations

import sys


def main() -> None:
    if sys.argv[1:2] == ["up"]:
        from havre.cli.options import parse_up

        if options := parse_up(sys.argv[2:]):
            from havre.cli.up import up

            sys.exit(up(options))
    from havre.cli.main import app

    app()
