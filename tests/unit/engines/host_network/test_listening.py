"""Ports of this machine that are taken, from the kernel's own tables."""

from __future__ import annotations

import socket
from pathlib import Path

from havre.engines.host_network.listening import tcp_ports, udp_ports

_HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def _row(address: str, port: int, state: str) -> str:
    return f"   0: {address}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 1 1 0\n"


def test_what_listens_is_taken_and_connections_are_not_read(tmp_path: Path) -> None:
    listens = [_row("0100007F", 80, "0A"), _row("00000000", 8080, "0A")]
    connected = [_row("0100007F", 33000, "01"), "what is not to be read"]
    (tmp_path / "tcp").write_text("".join([_HEAD, *listens, *connected]))
    (tmp_path / "tcp6").write_text(_HEAD + _row("0" * 32, 443, "0A"))
    (tmp_path / "udp").write_text(_HEAD + _row("00000000", 53, "07") + _row("0100007F", 54, "01"))
    assert tcp_ports(tmp_path) == {80, 8080, 443}
    assert udp_ports(tmp_path) == {53}


def test_of_this_machine() -> None:
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        udp.bind(("127.0.0.1", 0))
        assert udp.getsockname()[1] in udp_ports()
        assert tcp.getsockname()[1] not in tcp_ports()
        tcp.listen()
        assert tcp.getsockname()[1] in tcp_ports()
