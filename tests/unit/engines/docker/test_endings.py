"""What is known of an ended container before Docker answers for it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from havre.engines.docker.endings import Endings, starved
from havre.engines.ports import RunState

RUNNING = RunState("1", "havre-h-w-c", "w", "c", "running", pid=7, started=1.0)


def event(action: str, id: str = "1", **attributes: str) -> dict[str, Any]:
    return {"Action": action, "Actor": {"ID": id, "Attributes": attributes}, "timeNano": 5_500_000_000}


@pytest.fixture
def endings() -> Endings:
    made = Endings()
    made.started(RUNNING)
    return made


def test_an_end_is_known_as_docker_tells_it(endings: Endings) -> None:
    assert endings.of("1") is None, "it runs: that is to be asked for"
    endings.hear(event("die", exitCode="3"))
    over = endings.of("1")
    assert over is not None
    assert (over.state, over.exit_code, over.oom_killed, over.pid) == ("exited", 3, False, 0)
    assert (over.started, over.finished) == (1.0, 5.5)


def test_want_of_memory_comes_before_the_end(endings: Endings) -> None:
    endings.hear(event("oom"))
    endings.hear(event("die", exitCode="137"))
    over = endings.of("1")
    assert over is not None
    assert (over.exit_code, over.oom_killed) == (137, True)


def test_want_of_memory_before_the_start_has_returned() -> None:
    endings = Endings()
    endings.hear(event("oom"))
    endings.started(RUNNING)
    endings.hear(event("die", exitCode="0"))
    over = endings.of("1")
    assert over is not None
    assert over.oom_killed


def test_what_this_process_has_not_started_has_to_be_asked_for(endings: Endings) -> None:
    endings.hear(event("die", "2", exitCode="0"))
    assert endings.of("2") is None
    endings.started(RunState("3", "n", "w", "d", "exited"))
    endings.hear(event("die", "3", exitCode="0"))
    assert endings.of("3") is None


@pytest.mark.parametrize(
    "forget", [lambda e: e.hear(event("destroy")), lambda e: e.forget_all(), lambda e: e.forget("1")]
)
def test_nothing_is_known_of_what_is_gone_or_was_missed(endings: Endings, forget: Any) -> None:
    endings.hear(event("oom"))
    endings.hear(event("die", exitCode="137"))
    forget(endings)
    assert endings.of("1") is None
    endings.started(RUNNING)
    endings.hear(event("die", exitCode="0"))
    over = endings.of("1")
    assert over is not None
    assert not over.oom_killed


class _Counted:
    """Groups in which the kernel has killed so many processes."""

    def __init__(self, kills: int) -> None:
        self.kills = kills

    def killed(self, workload: str) -> int:
        return self.kills if workload == "w" else 0


@pytest.mark.parametrize(
    ("exit_code", "kills", "blamed"), [(137, 1, True), (137, 0, False), (1, 1, False), (None, 1, False)]
)
def test_the_workloads_group_tells_what_docker_missed(exit_code: int | None, kills: int, blamed: bool) -> None:
    state = msgspec.structs.replace(RUNNING, exit_code=exit_code)
    groups: Any = _Counted(kills)
    assert starved(state, groups).oom_killed is blamed
    assert starved(state, None) == state
