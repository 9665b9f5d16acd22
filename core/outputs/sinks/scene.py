"""The whole dynamic scene as a file, written while the clip is reconstructed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from core.devices import Download
from core.geometry.fit import FrameFit
from core.io.background import Worker
from core.logging import get_logger, warn_once
from core.scene_file import GRADES, GradeName, SceneHeader, SceneWriter
from core.scene_file.writer_beside import SceneWriterBeside
from core.streaming import Interval
from core.streaming.reconstruct import RenderedFrame
from core.types import DynamicGaussians

_WAITING = 2
"""Intervals that may wait to be encoded."""
_logger = get_logger(__name__)


class SceneSink:
    """Append each interval to a scene file, as a context manager.

    A background thread encodes, or hands over to a process that does, a few intervals behind at
    most. The file can be played while it grows.

    Args:
        path: The file.
        fit: How the clip was fitted to the model.
        source: Name of the clip.
        frames_per_second: Frame rate of the clip.
        timed: Whether stream times are seconds; they are frame indices otherwise.
        grade: How finely attributes are quantised.
        beside: Whether another process encodes and writes.
    """

    def __init__(
        self,
        path: Path,
        fit: FrameFit,
        *,
        source: str,
        frames_per_second: float,
        timed: bool,
        grade: GradeName,
        beside: bool = False,
    ) -> None:
        self._path = path
        self._fit = fit
        self._source = source
        self._fps = frames_per_second
        self._seconds = 1.0 if timed else 1.0 / frames_per_second
        self._grade: GradeName = grade
        self._newest: Interval | None = None
        self._writer: SceneWriter | SceneWriterBeside | None = None
        self._begun: SceneWriter | SceneWriterBeside | None = None
        """The same, once it has the header."""
        self._process = SceneWriterBeside(path, GRADES[grade]) if beside else None
        self._worker = Worker(self._append, _WAITING, path.name)

    def __enter__(self) -> SceneSink:
        if self._process is not None:
            self._writer = self._process.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._worker.__exit__(None, None, None)  # what was handed over is kept in any case
        finally:
            if self._writer is not None:
                self._writer.__exit__(kind, error, trace)

    @property
    def num_bytes(self) -> int:
        """How long the file is."""
        return 0 if self._writer is None else self._writer.num_bytes

    def write(self, frames: Sequence[RenderedFrame]) -> None:
        """Append the interval of ``frames`` if it is a new one."""
        interval = frames[0].interval
        if interval is self._newest:
            return
        self._newest = interval
        if interval.num_survivors:
            warn_once(_logger, f"{self._path.name} leaves out the survivors of --max_persistent.")
        self._worker.put((interval, Download(interval.own_gaussians)))

    def finish(self) -> None:
        """Complete the file."""
        self._worker.finish()
        if self._writer is not None:
            self._writer.close()

    def _append(self, item: tuple[Interval, Download[DynamicGaussians]]) -> None:
        interval, gaussians = item
        writer = self._begun or self._begin(interval)
        writer.put(
            gaussians.result(),
            interval.first_time * self._seconds,
            interval.second_time * self._seconds,
            opens=interval.opens,
        )

    def _begin(self, interval: Interval) -> SceneWriter | SceneWriterBeside:
        header = SceneHeader.of_clip(
            self._fit, interval.num_first, frames_per_second=self._fps, source=self._source
        )
        if self._process is not None:
            self._process.begin(header)
            self._begun = self._process
        else:
            self._begun = self._writer = SceneWriter(self._path, header, GRADES[self._grade])
        return self._begun
