"""Where depth from motion must be found, and where not: ``benchmarks/depth_turning_camera.py``.

Procedural rooms, streets and landscapes, 14 key frames each, true depth of every pixel:

* turn: the camera turns after a large subject that walks and comes nearer. No parallax.
* still: the camera stands still, the subject walks.
* walk: the camera goes ahead, nothing moves.
* side: the camera goes sideways, nothing moves.
* walk, subject: the camera goes ahead, and the subject before it.

Columns: key frames with depth from motion; share of pixels whose depth is within a factor of 1.25,
each frame aligned by scale and shift of the inverse depth, of ``--depth motion`` and of the network
alone (``--depth none``), which was trained on scenes of this kind. Without parallax both are one.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import get_args

import cv2
import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from configs.options_inference import EMBEDDED_MODEL
from core.checks import UserError, cli_errors
from core.command_line import parse
from core.data.procedural.imaging.motion import CameraMotion
from core.data.procedural.options import ProceduralOptions
from core.data.procedural.perspective.drawing import Layout, draw_perspective_scenes
from core.geometry.fit import FrameFit
from core.geometry.resample import resize
from core.metrics.depth import align_inverse_depth, depth_errors
from core.models import load_model
from core.models.network import Network
from core.streaming.depth_from_motion import MatchedMotion
from core.streaming.pair_model import matching_of, own_inverse_depth

_KEY_FRAMES = 14
_SEED = 7


@dataclass(frozen=True)
class Options:
    """Measure depth from motion where the camera turns, stands still or moves."""

    resume: str = str(EMBEDDED_MODEL)
    """The network."""
    scenes: int = 2
    """Scenes of each layout."""


@dataclass(frozen=True)
class Case:
    """How the camera moves, and whether a subject walks before it."""

    name: str
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Yaw, pitch and roll within the clip, radians."""
    travel: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Right, down and ahead, in units of depth."""
    has_subject: bool = False

    def camera(self) -> CameraMotion:
        """Return the motion, even in time."""
        turn, travel = torch.zeros(1, 2, 3), torch.zeros(1, 2, 3)
        turn[0, 0], travel[0, 0] = torch.tensor(self.turn), torch.tensor(self.travel)
        return CameraMotion(turn, travel, zoom=torch.zeros(1, 2), shake=torch.zeros(1, 2, 3))


CASES = (
    Case("turn", turn=(0.35, 0.03, 0), has_subject=True),
    Case("still", has_subject=True),
    Case("walk", travel=(0.25, 0.03, 0.5), turn=(0.06, 0, 0)),
    Case("side", travel=(0.5, 0, 0), turn=(0.1, 0.02, 0)),
    Case("walk, subject", travel=(0.35, 0, 0.3), turn=(0.15, 0, 0), has_subject=True),
)


@dataclass(frozen=True)
class Clip:
    """Frames with their true inverse depth."""

    frames: UInt8[np.ndarray, "t h w 3"]
    inverse_depths: Float32[np.ndarray, "t h w"]


def draw(case: Case, layout: Layout, index: int) -> Clip:
    """Render a clip."""
    clip = _render(layout, index, case.camera(), _KEY_FRAMES)
    if not case.has_subject:
        return clip
    texture = _render("room", index + 20, Case("still").camera(), 1).frames[0]
    return _with_subject(clip, texture)


def _render(layout: Layout, index: int, camera: CameraMotion, count: int) -> Clip:
    options = ProceduralOptions(moving_fraction=0.0, sensor_noise=0.01)
    device = torch.device("cpu")
    scenes = draw_perspective_scenes(layout, _SEED, [index], options, device, camera=camera)
    views = scenes.render(torch.linspace(0, 1, count)[None])
    frames = (views.frames[0].clamp(0, 1) * 255).byte()
    return Clip(
        rearrange(frames, "t c h w -> t h w c").numpy(),
        views.inverse_depths.reshape(count, *frames.shape[-2:]).numpy(),
    )


def _with_subject(clip: Clip, texture: UInt8[np.ndarray, "h w 3"]) -> Clip:
    """Put an animal with swinging legs, which grows, into the middle of the picture."""
    height, width = clip.frames.shape[1:3]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    frames, depths = clip.frames.copy(), clip.inverse_depths.copy()
    for i, time in enumerate(np.linspace(0, 1, len(frames))):
        growth = 1 + 0.25 * time
        u = (x - width * (0.5 + 0.04 * np.sin(5 * time))) / (growth * width * 0.2)
        v = (y - height * (0.55 + 0.02 * np.sin(9 * time))) / (growth * height * 0.32)
        shape = (u**2 + (v / 0.75) ** 2 < 1) | (((u - 1) / 0.3) ** 2 + ((v + 0.6) / 0.35) ** 2 < 1)
        for place, phase in ((-0.5, 0), (-0.2, 2), (0.3, 4), (0.6, 1)):
            swing = 0.18 * np.sin(12 * time + phase)
            shape |= (np.abs(u - place - swing * (v - 0.5)) < 0.1) & (v > 0.4) & (v < 1.35)
        column = ((u * 0.4 + 0.4) * width).astype(np.float32)
        row = ((v * 0.32 + 0.4) * height).astype(np.float32)
        coat = cv2.remap(texture, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        alpha = cv2.GaussianBlur(shape.astype(np.float32), (0, 0), 0.7)[..., None]
        frames[i] = alpha * coat + (1 - alpha) * frames[i]
        depths[i][shape] = growth * 1.5 * np.percentile(clip.inverse_depths[i], 80)
    return Clip(frames, depths)


def good(maps: list[Float[Tensor, "h2 w2"]], clip: Clip) -> float:
    """Return the mean share of good pixels, each frame aligned by itself."""
    shares = []
    for values, inverse in zip(maps, clip.inverse_depths, strict=True):
        truth = torch.from_numpy(inverse).clamp_min(1e-3).flatten()
        full = resize(values[None, None], (inverse.shape[0], inverse.shape[1])).flatten()
        scale, shift = align_inverse_depth(full, truth)
        shares.append(depth_errors(scale * full + shift, truth).delta)
    return float(np.mean(shares))


@torch.inference_mode()
def measure(clip: Clip, model: Network) -> tuple[float, float, float]:
    """Return the share of key frames with depth from motion, its good share and the network's."""
    size = (model.config.image_height, model.config.image_width)
    fit = FrameFit((clip.frames.shape[1], clip.frames.shape[2]), size)
    matching = matching_of(model)
    if matching is None:
        raise UserError("the network has no matcher; give a tiny or small one.")
    motion = MatchedMotion()
    found, alone = [], []
    given = 0
    for frame in clip.frames:
        image = rearrange(torch.from_numpy(frame), "h w c -> 1 c h w").float() / 255
        own = own_inverse_depth(model, resize(image, size))
        depth = motion.see(matching, resize(image, size), fit).inverse_depth[0, 0]
        given += bool(depth.any())
        found.append(depth if depth.any() else own)
        alone.append(own)
    return given / len(found), good(found, clip), good(alone, clip)


@cli_errors
def main() -> None:
    """Run from the command line."""
    options = parse(Options)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    model = load_model(options.resume)
    print(f"{datetime.date.today()}; {options.scenes} scenes of each layout\n")
    print("| | with depth from motion | motion | network |")
    print("|---|---:|---:|---:|")
    for case in CASES:
        rows = [
            measure(draw(case, layout, index), model)
            for layout in get_args(Layout)
            for index in range(options.scenes)
        ]
        numbers = " | ".join(f"{value:.3f}" for value in np.mean(rows, axis=0))
        print(f"| {case.name} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
