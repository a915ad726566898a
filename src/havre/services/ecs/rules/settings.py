"""Account settings: their names, values and defaults. Pure."""

from __future__ import annotations

from havre.services.ecs.rules.common import invalid

_ON = ("enabled", "disabled")
LONG = ("serviceLongArnFormat", "taskLongArnFormat", "containerInstanceLongArnFormat")
MANAGED = ("guardDutyActivate",)
VALUES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(LONG, _ON),
    "awsvpcTrunking": _ON,
    "containerInsights": (*_ON, "enhanced"),
    "fargateFIPSMode": _ON,
    "tagResourceAuthorization": ("on", "off"),
    "fargateTaskRetirementWaitPeriod": ("0", "7", "14"),
    "guardDutyActivate": ("on", "off"),
    "defaultLogDriverMode": ("blocking", "non-blocking"),
    "fargateEventWindows": _ON,
}
DEFAULTS: dict[str, str] = {
    **dict.fromkeys(LONG, "enabled"),
    "awsvpcTrunking": "disabled",
    "containerInsights": "disabled",
    "fargateFIPSMode": "disabled",
    "tagResourceAuthorization": "on",
    "fargateTaskRetirementWaitPeriod": "7",
    "guardDutyActivate": "off",
    "defaultLogDriverMode": "blocking",
    "fargateEventWindows": "disabled",
}


def known(name: str) -> str:
    if name not in VALUES:
        raise invalid(f"Invalid setting name: {name}.")
    return name


def check(name: str, value: str) -> None:
    """Raises InvalidParameterException for what cannot be set, and for what Havre would not do."""
    known(name)
    if name in MANAGED:
        raise invalid(f"The setting {name} is managed by AWS and cannot be changed.")
    if value not in VALUES[name]:
        raise invalid(f"Invalid value {value} for {name}. Valid values are: {', '.join(VALUES[name])}.")
    if name in LONG and value == "disabled":
        raise invalid(f"You can no longer disable {name}: every resource has the long format.")
    if name == "tagResourceAuthorization" and value == "off":
        raise invalid(
            "The setting tagResourceAuthorization cannot be off: tags at creation always need ecs:TagResource."
        )
    if name == "defaultLogDriverMode" and value == "non-blocking":
        raise invalid(
            "The setting defaultLogDriverMode cannot be non-blocking: lines are dropped only where a container's own "
            "log option mode says so."
        )
