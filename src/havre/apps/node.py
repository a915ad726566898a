"""The node process."""

import signal


def main() -> None:
    signal.pause()
