from __future__ import annotations

from random import Random

import msgspec
import pytest

from havre.control.deps import ReconcilerDeps
from havre.control.operation import Site
from havre.control.terminals.sessions import Session, Transcript
from havre.control.terminals.transcripts import Transcripts
from havre.kernel.errors import ApiError
from havre.kernel.world import World
from havre.store.memory import MemoryJournal, MemoryStore

WHERE = Transcript("/exec", "arn:aws:iam::000000000000:role/task")
SESSION = Session("s-1", "0" * 12, "us-east-1", "node", "task", "main", "ecs:c_t_r", ("sh",), WHERE)


class Logs:
    def __init__(self) -> None:
        self.streams: dict[tuple[str, str], list[str]] = {}
        self.roles: list[str] = []
        self.there = True
        self.objects: dict[tuple[str, str], bytes] = {}

    async def __call__(self, service, operation, request):
        if operation == "AssumeRole":
            self.roles.append(request["RoleArn"])
            return {"Credentials": {"AccessKeyId": "ASIA", "SecretAccessKey": "s", "SessionToken": "t"}}
        if operation == "PutObject":
            if not self.there:
                raise ApiError("NoSuchBucket", "The specified bucket does not exist")
            self.objects[request["Bucket"], request["Key"]] = request["Body"]
            return {}
        where = (request["logGroupName"], request["logStreamName"])
        if operation == "CreateLogStream" and self.there:
            self.streams[where] = []
        elif where not in self.streams:
            raise ApiError("ResourceNotFoundException", "The specified log group does not exist.")
        else:
            self.streams[where] += [e["message"] for e in request["logEvents"]]
        return {}


@pytest.fixture
def logs():
    return Logs()


@pytest.fixture
def transcripts(logs):
    world = World(lambda: 1_800_000_000.0, Random(1))
    store = MemoryStore((), world)
    by_role = lambda account, region, credentials, trace="": logs  # noqa: E731
    deps = ReconcilerDeps(store, MemoryJournal(), world, Site(), lambda *a, **k: logs, by_role)
    return Transcripts(deps)


async def test_what_a_session_shows_is_kept_as_text(logs, transcripts):
    recorder = transcripts.of(SESSION)
    for piece in (b"\x1b[1;32m/ # \x1b[0m\x1b[6nl", b"s\r\nbin\r\n\x1b]0;title\x07et", b"c\r\n", b"last"):
        await recorder.write(piece)
    assert logs.streams == {}
    await recorder.end()
    assert logs.streams == {("/exec", "s-1"): ["/ # ls", "bin", "etc", "last"]}
    assert logs.roles == [WHERE.role]


async def test_much_is_kept_as_it_comes(logs, transcripts):
    recorder = transcripts.of(SESSION)
    for _ in range(40):
        await recorder.write(b"x" * 10_000 + b"\n")
    assert len(logs.streams["/exec", "s-1"]) >= 20
    await recorder.write(b"y" * 100_000)
    await recorder.end()
    kept = logs.streams["/exec", "s-1"]
    assert sum(len(line) for line in kept) == 500_000


async def test_a_group_that_is_not_there_ends_no_session(logs, transcripts, caplog):
    logs.there = False
    recorder = transcripts.of(SESSION)
    await recorder.write(b"a\n")
    await recorder.end()
    assert "1 lines of s-1 are not in /exec" in caplog.text


def test_one_that_is_not_written_down_has_no_recorder(transcripts):
    plain = Session("s-1", "0" * 12, "us-east-1", "node", "task", "main", "ecs:c_t_r", ("sh",))
    assert transcripts.of(plain) is None


@pytest.mark.parametrize(
    ("prefix", "key"), [("", "s-1.log"), ("exec", "exec/s-1.log"), ("a/b/", "a/b/s-1.log"), ("/", "s-1.log")]
)
async def test_a_session_is_an_object_of_a_bucket(logs, transcripts, prefix, key):
    recorder = transcripts.of(msgspec.structs.replace(SESSION, transcript=Transcript("", WHERE.role, "b", prefix)))
    await recorder.write(b"/ # ls\r\n\r\nbin\r\n/ # ")
    assert logs.objects == {}
    await recorder.end()
    assert logs.objects == {("b", key): b"/ # ls\n\nbin\n/ # \n"}
    assert logs.streams == {}


async def test_an_object_has_a_bound_and_the_stream_has_all(logs, transcripts):
    recorder = transcripts.of(msgspec.structs.replace(SESSION, transcript=Transcript("/exec", "", "b")))
    line = b"x" * 99 + b"\n"
    for _ in range(40):
        await recorder.write(line * 10_000)
    await recorder.end()
    kept = logs.objects["b", "s-1.log"]
    assert 32 << 20 <= len(kept) < (32 << 20) + 200 and kept.endswith(b"(the rest is not kept)\n")
    assert len(logs.streams["/exec", "s-1"]) == 400_000


async def test_a_bucket_that_is_not_there_ends_no_session(logs, transcripts, caplog):
    logs.there = False
    recorder = transcripts.of(msgspec.structs.replace(SESSION, transcript=Transcript("", "", "b")))
    await recorder.end()
    assert "s-1 is not in the bucket b" in caplog.text
