"""Writes a scene file interval by interval; what is written can be read at any time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

from core.checks import UserError
from core.scene_file.encoder import SceneEncoder
from core.scene_file.grades import GRADES, Grade
from core.scene_file.header import SceneHeader
from core.scene_file.records import HEADER, INDEX, SIGNATURE, pack_record
from core.scene_file.timeline import SceneTimeline

if TYPE_CHECKING:  # a process that writes a file needs no PyTorch, which takes seconds to import
    from core.scene_file.interval_arrays import IntervalArrays
    from core.types import DynamicGaussians


class SceneWriter:
    """Write a scene file, as a context manager.

    Each interval is on the disk when :meth:`append` returns, and after :meth:`put` with the next
    one, so that the file can be played while it grows; :meth:`close` adds the index. When the block
    raises, what was written stays, and is read up to its last complete interval.

    Args:
        path: The file, which is replaced.
        header: What holds for the whole scene.
        grade: How finely attributes are quantised.

    Raises:
        UserError: If the file cannot be written.
    """

    def __init__(
        self, path: str | Path, header: SceneHeader, grade: Grade = GRADES["fine"]
    ) -> None:
        self.path = Path(path)
        self.header = header
        self._encoder = SceneEncoder(header, grade)
        self._timeline = SceneTimeline(str(path))
        self._file: BinaryIO | None = None
        self._started: Callable[[], None] | None = None
        """Writes the interval whose images are being encoded."""
        self._offset = 0
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("wb")
        except OSError as error:
            raise self._failure(error) from error
        self._write(SIGNATURE)
        self._write(pack_record(HEADER, header.pack()))

    def __enter__(self) -> SceneWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._write_started()
            if error is None:
                self.close()
        finally:
            if self._file is not None:
                self._file.close()

    @property
    def num_bytes(self) -> int:
        """How long the file is."""
        return self._offset

    def append(
        self,
        gaussians: DynamicGaussians | IntervalArrays,
        first_time: float,
        second_time: float,
        *,
        opens: bool,
    ) -> None:
        """Write the next interval; see :meth:`start`."""
        self.start(gaussians, first_time, second_time, opens=opens)()

    def start(
        self,
        gaussians: DynamicGaussians | IntervalArrays,
        first_time: float,
        second_time: float,
        *,
        opens: bool,
    ) -> Callable[[], None]:
        """Start to encode the next interval; see :meth:`SceneEncoder.start`.

        Returns:
            What waits for that and writes it; to be called in the order of the intervals.

        Raises:
            ValueError: If the interval does not fit the scene or those before it.
            UserError: If the file cannot be written, from what is returned.
        """
        records = self._encoder.start(gaussians, first_time, second_time, opens=opens)

        def finish() -> None:
            for kind, payload in records():
                self._timeline.add(kind, memoryview(payload), self._offset)
                self._write(pack_record(kind, payload))

        return finish

    def put(
        self,
        gaussians: DynamicGaussians | IntervalArrays,
        first_time: float,
        second_time: float,
        *,
        opens: bool,
    ) -> None:
        """Quantise the next interval while the images of the one before are encoded; write that."""
        started = self.start(gaussians, first_time, second_time, opens=opens)
        self._write_started()
        self._started = started

    def close(self) -> None:
        """Write what waits, and add the index."""
        self._write_started()
        if self._file is not None:
            self._write(pack_record(INDEX, self._timeline.pack_index(self._offset)))
            self._file.close()
            self._file = None

    def _write_started(self) -> None:
        started, self._started = self._started, None
        if started is not None:
            started()

    def _write(self, data: bytes) -> None:
        assert self._file is not None, "the writer is closed"
        try:
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise self._failure(error) from error
        self._offset += len(data)

    def _failure(self, error: OSError) -> UserError:
        return UserError(
            f"cannot write {self.path}: {error.strerror or error}; choose a place with room and "
            "rights."
        )
