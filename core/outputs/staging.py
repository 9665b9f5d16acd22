"""A folder of results that appear together when they are complete."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.checks import UserError


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
    :meth:`Staging.keep_incomplete` was called.

    Raises:
        UserError: If ``output`` is a file, or cannot be made or written to; at the end, if a folder
            bears the name of a file, or a file that of a folder.
    """
    folder = output / f".running-{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise UserError(
            f"cannot write into {output}: {error.strerror or error}; choose another output folder."
        ) from error
    try:
        staging = Staging(folder, output)
        yield staging
        if staging.kept is None:
            _move_files(folder, output)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move_files(folder: Path, output: Path) -> None:
    files = sorted(folder.iterdir())
    for file in files:
        if (output / file.name).exists() and (output / file.name).is_dir() != file.is_dir():
            kind = "file" if file.is_dir() else "folder"
            raise UserError(
                f"{output / file.name} is a {kind}; remove it or choose another output folder."
            )
    for file in files:
        if file.is_dir() and (output / file.name).is_dir():
            (output / file.name).rename(folder / f"{file.name}.before")
        os.replace(file, output / file.name)  # noqa: PTH105 (replaces on every system)
