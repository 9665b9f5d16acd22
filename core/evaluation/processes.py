"""Several processes that share the clips, and meet in the output folder only."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from core.checks import UserError
from core.evaluation.records import Records
from core.io import write_bytes

T = TypeVar("T")
_POLL_SECONDS = 0.5
_NOTE = "failed-{rank}.txt"


@dataclass(frozen=True)
class Processes:
    """Which of several processes this is; launchers say so in the environment."""

    rank: int
    """From 0."""
    count: int
    """How many there are."""

    @staticmethod
    def from_environment() -> Processes:
        """Read ``RANK`` and ``WORLD_SIZE``, which accelerate launch and torchrun set."""
        return Processes(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Return the items of this process: every ``count``-th one."""
        return items[self.rank :: self.count]

    @contextmanager
    def failure_noted(self, folder: Path) -> Iterator[None]:
        """Leave a note for process 0 where the block raises, so that it does not wait."""
        note = self._note(folder, self.rank)
        note.unlink(missing_ok=True)
        try:
            yield
        except BaseException as error:
            if self.rank > 0:
                write_bytes(note, (str(error) or type(error).__name__).encode())
            raise

    def wait(self, records: Records, clips: Sequence[str], since: float) -> None:
        """Wait until every clip is finished.

        Args:
            records: Where they are noted.
            clips: All of them.
            since: Time stamp of the start; notes of failures before do not count.

        Raises:
            UserError: If another process failed.
        """
        while not all(records.has(clip) for clip in clips):
            for rank in range(1, self.count):
                note = self._note(records.folder, rank)
                if note.is_file() and note.stat().st_mtime >= since:
                    raise UserError(f"process {rank} of the evaluation failed: {note.read_text()}")
            time.sleep(_POLL_SECONDS)
        for note in records.folder.glob(_NOTE.format(rank="*")):
            note.unlink()

    @staticmethod
    def _note(folder: Path, rank: int) -> Path:
        return folder / _NOTE.format(rank=rank)
