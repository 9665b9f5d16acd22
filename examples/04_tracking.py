"""Follow points through a clip and draw them onto its frames.

``python examples/04_tracking.py`` follows a grid of points through the embedded demo clip;
``--points 300 90 200 120`` chooses two by hand. Points are carried by the Gaussians that show them:
they are followed as well as the model has learnt motion. Depth is used where a folder named
``depth`` lies beside the clip.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from pathlib import Path

import torch
import tyro
from tqdm import tqdm

from configs.options_inference import EMBEDDED_MODEL
from core.checks import UserError, cli_errors
from core.depth.source import DepthSource, open_depth
from core.devices import choose_device
from core.io import Frame, VideoWriter, open_frames
from core.logging import configure_logging
from core.models import load_model
from core.streaming import CutDetector, Interval, Session
from core.tracking import Tracker, TrackOverlay, grid_points

DEMO_CLIP = EMBEDDED_MODEL.parent / "demo_clip" / "clip.mp4"


@dataclass(frozen=True)
class Options:
    """Follow points through a clip."""

    frames: str = str(DEMO_CLIP)
    """A video file, a folder of images, a URL, or the number of a camera."""
    output: Path = Path("outputs/04_tracking/tracks.mp4")
    """The video of the frames with the points on them."""
    points: tuple[tuple[float, float], ...] = ()
    """Pixel coordinates u v in the first frame, one pair after the other; none stand for a grid."""
    columns: int = 16
    """Points of the grid side by side."""
    trail: int = 12
    """Frames over which trails reach back."""
    frame_gap: int = 3
    """Distance between key frames."""
    max_frames: int = 37
    """Frames that are taken at most."""
    resume: str = str(EMBEDDED_MODEL)
    """The model: a .safetensors file, a folder with config.json, or a hub id."""
    device: str = "auto"
    """auto, cpu or cuda."""

    def __post_init__(self) -> None:
        for name, least in {"columns": 1, "trail": 0, "frame_gap": 1, "max_frames": 2}.items():
            if getattr(self, name) < least:
                raise UserError(f"--{name.replace('_', '-')}: give at least {least}.")


def walk(
    frames: Iterable[Frame], session: Session, depth: DepthSource, gap: int
) -> Iterator[tuple[Interval, list[Frame]]]:
    """Yield the intervals of a clip, in order, with the frames within them: each frame once.

    Key frames are every ``gap``-th frame of a shot and its last one.

    Raises:
        UserError: If a frame has another size than the ones before it.
    """
    cuts = CutDetector()
    begins = ((frame, cuts.is_cut(frame.image)) for frame in frames)
    waiting: list[Frame] = []
    place = 0  # in the shot
    for (frame, _), (_, is_last) in pairwise(chain(begins, [(None, True)])):
        assert frame is not None
        check_size(frame, session)
        waiting.append(frame)
        closed: list[Interval | None] = []
        if is_last or place % gap == 0:
            closed.append(session.push(frame.image, frame.index, depth.inverse_depth(frame)))
        if is_last:
            closed.append(session.end_shot())  # a shot of one frame
        place = 0 if is_last else place + 1
        for interval in closed:
            if interval is not None:
                inside = [f for f in waiting if f.index <= interval.second_time]
                waiting = waiting[len(inside) :]
                yield interval, inside


def check_size(frame: Frame, session: Session) -> None:
    """Refuse a frame that does not fit the ones before it; the session sees key frames only."""
    height, width = frame.image.shape[:2]
    if session.fit is not None and session.fit.input_size != (height, width):
        raise UserError(
            f"frame {frame.name} is {width} by {height} pixels, the ones before it "
            f"{session.fit.input_size[1]} by {session.fit.input_size[0]}; bring them to one size."
        )


@cli_errors
@torch.inference_mode()
def main() -> None:
    """Run from the command line."""
    options = tyro.cli(Options)
    configure_logging()
    device = choose_device(options.device)
    model = load_model(options.resume).to(device)
    source = open_frames(options.frames)
    maps = Path(options.frames).parent / "depth"
    depth = open_depth(maps if maps.is_dir() else None, source, device, Path("checkpoints"))

    first = source.peek()
    size = (first.image.shape[0], first.image.shape[1])
    points = torch.tensor(options.points) if options.points else grid_points(size, options.columns)
    frames = tqdm(islice(source, options.max_frames), unit="frame", disable=None)
    tracker, overlay = None, TrackOverlay(options.trail)
    with (
        Session(model, detect_cuts=False) as session,  # between key frames there are cuts, too
        VideoWriter(options.output, size, source.fps or 24) as video,
    ):
        for interval, inside in walk(frames, session, depth, options.frame_gap):
            assert session.fit is not None
            tracker = tracker or Tracker(points, float(first.index), session.fit)
            tracks = tracker.advance(interval, [float(frame.index) for frame in inside])
            for i, frame in enumerate(inside):
                video.write(overlay.draw(frame.image, tracks.element(i)))
    print(f"{video.num_frames} frames, {len(points)} points: {options.output}")


if __name__ == "__main__":
    main()
