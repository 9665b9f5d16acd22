"""The scene at one time of the clip, as a file for viewers of Gaussian splats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import torch

from core.export.placement import Placement
from core.export.ply import write_ply
from core.geometry.cameras import Lens
from core.geometry.fit import FrameFit
from core.io.background import Worker
from core.logging import get_logger
from core.streaming import Interval
from core.streaming.reconstruct import RenderedFrame

_logger = get_logger(__name__)


@dataclass(frozen=True)
class ExportedScene:
    """What a written file holds."""

    num_gaussians: int
    """How many Gaussians."""
    time: float
    """Frame index, whole or not, whose scene it is."""


class PlySink:
    """Wait for the interval that holds a time, and write the scene as it is then.

    A background thread writes, which takes as long as tens of frames; a context manager.

    Args:
        path: The PLY file.
        lens: Field of view, and the aspect of the model's picture.
        fit: How the clip was fitted to the model; what shows padding is left out.
        time: Frame index as of :class:`RenderedFrame`, between two frames if it is not whole; one
            beyond the end of the clip stands for its last frame, which is said, and one before its
            first frame or between two shots for the next frame.
    """

    def __init__(self, path: Path, lens: Lens, fit: FrameFit, *, time: float) -> None:
        self._path = path
        self._placement = Placement(lens, fit.shows)
        self._time = time
        self._newest: RenderedFrame | None = None
        self._found = False
        self._worker = Worker(self._write, 1, path.name)
        self.written: ExportedScene | None = None
        """What is in the file; None until it is written."""

    def __enter__(self) -> PlySink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._worker.__exit__(kind, error, trace)

    def write(self, frames: Sequence[RenderedFrame]) -> None:
        """Write the file at the frame that was waited for, or the first behind it."""
        for frame in frames:
            self._pass(frame)

    def _pass(self, frame: RenderedFrame) -> None:
        before, self._newest = self._newest, frame
        if self._found or self._time > frame.index:
            return
        self._found = True
        if before is not None and before.stream_time >= frame.interval.first_time:
            share = (self._time - before.index) / (frame.index - before.index)
            at = before.stream_time + share * (frame.stream_time - before.stream_time)
            self._worker.put((frame.interval, at, self._time))
        else:
            self._worker.put((frame.interval, frame.stream_time, frame.index))

    def finish(self) -> None:
        """Write the last scene if the clip ended before the time came."""
        if not self._found and self._newest is not None:
            last = self._newest
            _logger.warning(
                "ply_time %g is beyond the last frame; %s shows frame %g.",
                self._time,
                self._path.name,
                last.index,
            )
            self._worker.put((last.interval, last.stream_time, last.index))
        self._worker.finish()

    @torch.inference_mode()
    def _write(self, item: tuple[Interval, float, float]) -> None:
        interval, stream_time, index = item
        time = min(interval.pair_time(stream_time), 1.0)
        splats = self._placement.splats(interval.gaussians, time)
        write_ply(self._path, splats)
        self.written = ExportedScene(len(splats), index)
