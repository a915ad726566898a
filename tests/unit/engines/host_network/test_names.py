"""DNS messages as a VPC's server reads and writes them."""

from __future__ import annotations

import struct

from hypothesis import example, given
from hypothesis import strategies as st

from havre.engines.host_network import names as dns
from havre.engines.host_network.forwarder import upstreams

NAMES = dns.Names(
    {"web.elb.localhost": ("10.0.0.9", "10.0.1.9")}, "ec2.internal", ("elb.localhost", "localhost", "ec2.internal")
)
LABEL = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_", min_size=1, max_size=63)


def asking(name: str, type: int = dns.A, flags: int = 0x100) -> bytes:
    return struct.pack(">HHHHHH", 7, flags, 1, 0, 0, 0) + dns.encoded(name) + struct.pack(">HH", type, 1)


def told(name: str, type: int = dns.A, flags: int = 0x100) -> tuple[int, int, bytes] | None:
    """Code, number of answers, their bytes."""
    asked = dns.question(asking(name, type, flags))
    assert asked is not None
    reply = dns.answer(asked, NAMES)
    if reply is None:
        return None
    assert dns.id_of(reply) == 7 and reply[2] & 0x80 and reply[12:].startswith(asked.raw)
    return reply[3] & 15, int.from_bytes(reply[6:8], "big"), reply[12 + len(asked.raw) :]


@given(st.binary(max_size=600))
@example(asking("a")[:-1])
@example(struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"\xc0\x0c" + b"\0" * 8)
def test_any_bytes_are_read_without_a_fault(message: bytes) -> None:
    asked = dns.question(message)
    if asked is not None:
        assert message[12:].startswith(asked.raw)
        dns.answer(asked, NAMES)


@given(st.lists(LABEL, min_size=1, max_size=4), st.integers(0, 65535))
def test_a_question_is_read_as_it_was_asked(labels: list[str], type: int) -> None:
    asked = dns.question(asking(".".join(labels), type))
    assert asked is not None
    assert (asked.id, asked.name, asked.type) == (7, ".".join(labels).lower(), type)


@given(st.integers(0, 255), st.integers(0, 255))
def test_private_names_are_their_addresses_and_back(third: int, last: int) -> None:
    found = told(f"IP-172-31-{third}-{last}.ec2.internal")
    assert found is not None
    assert found[:2] == (0, 1) and found[2].endswith(bytes([172, 31, third, last]))
    back = told(f"{last}.{third}.31.172.in-addr.arpa", dns.PTR)
    assert back is not None
    assert back[:2] == (0, 1) and back[2].endswith(dns.encoded(f"ip-172-31-{third}-{last}.ec2.internal"))


def test_load_balancers_have_all_of_their_addresses() -> None:
    found = told("web.ELB.localhost")
    assert found is not None and found[:2] == (0, 2)
    assert told("web.elb.localhost", dns.AAAA) == (0, 0, b""), "the name is there, addresses of this kind are not"


def test_own_names_that_nobody_has_do_not_exist() -> None:
    for name in ("other.elb.localhost", "ip-1-2-3.ec2.internal", "ip-1-2-3-400.ec2.internal", "localhost"):
        assert told(name) == (dns.NO_NAME, 0, b"")


def test_other_names_are_for_others() -> None:
    assert told("example.com") is None
    assert told("ec2.internal.example.com") is None
    assert told("8.8.8.8.in-addr.arpa", dns.PTR) is None, "public addresses have their names elsewhere"


def test_what_is_no_query_gets_no_answer_or_is_refused() -> None:
    assert dns.question(asking("a", flags=0x8000)) is None
    assert told("a", flags=0x2800) == (dns.NOT_IMPLEMENTED, 0, b"")


def test_resolvers_of_a_machine() -> None:
    text = "#nameserver 1.1.1.1\nsearch a b\nnameserver 127.0.0.53 # x\nnameserver\nnameserver ::1\nnameserver ::1\n"
    assert upstreams(text) == ["127.0.0.53", "::1"]
    assert len(upstreams("".join(f"nameserver 10.0.0.{n}\n" for n in range(9)))) == 3
