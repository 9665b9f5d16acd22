"""Follow points through a clip and draw them onto its frames.

``python examples/04_tracking.py`` follows a grid of points through the embedded demo clip;
``--points 300 90 200 120`` chooses two by hand. Points move with the Gaussians that show them:
they are followed as well as the model has learnt motion. Depth is used where a folder named
``depth`` lies beside the clip.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from configs.options_inference import EMBEDDED_MODEL
from core.checks import UserError, cli_errors
from core.command_line import parse
from core.depth.source import open_depth
from core.devices import choose_device
from core.io.frames import open_frames
from core.io.video import VideoWriter
from core.logging import configure_logging
from core.models import load_model
from core.streaming import Interval, Session
from core.streaming.reconstruct import choose_fit
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


@cli_errors
@torch.inference_mode()
def main() -> None:
    """Run from the command line."""
    options = parse(Options)
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
    overlay = TrackOverlay(options.trail)
    images: dict[float, np.ndarray] = {}
    with (
        Session(model, frame_gap=options.frame_gap) as session,
        VideoWriter(options.output, size, source.fps or 24) as video,
    ):
        fit = choose_fit(source, session.image_size, "stretch")
        tracker = Tracker(points, float(first.index), fit)

        def draw(interval: Interval) -> None:
            tracks = tracker.advance(interval, [frame.time for frame in interval.frames])
            for i, frame in enumerate(interval.frames):
                video.write(overlay.draw(images.pop(frame.time), tracks.element(i)))

        for frame in frames:
            images[frame.index] = frame.image
            inverse_depth = partial(depth.inverse_depth, frame)
            for interval in session.push(frame.image, frame.index, inverse_depth, name=frame.name):
                draw(interval)
        for interval in session.end_shot():
            draw(interval)
    print(f"{video.num_frames} frames, {len(points)} points: {options.output}")


if __name__ == "__main__":
    main()
