"""AWS clients for the command line, of a running instance and with its root credentials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from havre.cli.client import NotRunning
from havre.cli.environment import variables


class Clients:
    """Raises NotRunning."""

    def __init__(self, state: Path) -> None:
        import botocore.session

        found = variables(state)
        if found is None:
            raise NotRunning(
                f"no Havre runs with the state directory {state} (start it with: havre up --state {state})"
            )
        self._values = found
        self.state = state
        self._session: Any = botocore.session.Session()

    @property
    def authority(self) -> str:
        """The certificates by which an endpoint with TLS is known; "" for one without."""
        return self._values.get("AWS_CA_BUNDLE", "")

    def __call__(self, service: str) -> Any:
        from botocore.config import Config

        return self._session.create_client(
            service,
            region_name=self._values["AWS_REGION"],
            endpoint_url=self._values["AWS_ENDPOINT_URL"],
            aws_access_key_id=self._values["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self._values["AWS_SECRET_ACCESS_KEY"],
            verify=self.authority or None,
            # a function may take 15 minutes, and must not be invoked twice
            config=Config(read_timeout=960, retries={"max_attempts": 0}),
        )
