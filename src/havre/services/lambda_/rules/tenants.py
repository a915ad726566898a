"""Functions whose environments serve one tenant each (TenancyConfig): what they go without."""

from __future__ import annotations

from havre.services.lambda_.errors import invalid
from havre.services.lambda_.resources import Configuration


def refuse(config: Configuration, what: str) -> None:
    """Raises ApiError for such a function. ``what``: a feature, in the singular."""
    if config.per_tenant:
        raise invalid(f"{what} is not supported for functions with tenant isolation.")
