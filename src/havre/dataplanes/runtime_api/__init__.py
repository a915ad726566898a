"""Lambda's Runtime API (2018-06-01), Extensions API (2020-01-01), Telemetry API (2022-07-01), Logs API (2020-08-15) and the
credentials of SnapStart (2021-04-23) as processes in an environment see them: HTTP and nothing else.

The rule of this package: it parses, bounds and routes; what a request means is the environment's business
(``control/functions``).
"""

from havre.dataplanes.runtime_api.server import open_api

__all__ = ["open_api"]
