"""The borrowed services cost nothing before they are used, and nothing is left of them after a reset."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.lending import Lent
from tests.running_gateway import code

from havre.apps.borrowing import Borrowing

HEAVY = """
import sys
import havre.apps.server
from havre.services import catalogue
for name in catalogue.NAMES:
    catalogue.package(name)
heavy = ("h2", "moto", "boto3", "botocore", "werkzeug", "havre.apps.beside", "cryptography", "statistics", "zoneinfo")
heavy += ("tarfile",)
print([name for name in heavy if name in sys.modules])
"""


def test_the_server_loads_nothing_of_moto_and_nothing_else_that_is_large() -> None:
    done = subprocess.run([sys.executable, "-c", HEAVY], capture_output=True, check=True, text=True, timeout=100)
    assert done.stdout.strip() == "[]"


async def test_what_was_never_used_is_not_started(tmp_path: Path) -> None:
    def never() -> Any:
        raise AssertionError

    borrowing = Borrowing(tmp_path / "borrowed", never)
    await borrowing.resume()
    await borrowing.reset()
    await borrowing.close()
    assert not (tmp_path / "borrowed").exists()


def test_a_successor_waits_for_the_process_of_a_dead_server(tmp_path: Path) -> None:
    first = Lent(tmp_path / "borrowed")
    for number in range(30):
        first.client("ssm").put_parameter(Name="p", Value=str(number), Type="String", Overwrite=True)
    writer = first.beside._writer
    assert writer is not None
    first.loop.call_soon_threadsafe(writer.close)  # as when the server dies: the process ends, in its own time
    second = Lent(tmp_path / "borrowed")
    told = second.client("ssm").get_parameter(Name="p")["Parameter"]
    assert (told["Value"], told["Version"]) == ("29", 30)
    second.close()
    first.close()


def test_a_state_that_cannot_be_read_is_told_and_kept(tmp_path: Path) -> None:
    lent = Lent(tmp_path / "borrowed")
    ssm = lent.client("ssm")
    ssm.put_parameter(Name="p", Value="v", Type="String")
    lent.stop_beside()
    (snapshot,) = (tmp_path / "borrowed").glob("*.snapshot")
    whole = snapshot.read_bytes()
    snapshot.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert code(ssm.get_parameter, Name="p") == "ServiceUnavailableException"
    assert "the log says why" in lent.beside.problem
    assert code(ssm.get_parameter, Name="p") == "ServiceUnavailableException"  # and no process for each attempt
    snapshot.write_bytes(whole)
    lent.beside._not_before = 0.0
    assert ssm.get_parameter(Name="p")["Parameter"]["Value"] == "v"
    assert lent.beside.problem == ""
    lent.close()
