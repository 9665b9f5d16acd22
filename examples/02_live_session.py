"""Reconstruct a live source, in constant memory.

``python examples/02_live_session.py`` plays the embedded demo clip as a camera would; ``--source
0`` takes the first camera of this computer, ``--source rtsp://...`` a stream. When the source is
faster than the model the newest frame wins, and those that it overtakes are counted.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from tqdm import tqdm

from configs.options_inference import EMBEDDED_MODEL
from core.checks import UserError, cli_errors
from core.command_line import parse
from core.devices import choose_device
from core.io import Frame, FrameSource
from core.io.background import newest
from core.io.frames import open_frames
from core.io.video import VideoWriter
from core.logging import configure_logging
from core.models import load_model
from core.outputs.pictures import to_8bit
from core.streaming import Session
from core.streaming.reconstruct import choose_fit

DEMO_CLIP = EMBEDDED_MODEL.parent / "demo_clip" / "clip.mp4"


@dataclass(frozen=True)
class Options:
    """Push a live source into a session and record what is rendered."""

    source: str = str(DEMO_CLIP)
    """The number of a camera, a URL, a video file or a folder of images."""
    output: Path = Path("outputs/02_live_session/live.mp4")
    """The video of input (left) and reconstruction (right)."""
    key_frames: int = 40
    """Key frames after which to stop; Ctrl-C stops as well."""
    play_fps: float = 3.0
    """Frames a second at which files are played."""
    renders: int = 2
    """Pictures for each key frame: at its time, and between it and the key frame before."""
    resume: str = str(EMBEDDED_MODEL)
    """The model: a .safetensors file, a folder with config.json, or a hub id."""
    device: str = "auto"
    """auto, cpu or cuda."""

    def __post_init__(self) -> None:
        if min(self.key_frames, self.renders, self.play_fps) <= 0:
            raise UserError("--key_frames, --renders and --play_fps: give numbers above 0.")


def play(source: FrameSource, fps: float) -> Generator[Frame, None, None]:
    """Give the frames of a file when a camera would."""
    start = time.perf_counter()
    for count, frame in enumerate(source):
        time.sleep(max(0.0, start + count / fps - time.perf_counter()))
        yield frame


@cli_errors
@torch.inference_mode()
def main() -> None:
    """Run from the command line."""
    options = parse(Options)
    configure_logging()
    device = choose_device(options.device)
    model = load_model(options.resume).to(device)
    source = open_frames(options.source)
    with Session(model) as warm_up:  # kernels are compiled at the first picture
        warm_up.push(source.peek().image)
        warm_up.render(0.0)

    overtaken: list[None] = []
    frames = iter(source)
    if not source.is_stream:
        frames = newest(play(source, options.play_fps), lambda: overtaken.append(None))
    with Session(model) as session:
        fit = choose_fit(source, session.image_size, "stretch")
        height, width = fit.display_size
        keys, start = 0, time.perf_counter()
        with (
            VideoWriter(options.output, (height, 2 * width), 12) as video,
            tqdm(total=options.key_frames, unit="key frame", disable=None) as bar,
            suppress(KeyboardInterrupt),
        ):
            for frame in islice(frames, options.key_frames):
                for interval in session.push(frame.image, frame.index):
                    step = interval.duration / options.renders
                    earlier = [interval.second_time - step * i for i in range(options.renders)]
                    target = interval.frames[-1].image
                    for rgb in session.render(earlier[::-1]).rgb[0]:
                        both = [fit.to_display(image) for image in (target, rgb[None])]
                        video.write(to_8bit(torch.cat(both, dim=-1)))
                keys += 1
                bar.update()
                bar.set_postfix(dropped=source.dropped + len(overtaken))
        rate = keys / (time.perf_counter() - start)
    dropped = source.dropped + len(overtaken)
    print(f"{rate:.1f} key frames a second, {dropped} frames dropped: {options.output}")


if __name__ == "__main__":
    main()
