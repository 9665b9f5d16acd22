"""Everything that a reconstructed clip leaves on disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import NoReturn, TypeVar

from tqdm import tqdm

from core.checks import UserError, naming
from core.export.formats import file_name
from core.geometry.fit import FrameFit
from core.io import FrameSource
from core.io.processes.beside import pays_beside
from core.logging import get_logger
from core.outputs.clip_sinks import ClipSinks, Step, WritePlayer
from core.outputs.file_names import (
    DEPTH,
    ORBIT,
    OVERVIEW,
    PAGE,
    PLAYER,
    PLOT,
    PLY,
    RENDERED,
    SCENE,
    SIDE_BY_SIDE,
)
from core.outputs.options import ExportOptions, OutputOptions
from core.outputs.page import Page, ScoreRow, Video, write_page
from core.outputs.scene_exports import check_format, export_scene
from core.outputs.sinks.metrics import ClipMetrics, Role
from core.outputs.sinks.ply import ExportedScene
from core.outputs.staging import Staging
from core.scene_file import open_scene
from core.streaming.reconstruct import ClipReconstructor, RenderedFrame
from core.text import source_name

T = TypeVar("T")
_logger = get_logger(__name__)


@dataclass(frozen=True)
class Summary:
    """What was reconstructed and written."""

    metrics: ClipMetrics
    """Scores of every frame."""
    num_gaussians: int
    """Gaussians of one interval."""
    ply: ExportedScene
    """The PLY file."""
    scene_bytes: int
    """Size of the scene file."""
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
    reconstructor: ClipReconstructor,
    source: FrameSource,
    fit: FrameFit,
    options: OutputOptions,
    staging: Staging,
    facts: Sequence[tuple[str, str]] = (),
    write_player: WritePlayer | None = None,
) -> Summary:
    """Reconstruct a clip and write videos, scene, scores, plot and the page that shows them.

    When the clip cannot be read to its end, Ctrl-C is pressed, or anything fails later on, what was
    reconstructed until then is completed and kept as an incomplete result; a stream has no end,
    and Ctrl-C is one.

    Args:
        reconstructor: Renders the clip.
        source: The clip.
        fit: How its frames enter the model.
        options: What is written.
        staging: Where files are written.
        facts: What else the page says of the reconstruction: labels and values.
        write_player: Writes a page (first argument) that plays a scene file (second argument) and
            shows a video of the input beside it (third argument, None for none).

    Raises:
        UserError: If the clip or its depth cannot be read to the end, or a file cannot be written.
    """
    start = time.perf_counter()
    # Beside the first frames: for depth in colours and the plot.
    threading.Thread(target=import_module, args=["matplotlib.figure"], daemon=True).start()
    failure: Exception | KeyboardInterrupt | None = None
    timed = _TimedFrames(reconstructor.frames(source))
    counts = [n for n in (source.expected_frames, reconstructor.max_frames) if n is not None]
    expected = min(counts, default=None)
    with ExitStack() as stack:
        outputs = ClipSinks(
            stack,
            staging.folder,
            source,
            _title(source),
            fit,
            options,
            reconstructor.session,
            with_input=write_player is not None and options.html_frames,
            beside=pays_beside(reconstructor.session.device.type),
        )
        try:
            with tqdm(total=expected, unit="frame", disable=None) as progress:
                for frames in timed:
                    for sink in outputs.sinks:
                        sink.write(frames)
                    if source.dropped:
                        progress.set_postfix(dropped=source.dropped, refresh=False)
                    progress.update(len(frames))
        except (Exception, KeyboardInterrupt) as error:
            if not outputs.metrics.num_frames:
                raise
            if isinstance(error, KeyboardInterrupt):
                _logger.info("stopping: what is reconstructed is completed; Ctrl-C discards it.")
            if not (source.is_stream and isinstance(error, KeyboardInterrupt)):
                failure = error
        completion = _Completion()
        completion.attempt_all(outputs.ends(write_player))
    if source.dropped:
        _logger.warning(
            "%d frames of %s came faster than the model works and were dropped.",
            source.dropped,
            source.path,
        )
    metrics = outputs.metrics.metrics
    if failure is not None:
        _keep(staging, failure, f"the {len(metrics.frames)} frames before it are reconstructed")

    depth = reconstructor.depth

    def finish() -> Summary:
        assert outputs.ply.written is not None
        summary = Summary(
            metrics=metrics,
            num_gaussians=timed.num_gaussians,
            ply=outputs.ply.written,
            scene_bytes=outputs.scene.num_bytes,
            seconds_per_frame=timed.seconds / len(metrics.frames),
            total_seconds=time.perf_counter() - start,
        )
        all_facts = [
            *facts,
            ("Depth", depth.description if depth else "from the motion of the camera"),
            ("Frame size", f"{fit.input_size[1]} by {fit.input_size[0]} px"),
            ("Fit", f"{fit.mode} to {fit.model_size[1]} by {fit.model_size[0]} px"),
            *summary.facts(),
            *_lost_frames(source),
        ]
        has_player = (staging.folder / PLAYER).exists()
        write_page(staging.folder / PAGE, _page(source, options, summary, all_facts, has_player))
        return summary

    summary = None if completion.failure else completion.attempt(finish)
    if summary is None:
        assert completion.failure is not None
        _keep(staging, completion.failure, "what else was written is")
    return summary


class _Completion:
    """Does the last steps of a clip, each also where another has failed."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        """The first of them."""

    def attempt(self, step: Callable[[], T]) -> T | None:
        try:
            return step()
        except Exception as error:  # of any type: what else is there is kept
            self.failure = self.failure or error
            return None

    def attempt_all(self, ends: Sequence[Sequence[Step]]) -> None:
        """Attempt the steps of several ends, each end in a thread of its own."""

        def attempt_steps(steps: Sequence[Step]) -> None:
            for step in steps:
                self.attempt(step)

        with ThreadPoolExecutor(len(ends), "ends") as threads:
            list(threads.map(attempt_steps, ends))


def _keep(staging: Staging, failure: Exception | KeyboardInterrupt, what: str) -> NoReturn:
    """Keep what was written as an incomplete result, and raise what kept it from completion."""
    kept = staging.keep_incomplete()
    if not isinstance(failure, UserError):
        _logger.info("%s in %s", what, kept)
        raise failure
    raise UserError(f"{str(failure).rstrip('.')}; {what} in {kept}") from failure


def check_exports(options: OutputOptions) -> None:
    """Check that what :func:`export_outputs` needs is installed.

    Raises:
        UserError: If it is not.
    """
    for kind in options.export:
        with naming("--export"):
            check_format(kind)


def export_outputs(folder: Path, options: OutputOptions) -> None:
    """Write the scene of a complete result in the formats that the options name.

    Raises:
        UserError: If a file cannot be written; those before it are complete.
    """
    if not options.export:
        return
    with open_scene(folder / SCENE) as reader:
        first, last = reader.intervals[0].first_time, reader.intervals[-1].second_time
        time = min(max(options.ply_time / reader.header.frames_per_second, first), last)
        how = ExportOptions(time=time, fov=options.horizontal_fov_deg)
        for kind in options.export:
            path = folder / file_name(Path(SCENE).stem, kind)
            _logger.info("%s: %s", path, export_scene(reader, kind, path, how))


def _lost_frames(source: FrameSource) -> list[tuple[str, str]]:
    """Return labels and counts of the frames that were not reconstructed, if any."""
    facts = []
    if source.skipped:
        facts.append(("Skipped", f"{source.skipped} frames that could not be decoded"))
    if source.dropped:
        facts.append(("Dropped", f"{source.dropped} frames that came faster than the model works"))
    return facts


def _page(
    source: FrameSource,
    options: OutputOptions,
    summary: Summary,
    facts: list[tuple[str, str]],
    has_player: bool,
) -> Page:
    videos = [
        Video(RENDERED, "Reconstruction", "Key frames and all frames in between."),
        Video(DEPTH, "Depth", "Normalised inverse depth; bright is near."),
    ]
    if options.orbit_frames:
        caption = "The scene as time goes on, from a camera that circles the input viewpoint."
        videos.append(Video(ORBIT, "Novel views", caption))
    labels: dict[str, Role | None] = {
        "given (key frames)": "given",
        "middle (in between)": "middle",
        "all": None,
    }
    means = {label: summary.metrics.mean(role) for label, role in labels.items()}
    ply = summary.ply
    return Page(
        title=_title(source),
        preview=OVERVIEW,
        player=PLAYER if has_player else None,
        lead=Video(SIDE_BY_SIDE, "Input and reconstruction", "Input left, reconstruction right."),
        videos=videos,
        plot=PLOT,
        scores=[
            ScoreRow(
                label,
                mean.frames,
                (mean.native.psnr, mean.native.ssim),
                (mean.published.psnr, mean.published.ssim),
            )
            for label, mean in means.items()
            if mean is not None
        ],
        facts=facts,
        ply=PLY,
        ply_note=f"{ply.num_gaussians:,} Gaussians as they are at frame {ply.time:g}",
        scene=SCENE,
        scene_note=f"the whole scene over time in {summary.scene_bytes / 1e6:.1f} MB",
    )


def _title(source: FrameSource) -> str:
    return source_name(source.path if source.is_stream else Path(source.path).resolve().name)


class _TimedFrames:
    """Pass frames on, and note how long they took to make."""

    def __init__(self, frames: Iterator[Sequence[RenderedFrame]]) -> None:
        self._frames = frames
        self.seconds = 0.0
        self.num_gaussians = 0

    def __iter__(self) -> Iterator[Sequence[RenderedFrame]]:
        return self

    def __next__(self) -> Sequence[RenderedFrame]:
        start = time.perf_counter()
        try:
            frames = next(self._frames)
        finally:
            self.seconds += time.perf_counter() - start
        self.num_gaussians = frames[0].interval.gaussians.num_gaussians
        return frames
