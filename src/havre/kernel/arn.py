"""Amazon Resource Names."""

from __future__ import annotations

from typing import NamedTuple


class Arn(NamedTuple):
    """``arn:partition:service:region:account:resource``; region and account may be empty."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"

    @property
    def kind(self) -> str:
        """What stands before the first ``/`` or ``:`` of the resource part, or the whole of it."""
        return self.resource.replace(":", "/").split("/", 1)[0]

    @property
    def name(self) -> str:
        """What stands behind the first ``/`` or ``:`` of the resource part, or the whole of it."""
        return self.resource.replace(":", "/", 1).split("/", 1)[-1]

    @classmethod
    def parse(cls, text: str) -> Arn:
        """Raises ValueError for anything that is not an ARN."""
        parts = text.split(":", 5)
        if len(parts) != 6 or parts[0] != "arn" or not parts[1] or not parts[2] or not parts[5]:
            raise ValueError(f"not an ARN: {text!r}")
        return cls(*parts[1:])


def arn(service: str, region: str, account: str, resource: str) -> str:
    """The text of an ARN in the one partition that Havre serves, ``aws``."""
    return f"arn:aws:{service}:{region}:{account}:{resource}"
