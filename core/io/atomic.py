"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from core.checks import UserError

_PARTIAL = re.compile(r"\.(?P<host>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]{8}\.partial")
_SAFETENSORS = re.compile(r"\.tmp\w{6}")
"""What safetensors writes to, before it has a name."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to, and move it into place when the block ends well.

    Folders on the way are made. When the block raises, what was written is removed and whatever
    was at ``path`` stays as it was. The path given keeps the suffix, by which writers choose
    a format.

    Args:
        path: Where the file shall be in the end.

    Yields:
        A hidden path in the same folder, which does not exist yet.

    Raises:
        UserError: If ``path`` is a folder, its folder cannot be made or written to, or the block
            fails to write (``OSError``), for example because the disk is full.
    """
    path = Path(path)
    # Not made of the name, which may be as long as a name can be.
    owner = f"{_host()}-{os.getpid()}"
    partial = path.with_name(f".{owner}-{secrets.token_hex(4)}.partial{path.suffix}")
    try:
        if path.is_dir():
            raise UserError(f"cannot write {path}: a folder of that name exists; name a file.")
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned_files(path.parent)
        partial.touch()
        mode = partial.stat().st_mode
        partial.unlink()
    except OSError as error:
        raise UserError(_cannot_write(path, error)) from error
    try:
        yield partial
        partial.chmod(mode)  # some writers keep what they write to themselves
        os.replace(partial, path)  # noqa: PTH105 (the one call that is atomic on every system)
    except OSError as error:
        raise UserError(_cannot_write(path, error)) from error
    finally:
        partial.unlink(missing_ok=True)


def remove_partial_files(folder: Path) -> None:
    """Remove what a program that was killed left half written in ``folder``.

    Nobody may be writing there.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        partial = path.name.startswith(".") and ".partial" in path.name
        if (partial or _SAFETENSORS.fullmatch(path.name)) and path.is_file():
            path.unlink(missing_ok=True)


@cache
def _remove_abandoned_files(folder: Path) -> None:
    """Remove what processes of this machine that are gone left half written; once a folder."""
    for path in folder.iterdir():
        match = _PARTIAL.match(path.name)
        if match and match["host"] == _host() and not _is_alive(int(match["process"])):
            path.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


@cache
def _host() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def flush(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write ``data`` to ``path`` through :func:`atomic_path`.

    Raises:
        UserError: If the file cannot be written, for example because the disk is full.
    """
    with atomic_path(path) as partial:
        partial.write_bytes(data)


def _cannot_write(path: Path, error: OSError) -> str:
    return f"cannot write {path}: {error.strerror or error}; choose a place with room and rights."
