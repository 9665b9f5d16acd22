"""Reconstruct a clip from every few frames and render times between its frames.

``python examples/01_offline_clip.py`` makes a slow-motion video and pictures of the embedded demo
clip; ``--frames my.mp4`` takes another. Depth is used where a folder named ``depth`` lies beside
the clip.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from configs.options_inference import EMBEDDED_MODEL
from core.checks import UserError, cli_errors
from core.command_line import parse
from core.depth.source import open_depth
from core.devices import choose_device
from core.io import write_png
from core.io.frames import open_frames
from core.io.video import VideoWriter
from core.logging import configure_logging
from core.models import load_model
from core.outputs.pictures import to_8bit
from core.streaming import Session
from core.streaming.reconstruct import ClipReconstructor, choose_fit

DEMO_CLIP = EMBEDDED_MODEL.parent / "demo_clip" / "clip.mp4"


@dataclass(frozen=True)
class Options:
    """Reconstruct a clip and render it in slow motion."""

    frames: str = str(DEMO_CLIP)
    """A video file or a folder of images."""
    output_dir: Path = Path("outputs/01_offline_clip")
    """Where the results are put."""
    frame_gap: int = 3
    """Distance between key frames; the model sees no others."""
    slow: int = 4
    """Rendered frames for each frame of the clip."""
    max_frames: int = 25
    """Frames of the clip that are taken at most."""
    resume: str = str(EMBEDDED_MODEL)
    """The model: a .safetensors file, a folder with config.json, or a hub id."""
    device: str = "auto"
    """auto, cpu or cuda."""

    def __post_init__(self) -> None:
        for name, least in {"frame_gap": 1, "slow": 1, "max_frames": 2}.items():
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

    with Session(model, frame_gap=options.frame_gap) as session:
        fit = choose_fit(source, session.image_size, "stretch")
        intervals = ClipReconstructor(session, depth, options.max_frames).intervals(source)
        keys = 0
        path = options.output_dir / "slow_motion.mp4"
        with VideoWriter(path, fit.display_size, source.fps or 24) as video:
            for interval in tqdm(intervals, unit="interval", disable=None):
                keys = interval.second + 1
                steps = options.slow * max(1, round(interval.duration))
                rendered = session.render_interval(interval, [i / steps for i in range(steps)])
                pictures = [to_8bit(fit.to_display(image[None])) for image in rendered.rgb[0]]
                for picture in pictures:
                    video.write(picture)
                name = f"time_{interval.first_time + interval.duration / 2:g}.png"
                write_png(options.output_dir / name, pictures[steps // 2].numpy())
    print(f"{video.num_frames} frames of {keys} key frames: {video.path}")


if __name__ == "__main__":
    main()
