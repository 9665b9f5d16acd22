"""Write the demo clip: ``python -m tools.demo_clip --output <folder>``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange

from core.checks import cli_errors
from core.command_line import parse
from core.geometry.canonical import normalize_inverse_depth
from core.io.stills.depth_maps import write_depth_png16
from core.io.video import VideoWriter
from core.logging import configure_logging, get_logger
from tools.demo_clip.scene import build_demo_scene

_SUPERSAMPLING = 2
_logger = get_logger(__name__)


@dataclass(frozen=True)
class DemoClipOptions:
    """Where the clip goes and how long it is."""

    output: Path = Path("core/assets/demo_clip")
    """Folder for clip.mp4 and depth/*.png; made if missing, files of these names are replaced."""
    num_frames: int = 48
    """Frames of the clip; the same path of the camera is walked in more or fewer steps."""
    fps: int = 24
    """Frames per second."""
    height: int = 288
    """Height of the frames in pixels."""
    width: int = 512
    """Width of the frames in pixels."""


def write_demo_clip(options: DemoClipOptions) -> None:
    """Render the demo scene into a video and a 16-bit inverse depth map for each frame.

    Frames are rendered larger and averaged; depth maps are not, since depths do not mix.

    Raises:
        UserError: If the files cannot be written.
    """
    size = (options.height, options.width)
    native = build_demo_scene(size)
    fine = replace(native, image_size=(_SUPERSAMPLING * size[0], _SUPERSAMPLING * size[1]))
    depth_folder = options.output / "depth"
    depth_folder.mkdir(parents=True, exist_ok=True)
    times = torch.linspace(0.0, 1.0, options.num_frames)
    with VideoWriter(options.output / "clip.mp4", size, options.fps) as video:
        for index, time in enumerate(times):
            frame = F.avg_pool2d(fine.render(time.view(1, 1)).frames[0, 0], _SUPERSAMPLING)
            frame = (255.0 * frame).round().to(torch.uint8)
            video.write(rearrange(frame, "c h w -> h w c").numpy())
            inverse_depth = native.render(time.view(1, 1)).inverse_depths[0, 0, 0]
            write_depth_png16(
                depth_folder / f"{index:05d}.png", normalize_inverse_depth(inverse_depth)
            )
    _logger.info("wrote %d frames and depth maps to %s.", options.num_frames, options.output)


@cli_errors
def main() -> None:
    """Write the demo clip."""
    configure_logging()
    write_demo_clip(parse(DemoClipOptions))


if __name__ == "__main__":
    main()
