"""The whole dynamic scene as a file, written while the clip is reconstructed."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from core.geometry.fit import FrameFit
from core.logging import get_logger, warn_once
from core.scene_file import GRADES, GradeName, SceneHeader, SceneWriter
from core.streaming import Interval
from core.streaming.reconstruct import RenderedFrame

_logger = get_logger(__name__)


class SceneSink:
    """Append each interval to a scene file, as a context manager.

    A background thread encodes, one interval behind at most. The file can be played while it grows.

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
        self._pool = ThreadPoolExecutor(1, "scene_sink")
        self._stack = ExitStack()
        self._newest: Interval | None = None
        self._writer: SceneWriter | None = None
        self._pending: Future[None] | None = None

    def __enter__(self) -> SceneSink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown()
        self._stack.__exit__(kind, error, trace)

    @property
    def num_bytes(self) -> int:
        """How long the file is."""
        return 0 if self._writer is None else self._writer.num_bytes

    def write(self, frame: RenderedFrame) -> None:
        """Append the interval of ``frame`` if it is a new one."""
        if frame.interval is self._newest:
            return
        self._newest = frame.interval
        self._append(frame.interval)

    def finish(self) -> None:
        """Complete the file."""
        self._wait()
        if self._writer is not None:
            self._writer.close()

    def _append(self, interval: Interval) -> None:
        if interval.num_survivors:
            warn_once(_logger, f"{self._path.name} leaves out the survivors of --max_persistent.")
        gaussians = interval.own_gaussians.to("cpu")
        if self._writer is None:
            self._writer = self._stack.enter_context(self._open(interval))
        self._wait()
        self._pending = self._pool.submit(
            self._writer.append,
            gaussians,
            interval.first_time * self._seconds,
            interval.second_time * self._seconds,
            opens=interval.opens,
        )

    def _open(self, interval: Interval) -> SceneWriter:
        header = SceneHeader.of_clip(
            self._fit, interval.num_first, frames_per_second=self._fps, source=self._source
        )
        return SceneWriter(self._path, header, GRADES[self._grade])

    def _wait(self) -> None:
        """Raise what the interval before has met."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()
