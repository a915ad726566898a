"""The ``havre`` program. ``up`` takes a short cut past Typer, for it is what people and their tests wait for."""

from __future__ import annotations

import sys


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[:1] == ["up"] and "--help" not in arguments:
        from havre.cli.options import parse_up
        from havre.cli.up import up

        sys.exit(up(parse_up(arguments[1:])))
    from havre.cli.main import app

    app()
