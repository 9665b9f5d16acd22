"""The whole dynamic scene as a file, written while the clip is reconstructed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from core.devices import Download
from core.geometry.fit import FrameFit
from core.io.background import Worker
from core.logging import get_logger, warn_once
from core.scene_file import GRADES, GradeName, SceneHeader, SceneWriter
from core.streaming import Interval
from core.streaming.reconstruct import RenderedFrame
from core.types import DynamicGaussians

_WAITING = 2
"""Intervals that may wait to be encoded."""
_logger = get_logger(__name__)


class SceneSink:
    """Append each interval to a scene file, as a context manager.

    A background thread encodes, a few intervals behind at most: it quantises one while others
    encode the images of the one before. The file can be played while it grows.

    Args:
        path: The file.
        fit: How the clip was fitted to the model.
        source: Name of the clip.
        frames_per_second: Frame rate of the clip.
        timed: Whether stream times are seconds; they are frame indices otherwise.
        grade: How finely attributes are quantised.
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
    ) -> None:
        self._path = path
        self._fit = fit
        self._source = source
        self._fps = frames_per_second
        self._seconds = 1.0 if timed else 1.0 / frames_per_second
        self._grade: GradeName = grade
        self._newest: Interval | None = None
        self._writer: SceneWriter | None = None
        self._started: Callable[[], None] | None = None
        """Writes the interval whose images are being encoded."""
        self._worker = Worker(self._append, _WAITING, path.name)

    def __enter__(self) -> SceneSink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._worker.__exit__(None, None, None)  # what was handed over is kept in any case
            self._write_started()
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
        self._write_started()
        if self._writer is not None:
            self._writer.close()

    def _append(self, item: tuple[Interval, Download[DynamicGaussians]]) -> None:
        interval, gaussians = item
        if self._writer is None:
            self._writer = self._open(interval)
        started = self._writer.start(
            gaussians.result(),
            interval.first_time * self._seconds,
            interval.second_time * self._seconds,
            opens=interval.opens,
        )
        self._write_started()
        self._started = started

    def _write_started(self) -> None:
        started, self._started = self._started, None
        if started is not None:
            started()

    def _open(self, interval: Interval) -> SceneWriter:
        header = SceneHeader.of_clip(
            self._fit, interval.num_first, frames_per_second=self._fps, source=self._source
        )
        return SceneWriter(self._path, header, GRADES[self._grade])
