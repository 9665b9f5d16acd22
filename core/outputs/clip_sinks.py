"""The sinks of a clip: who writes which of its files."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from core.checks import UserError
from core.geometry.cameras import Lens
from core.geometry.fit import FrameFit
from core.io import FrameSource
from core.io.video import VideoWriter, usual_rate
from core.io.video.encoding_beside import VideoBeside
from core.logging import get_logger
from core.outputs.file_names import (
    DEPTH,
    METRICS,
    ORBIT,
    OVERVIEW,
    PLAYER,
    PLOT,
    PLY,
    RENDERED,
    SCENE,
    SIDE_BY_SIDE,
)
from core.outputs.metrics_plot import plot_psnr
from core.outputs.options import OutputOptions
from core.outputs.pictures import (
    depth_pictures,
    input_pictures,
    rendered_pictures,
    side_by_side_pictures,
)
from core.outputs.sinks.frames import (
    DrawFrames,
    FrameSink,
    FramesSink,
    FrameVideo,
    OrbitSink,
    OverviewSink,
    PictureQueue,
)
from core.outputs.sinks.metrics import MetricsSink
from core.outputs.sinks.ply import PlySink
from core.outputs.sinks.scene import SceneSink
from core.outputs.views.orbit import OrbitView
from core.streaming import Session

Step = Callable[[], None]
WritePlayer = Callable[[Path, Path, Path | None], None]
_logger = get_logger(__name__)

_INPUT_CRF = 26.4
_INPUT_GROUP = 12
"""Of the video within the player, which is for comparing: small, and quick to seek in."""
_SHOWN_FRAME = 24
"""The frame of the overview: a second into most clips."""


class ClipSinks:
    """The sinks of a clip.

    Args:
        stack: Where their files are opened.
        folder: Where they lie.
        source: The clip.
        title: Its name, for people.
        fit: How its frames enter the model.
        options: What is written.
        session: Makes the scenes.
        with_input: Whether there is a video of the input, for the player.
        beside: Whether other processes encode videos and scene.
    """

    def __init__(
        self,
        stack: ExitStack,
        folder: Path,
        source: FrameSource,
        title: str,
        fit: FrameFit,
        options: OutputOptions,
        session: Session,
        *,
        with_input: bool,
        beside: bool,
    ) -> None:
        height, width = fit.display_size
        lens = Lens(options.horizontal_fov_deg, fit.aspect)

        timed = options.fps is None and source.is_timed
        fps = options.fps or usual_rate(source.fps)
        self._folder = folder
        self._ends: list[list[Step]] = []
        """The last steps of each video, but for that of the player."""
        videos: list[FrameVideo] = []

        def opened(writer: VideoWriter) -> tuple[PictureQueue, Step]:
            own = stack.enter_context(ExitStack())  # one that fails is no other's end
            video = own.enter_context(VideoBeside(writer) if beside else writer)
            return own.enter_context(PictureQueue(video)), own.close

        def add_frames(name: str, draw: DrawFrames, columns: int = 1) -> None:
            writer = VideoWriter(folder / name, (height, columns * width), fps, timed=timed)
            queue, close = opened(writer)
            videos.append(FrameVideo(queue, draw, timed))
            self._ends.append([close])

        view = OrbitView(lens, fit, backend=session.backend)
        add_frames(RENDERED, rendered_pictures)
        add_frames(SIDE_BY_SIDE, side_by_side_pictures, columns=2)
        add_frames(DEPTH, depth_pictures)
        self.metrics = MetricsSink(folder / METRICS, fit, frame_gap=session.frame_gap)
        self.ply = stack.enter_context(PlySink(folder / PLY, lens, fit, time=options.ply_time))
        self.scene = stack.enter_context(
            SceneSink(
                folder / SCENE,
                fit,
                source=title,
                frames_per_second=float(source.fps or fps),
                timed=source.is_timed,
                grade=options.scene_grade,
                beside=beside,
            )
        )
        self._overview = OverviewSink(folder / OVERVIEW, view, fit, index=_SHOWN_FRAME)
        self._close_input: Step | None = None
        self._input_video: Path | None = None
        """The input frames at their times, for the player; there until ``stack`` ends."""
        if with_input:
            scratch = Path(stack.enter_context(TemporaryDirectory(prefix="streamsplat-")))
            writer = VideoWriter(
                scratch / "input.mp4",
                (height, width),
                usual_rate(source.fps) if source.fps else fps,
                timed=source.is_timed,
                crf=_INPUT_CRF,
                max_group=_INPUT_GROUP,
            )
            self._input_video = writer.path
            queue, self._close_input = opened(writer)
            videos.append(FrameVideo(queue, input_pictures, source.is_timed))
        self.sinks: list[FrameSink] = [
            *(self._overview, self.ply, self.scene),
            FramesSink(videos, self.metrics, fit),
        ]
        if options.orbit_frames:
            queue, close = opened(VideoWriter(folder / ORBIT, (height, width), fps, timed=timed))
            orbit = OrbitSink(queue, view, period=options.orbit_frames, timed=timed)
            self.sinks.append(orbit)
            self._ends.append([orbit.finish, close])

    def ends(self, write_player: WritePlayer | None) -> list[list[Step]]:
        """Return the last steps, in lists that do not depend on one another."""
        plot = partial(plot_psnr, self.metrics.metrics, self._folder / PLOT)
        scene: list[Step] = [self.scene.finish]
        if self._close_input is not None:
            scene.append(self._close_input)
        if write_player is not None:
            scene.append(partial(_try_player, write_player, self._folder, self._input_video))
        return [
            *self._ends,
            [self.metrics.finish, plot],
            scene,
            [self._overview.finish],
            [self.ply.finish],
        ]


def _try_player(write_player: WritePlayer, folder: Path, input_video: Path | None) -> None:
    """Write the player; nothing else is lost if that is not possible."""
    try:
        write_player(folder / PLAYER, folder / SCENE, input_video)
    except UserError as error:
        _logger.warning("%s is left out: %s", PLAYER, error)
