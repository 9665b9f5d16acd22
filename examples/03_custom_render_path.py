"""Fly a camera of your own through the scene while time goes on.

``python examples/03_custom_render_path.py`` swings around the embedded demo clip and comes closer,
at a quarter of its speed. Depth is used where a folder named ``depth`` lies beside the clip;
without depth there is little parallax.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from configs.options_inference import EMBEDDED_MODEL
from core.checks import UserError, cli_errors
from core.command_line import parse
from core.depth.source import open_depth
from core.devices import choose_device
from core.geometry.cameras import Lens, Orbit, fit_orbit, look_at
from core.geometry.lift import lift
from core.geometry.motion import freeze_at
from core.io.frames import open_frames
from core.io.video import VideoWriter
from core.logging import configure_logging
from core.models import load_model
from core.outputs.pictures import to_8bit
from core.rendering.perspective import render_perspective
from core.streaming import Session
from core.streaming.reconstruct import ClipReconstructor, choose_fit

DEMO_CLIP = EMBEDDED_MODEL.parent / "demo_clip" / "clip.mp4"


@dataclass(frozen=True)
class Options:
    """Render a clip from a camera path."""

    frames: str = str(DEMO_CLIP)
    """A video file or a folder of images."""
    output: Path = Path("outputs/03_custom_render_path/path.mp4")
    """The video."""
    frame_gap: int = 6
    """Distance between key frames."""
    key_frames: int = 5
    """Key frames that are taken at most, at least 2."""
    slow: int = 4
    """Rendered frames for each frame of the clip; 4 is a quarter of its speed."""
    closer: float = 0.1
    """How far the camera comes, as a share of the way to the middle of the scene."""
    resume: str = str(EMBEDDED_MODEL)
    """The model: a .safetensors file, a folder with config.json, or a hub id."""
    device: str = "auto"
    """auto, cpu or cuda."""

    def __post_init__(self) -> None:
        if self.frame_gap < 1 or self.slow < 1 or self.key_frames < 2:
            raise UserError("--frame_gap and --slow: give at least 1; --key_frames: at least 2.")
        if not 0 <= self.closer < 1:
            raise UserError(f"--closer is {self.closer:g}; expected a share in [0, 1).")


def camera_at(phase: float, orbit: Orbit, closer: float) -> torch.Tensor:
    """Return ``cam_from_world`` at a phase from 0 to 1: once around a lying eight, in and out."""
    turn = 2 * math.pi * phase
    x, y = math.sin(turn), 0.5 * math.sin(2 * turn)
    z = closer * orbit.focus_depth * (1 - math.cos(turn)) / 2
    eye = torch.tensor([orbit.radius * x, orbit.radius * y, z])
    return look_at(eye, torch.tensor([0.0, 0.0, orbit.focus_depth]))


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

    frames = options.frame_gap * (options.key_frames - 1)
    with Session(model, frame_gap=options.frame_gap) as session:
        fit, orbit = choose_fit(source, session.image_size, "stretch"), None
        lens = Lens(aspect=fit.aspect)
        intervals = ClipReconstructor(session, depth, frames + 1).intervals(source)
        with (
            VideoWriter(options.output, fit.display_size, source.fps or 24) as video,
            tqdm(total=options.slow * frames, unit="frame", disable=None) as bar,
        ):
            for interval in intervals:
                steps = options.slow * round(interval.duration)
                for step in range(steps):
                    scene = lift(freeze_at(interval.gaussians, step / steps), lens)
                    orbit = orbit or fit_orbit(scene.means[scene.valid][:, 2], lens)
                    phase = video.num_frames / (options.slow * frames)
                    pose = camera_at(phase, orbit, options.closer).to(device)
                    view = render_perspective(scene, pose[None], lens.zoomed(1.06), fit.model_size)
                    video.write(to_8bit(fit.to_display(view.rgb[0])))
                    bar.update()
    print(f"{video.num_frames} frames: {options.output}")


if __name__ == "__main__":
    main()
