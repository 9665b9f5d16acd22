"""A folder of results that appear together when they are complete."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from core.checks import UserError

_PREFIX = ".running-"


class Staging:
    """Where results are written while they are not complete, see :func:`staged_outputs`."""

    def __init__(self, folder: Path, output: Path) -> None:
        self.folder = folder
        """Write here."""
        self._output = output
        self.kept: Path | None = None
        """Where an incomplete result was put; None if it was not kept."""

    def keep_incomplete(self) -> Path:
        """Keep what was written so far under ``incomplete`` instead of removing it.

        Returns:
            The folder, which is new: ``incomplete``, ``incomplete-2``, ...
        """
        number = 1
        while True:
            kept = self._output / ("incomplete" if number == 1 else f"incomplete-{number}")
            if not kept.exists():
                break
            number += 1
        self.folder.rename(kept)
        self.kept = kept
        return kept


@contextmanager
def staged_outputs(output: Path) -> Iterator[Staging]:
    """Give a folder to write to, and move what is in it to ``output`` when the block ends well.

    A folder replaces one of its name as a whole. Until then nothing that was in ``output`` is
    touched. When the block raises, what was written is removed, unless
    :meth:`Staging.keep_incomplete` was called. What runs that were killed have left is removed at
    the beginning.

    Raises:
        UserError: If ``output`` is a file, or cannot be made or written to; at the end, if a file
            cannot be moved, or a folder bears the name of a file, or a file that of a folder: what
            was not moved is kept as an incomplete result.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(output)
        folder = output / f"{_PREFIX}{secrets.token_hex(4)}"
        lock = _lock_of(folder)
        with suppress(OSError, NotImplementedError):  # on a file system without locks
            lock.acquire()  # before the folder is there, which other runs remove without it
        folder.mkdir()
    except OSError as error:
        raise UserError(
            f"cannot write into {output}: {error.strerror or error}; choose another output folder."
        ) from error
    try:
        staging = Staging(folder, output)
        yield staging
        if staging.kept is None:
            _move_files(staging, output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _remove(lock)


def _move_files(staging: Staging, output: Path) -> None:
    files = sorted(staging.folder.iterdir())
    try:
        for file in files:
            there = output / file.name
            if there.exists() and there.is_dir() != file.is_dir():
                kind = "file" if file.is_dir() else "folder"
                raise OSError(errno.EEXIST, f"{file.name} is a {kind}")
        for file in files:
            if file.is_dir() and (output / file.name).is_dir():
                (output / file.name).rename(staging.folder / f"{file.name}.before")
            os.replace(file, output / file.name)  # noqa: PTH105 (replaces on every system)
    except OSError as error:
        kept = staging.keep_incomplete()
        raise UserError(
            f"cannot write into {output}: {error.strerror or error}; the results are in {kept}."
        ) from error


def _remove_abandoned(output: Path) -> None:
    """Remove the folders of runs that are gone, whose locks the kernel has released."""
    for folder in {path.with_suffix("") for path in output.glob(f"{_PREFIX}*")}:
        lock = _lock_of(folder)
        with suppress(Timeout, OSError, NotImplementedError):  # in use, or no locks here
            lock.acquire(timeout=0)
            shutil.rmtree(folder, ignore_errors=True)
            _remove(lock)


def _lock_of(folder: Path) -> FileLock:
    return FileLock(folder.with_name(f"{folder.name}.lock"))


def _remove(lock: FileLock) -> None:
    Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()
