"""Everything that a reconstructed clip leaves on disk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from core.checks import UserError
from core.outputs.frame_metrics import ClipMetrics, MetricsSink
from core.outputs.metrics_plot import plot_psnr
from core.outputs.orbit_sink import OrbitSink
from core.outputs.orbit_view import OrbitView
from core.outputs.overview_sink import OverviewSink
from core.outputs.pictures import depth_picture, rendered_picture, side_by_side_picture
from core.outputs.ply_sink import ExportedScene, PlySink
from core.streaming.reconstruct import Reconstruction, RenderedFrame
from core.outputs.sinks import FrameSink
from core.outputs.staging import Staging
from core.outputs.video_sink import VideoSink
from core.geometry.cameras import Lens
from core.geometry.fit import FrameFit
from core.io import FrameSource, VideoWriter
from core.logging import get_logger

_logger = get_logger(__name__)

RENDERED = "rendered.mp4"
SIDE_BY_SIDE = "side_by_side.mp4"
DEPTH = "depth.mp4"
ORBIT = "orbit.mp4"
OVERVIEW = "overview.png"
SCENE = "gaussians.ply"
METRICS = "metrics.json"
PLOT = "metrics.png"

_SHOWN_FRAME = 24
"""The frame of the overview: a second into most clips."""


@dataclass(frozen=True)
class OutputOptions:
    """What is written, and how."""

    fps: float = 24.0
    """Frame rate of the videos."""
    ply_time: float = 0.0
    """Frame index, as of :class:`RenderedFrame` or between two, at which the scene is exported."""
    orbit_frames: int = 96
    """Frames of one round of the orbit; 0 writes no orbit."""
    horizontal_fov_deg: float = 60.0
    """Field of view of the orbit and of the exported scene, degrees."""


@dataclass(frozen=True)
class Summary:
    """What a finished reconstruction amounts to."""

    metrics: ClipMetrics
    """Scores of every frame."""
    num_gaussians: int
    """Gaussians of one interval."""
    scene: ExportedScene
    """The scene file."""
    seconds_per_frame: float
    """Decoding, depth, model and rasteriser, per frame of the clip."""
    total_seconds: float
    """All of it, videos and orbit included."""

    def facts(self) -> list[tuple[str, str]]:
        """Return labels and values for a person."""
        frames = self.metrics.frames
        keys = sum(frame.role == "given" for frame in frames)
        return [
            ("Frames", str(len(frames))),
            ("Key frames", f"{keys}, every {self.metrics.frame_gap} and the last"),
            ("Gaussians per interval", f"{self.num_gaussians:,}"),
            ("Reconstruction", f"{self.seconds_per_frame:.3f} s a frame"),
            ("All outputs", f"{self.total_seconds:.1f} s"),
        ]


def write_outputs(
    reconstruction: Reconstruction,
    source: FrameSource,
    fit: FrameFit,
    options: OutputOptions,
    staging: Staging,
) -> Summary:
    """Reconstruct a clip and write videos, scene, scores and plot.

    When the clip cannot be read to its end, or Ctrl-C is pressed, what was reconstructed until then
    is completed and kept as an incomplete result; a stream has no end, and Ctrl-C is one.

    Raises:
        UserError: If the clip or its depth cannot be read to the end, or a file cannot be written.
    """
    start = time.perf_counter()
    failure: UserError | KeyboardInterrupt | None = None
    timed = _TimedFrames(reconstruction.frames(source, fit))
    counts = [n for n in (source.expected_frames, reconstruction.max_frames) if n is not None]
    expected = min(counts, default=None)
    with ExitStack() as stack:
        outputs = _Outputs(stack, staging.folder, fit, options, reconstruction)
        try:
            with tqdm(total=expected, unit="frame", disable=None) as progress:
                for frame in timed:
                    for sink in outputs.sinks:
                        sink.write(frame)
                    if source.dropped:
                        progress.set_postfix(dropped=source.dropped, refresh=False)
                    progress.update()
        except (UserError, KeyboardInterrupt) as error:
            if not outputs.metrics.metrics.frames:
                raise
            if isinstance(error, KeyboardInterrupt):
                _logger.info("stopping: what is reconstructed is completed; Ctrl-C discards it.")
            if not (source.is_stream and isinstance(error, KeyboardInterrupt)):
                failure = error
        for sink in outputs.sinks:
            sink.finish()
    if source.dropped:
        _logger.warning(
            "%d frames of %s came faster than the model works and were dropped.",
            source.dropped,
            source.path,
        )
    metrics = outputs.metrics.metrics
    plot_psnr(metrics, staging.folder / PLOT)
    if failure is not None:
        kept = staging.keep_incomplete()
        if isinstance(failure, KeyboardInterrupt):
            _logger.info("the %d frames so far are reconstructed in %s", len(metrics.frames), kept)
            raise failure
        raise UserError(
            f"{str(failure).rstrip('.')}; the {len(metrics.frames)} frames before it are "
            f"reconstructed in {kept}"
        ) from failure
    assert outputs.scene.written is not None
    return Summary(
        metrics=metrics,
        num_gaussians=timed.num_gaussians,
        scene=outputs.scene.written,
        seconds_per_frame=timed.seconds / len(metrics.frames),
        total_seconds=time.perf_counter() - start,
    )


class _Outputs:
    """The sinks of a clip, their files opened on ``stack``."""

    def __init__(
        self,
        stack: ExitStack,
        folder: Path,
        fit: FrameFit,
        options: OutputOptions,
        reconstruction: Reconstruction,
    ) -> None:
        height, width = fit.display_size
        lens = Lens(options.horizontal_fov_deg, fit.aspect)

        def video(name: str, columns: int = 1) -> VideoWriter:
            writer = VideoWriter(folder / name, (height, columns * width), options.fps)
            return stack.enter_context(writer)

        self.metrics = MetricsSink(folder / METRICS, fit, frame_gap=reconstruction.frame_gap)
        self.scene = PlySink(folder / SCENE, lens, fit, time=options.ply_time)
        view = OrbitView(lens, fit, backend=reconstruction.backend)
        self.sinks: list[FrameSink] = [
            VideoSink(video(RENDERED), rendered_picture, fit),
            VideoSink(video(SIDE_BY_SIDE, 2), side_by_side_picture, fit),
            VideoSink(video(DEPTH), depth_picture, fit),
            OverviewSink(folder / OVERVIEW, view, fit, index=_SHOWN_FRAME),
            self.scene,
            self.metrics,
        ]
        if options.orbit_frames:
            self.sinks.append(OrbitSink(video(ORBIT), view, period=options.orbit_frames))


class _TimedFrames:
    """Pass frames on, and note how long they took to make."""

    def __init__(self, frames: Iterator[RenderedFrame]) -> None:
        self._frames = frames
        self.seconds = 0.0
        self.num_gaussians = 0

    def __iter__(self) -> Iterator[RenderedFrame]:
        return self

    def __next__(self) -> RenderedFrame:
        start = time.perf_counter()
        try:
            frame = next(self._frames)
        finally:
            self.seconds += time.perf_counter() - start
        self.num_gaussians = frame.interval.gaussians.num_gaussians
        return frame
