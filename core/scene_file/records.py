"""Records of a scene file: a type, a payload and a checksum; see docs/format.md."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from core.checks import UserError

SIGNATURE = b"\x89SSPL\r\n\x1a"
"""How a scene file begins."""
HEADER, KEY_FRAME, INTERVAL, INDEX = b"HEAD", b"KEYF", b"INTV", b"INDX"
MAX_PAYLOAD = 1 << 27
"""Most bytes of a record's payload."""
_HEAD = struct.Struct("<I4s")
_CHECKSUM = struct.Struct("<I")
_INDEX_OFFSET = struct.Struct("<Q")
OVERHEAD = _HEAD.size + _CHECKSUM.size
"""Bytes of a record around its payload."""


@dataclass(frozen=True)
class Record:
    """A record whose checksum is right."""

    kind: bytes
    """Four letters."""
    payload: memoryview
    """What it holds."""
    offset: int
    """Where it begins in the file."""

    @property
    def end(self) -> int:
        """Where the next record begins."""
        return self.offset + OVERHEAD + len(self.payload)


class Fields:
    """Reads numbers and bytes from a payload, from its beginning on.

    Args:
        payload: The bytes.
        where: What error messages call them.
    """

    def __init__(self, payload: memoryview, where: str) -> None:
        self.where = where
        self._rest = payload

    def take(self, count: int) -> memoryview:
        """Return the next bytes.

        Raises:
            UserError: If there are fewer.
        """
        if count > len(self._rest):
            raise damaged(self.where, "it is shorter than what it announces")
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def unpack(self, layout: struct.Struct) -> tuple:
        """Return the next numbers."""
        return layout.unpack(self.take(layout.size))

    def finish(self) -> None:
        """Check that nothing follows.

        Raises:
            UserError: If something does.
        """
        if len(self._rest):
            raise damaged(self.where, "it is longer than what it announces")


def damaged(where: str, what: str) -> UserError:
    """Return the error of a file that breaks its format."""
    return UserError(f"{where} is damaged: {what}; write the scene file again, or copy it anew.")


def pack_record(kind: bytes, payload: bytes) -> bytes:
    """Return the bytes of a record."""
    assert len(payload) <= MAX_PAYLOAD
    checksum = zlib.crc32(payload, zlib.crc32(kind))
    return b"".join([_HEAD.pack(len(payload), kind), payload, _CHECKSUM.pack(checksum)])


def read_record(file: BinaryIO, offset: int, size: int, where: str) -> Record | None:
    """Read the record at ``offset`` of a file of ``size`` bytes.

    Returns:
        The record; None where the file ends before the record does.

    Raises:
        UserError: If its length is above the maximum or its checksum is wrong.
    """
    if size - offset < OVERHEAD:
        return None
    file.seek(offset)
    length, kind = _HEAD.unpack(file.read(_HEAD.size))
    if length > MAX_PAYLOAD:
        raise damaged(where, f"the record at byte {offset} announces {length} bytes")
    if length > size - offset - OVERHEAD:
        return None
    rest = file.read(length + _CHECKSUM.size)
    if len(rest) != length + _CHECKSUM.size:
        return None  # the file has become shorter meanwhile
    (checksum,) = _CHECKSUM.unpack(rest[length:])
    if checksum != zlib.crc32(memoryview(rest)[:length], zlib.crc32(kind)):
        raise damaged(where, f"the checksum of the record at byte {offset} is wrong")
    return Record(kind, memoryview(rest)[:length], offset)


def scan_records(file: BinaryIO, offset: int, size: int, where: str) -> Iterator[Record]:
    """Yield complete records from ``offset`` on, up to the end of the file."""
    while (record := read_record(file, offset, size, where)) is not None:
        yield record
        offset = record.end


def find_index(file: BinaryIO, size: int, where: str) -> Record | None:
    """Return the index with which a complete file ends; None where it does not end with one."""
    if size < len(SIGNATURE) + OVERHEAD + _INDEX_OFFSET.size:
        return None
    file.seek(size - _CHECKSUM.size - _INDEX_OFFSET.size)
    (offset,) = _INDEX_OFFSET.unpack(file.read(_INDEX_OFFSET.size))
    if not len(SIGNATURE) <= offset <= size - OVERHEAD:
        return None
    file.seek(offset)
    length, kind = _HEAD.unpack(file.read(_HEAD.size))
    if kind != INDEX or offset + OVERHEAD + length != size:
        return None
    return read_record(file, offset, size, where)
