"""Volumes of file systems: each container gets the directory that is mounted for who it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from havre.control.workloads.shares import User, placed, user_of, wanted
from havre.kernel.workload import Container, Mount, Share, Volume, Workload

SHARE = Share("fs-1", "/a", user=(1, 2))


class Places:
    def at(self, share: Share, user: User) -> Path:
        return Path("/mounts") / f"{share.file_system}-{user}"

    async def ensure(self, share: Share, user: User) -> None:
        raise AssertionError

    def release(self) -> None:
        raise AssertionError


def workload(*users: str) -> Workload:
    containers = tuple(
        Container(f"c{n}", "image", user=user, mounts=(Mount("own", "/own"), Mount("files", "/data")))
        for n, user in enumerate(users)
    )
    volumes = (Volume("own"), Volume("files", "share", share=SHARE))
    return Workload("w", "arn", "1", "r", containers, volumes=volumes)


@pytest.mark.parametrize(
    ("user", "found"), [("", None), ("0", (0, 0)), ("5:6", (5, 6)), ("name", None), ("5:group", None), ("5:", (5, 0))]
)
def test_who_a_container_is(user: str, found: User) -> None:
    assert user_of(Container("c", "image", user=user)) == found


def test_each_is_mounted_for_whoever_needs_it_once() -> None:
    assert wanted(workload("", "5:6", "5:6")) == [(SHARE, None), (SHARE, (5, 6))]
    assert wanted(replace(workload(""), volumes=(Volume("own"), Volume("files")))) == []


def test_directories_take_the_place_of_shares() -> None:
    made = placed(workload("", "5:6"), Places())
    first, second = (container.mounts for container in made.containers)
    assert first[0] == second[0] == Mount("own", "/own")
    sources = {volume.name: (volume.kind, volume.source) for volume in made.volumes}
    assert sources[first[1].volume] == ("host", "/mounts/fs-1-None")
    assert sources[second[1].volume] == ("host", "/mounts/fs-1-(5, 6)")
    assert not any(volume.share for volume in made.volumes)


def test_what_may_only_be_read_is_mounted_so() -> None:
    asked = workload("")
    volumes = (Volume("own"), Volume("files", "share", share=replace(SHARE, read_only=True)))
    made = placed(replace(asked, volumes=volumes), Places())
    assert [mount.read_only for mount in made.containers[0].mounts] == [False, True]


def test_others_are_left_alone() -> None:
    asked = replace(workload(""), volumes=(Volume("own"), Volume("files")))
    assert placed(asked, Places()) is asked
