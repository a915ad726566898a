"""Layers in each compression that registries hand out, and what is none."""

from __future__ import annotations

import gzip
import io
import os
import struct
import sys
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from havre.engines.oci.layers import unpack
from havre.kernel.errors import Permanent

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SKIPPABLE = struct.pack("<II", 0x184D2A50, 5) + b"notes"


def layer(*files: tuple[str, bytes], **fields: object) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size, info.uid, info.gid = len(content), os.getuid(), os.getgid()
            for key, value in fields.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def in_frames(raw: bytes) -> bytes:
    """As images are pushed whose layers are to be read in pieces: many frames, and one that every reader passes over."""
    half = len(raw) // 2
    return zstd.compress(raw[:half]) + SKIPPABLE + zstd.compress(raw[half:]) + SKIPPABLE


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstd.compress, in_frames])
def test_each_compression(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    files = [("etc/name", b"x" * 5000), ("etc/other", os.urandom(300_000)), ("empty", b"")]
    assert unpack(io.BytesIO(compress(layer(*files))), tmp_path / "root") == 305_000
    for name, content in files:
        assert (tmp_path / "root" / name).read_bytes() == content


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstd.compress])
def test_out_of_a_pipe(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as into:
        into.write(compress(layer(("a", b"in a pipe"))))
    with os.fdopen(reader, "rb") as archive:
        unpack(archive, tmp_path / "root")
    assert (tmp_path / "root/a").read_bytes() == b"in a pipe"


@pytest.mark.parametrize("name", [".wh...", "a/.wh...", ".wh..", "a/.wh."])
def test_whiteouts_hide_what_is_beside_them_only(tmp_path: Path, name: str) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(Permanent, match="a layer has a whiteout of what is not in its directory"):
        unpack(io.BytesIO(layer(("a/b", b"x"), (name, b""))), tmp_path / "root")
    assert list(tmp_path.iterdir()) == [tmp_path / "other"]


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstd.compress])
def test_more_than_it_may_take(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    """However small it comes."""
    archive = io.BytesIO(compress(layer(("zeros", bytes(4 << 20)))))
    with pytest.raises(Permanent, match=f"larger than {1 << 20} bytes"):
        unpack(archive, tmp_path / "root", 1 << 20)
    assert list(tmp_path.iterdir()) == []


def header(kind: bytes, size: int) -> bytes:
    info = tarfile.TarInfo("h")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(size)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_headers_are_bounded_for_they_are_kept_in_memory(tmp_path: Path, kind: bytes) -> None:
    for size in (64 << 20, (1 << 20) + 1):
        with pytest.raises(Permanent, match=f"cannot be read: a header of {size} bytes"):
            unpack(io.BytesIO(zstd.compress(header(kind, size))), tmp_path / "root")
    assert list(tmp_path.iterdir()) == []


def _streamed(raw: bytes, options: Mapping[int, int]) -> bytes:
    """Whose size its frame does not say: then the window is what was asked for."""
    compressor = zstd.ZstdCompressor(options=options)
    return compressor.compress(raw) + compressor.flush()


def broken() -> dict[str, bytes]:
    sure: dict[int, int] = {zstd.CompressionParameter.checksum_flag: 1}
    whole = zstd.compress(layer(("a", os.urandom(100_000))), options=sure)
    wide: dict[int, int] = {
        zstd.CompressionParameter.window_log: 28,
        zstd.CompressionParameter.enable_long_distance_matching: 1,
    }
    return {
        "cut off": whole[: len(whole) // 2],
        "changed": whole[:2000] + b"\0\xff" * 20 + whole[2040:],
        "no tar": zstd.compress(b"words, words, words" * 100),
        "a window of 256 MiB": _streamed(layer(("a", b"x")), wide),
        "no time": layer(("a", b"x"), pax_headers={"mtime": "nan"}),
        "beyond all time": layer(("a", b"x"), pax_headers={"mtime": "1e300"}),
        "gzip, cut off": gzip.compress(layer(("a", os.urandom(100_000))))[:50_000],
    }


@pytest.mark.parametrize("name", broken())
def test_what_is_no_layer(tmp_path: Path, name: str) -> None:
    with pytest.raises(Permanent, match="a layer cannot be read"):
        unpack(io.BytesIO(broken()[name]), tmp_path / "root")
    assert list(tmp_path.iterdir()) == []
