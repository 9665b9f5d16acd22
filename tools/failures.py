"""Draws what the embedded network cannot do: ``python -m tools.failures``.

Procedural scenes in which it fails as it does on videos, without depth maps: two key frames, the
truth in the middle between them, what the network shows there, and its error; in the last row its
depth, and views of the scene from either side. The numbers of scenes are those of
``evaluate.py --data procedural``. The picture belongs to the model card.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from configs.options_inference import EMBEDDED_MODEL
from core.checks import cli_errors
from core.command_line import parse
from core.evaluation.data.scenes import SceneClip, open_scenes
from core.geometry.cameras import Lens, fit_orbit
from core.geometry.lift import lift
from core.geometry.motion import freeze_at
from core.io.atomic import write_bytes
from core.io.stills.sheets import Panel, color_inverse_depth, draw_sheet
from core.models import Network, load_model
from core.outputs.pictures import seen_inverse_depth
from core.rendering import render
from core.rendering.perspective import render_perspective
from core.types import DynamicGaussians

_TIMES = (0.0, 0.25, 0.5)
"""Scene times of the first key frame, the middle, and the second key frame."""
_LARGEST_ERROR = 0.25
"""Mean absolute error of a pixel that is shown brightest."""
_PANEL_SIZE = (180, 320)
_QUALITY = 88
_ZOOM = 1.06
"""Keeps the edge of the scene out of the views."""
_DEPTH_SCENE = 35

Picture = UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True)
class Failure:
    """A part of a procedural scene in which the network fails."""

    scene: int
    """Which scene."""
    left: int
    """Where the part that is shown begins, in pixels."""
    top: int
    """The same from above."""
    width: int
    """How wide it is; its height follows."""

    def cut(self, picture: Picture) -> Picture:
        """Return that part of a picture."""
        height = self.width * _PANEL_SIZE[0] // _PANEL_SIZE[1]
        part = picture[self.top : self.top + height, self.left : self.left + self.width]
        return cv2.resize(part, _PANEL_SIZE[::-1], interpolation=cv2.INTER_AREA)


FAILURES = (
    Failure(scene=9, left=64, top=0, width=448),
    Failure(scene=17, left=60, top=120, width=288),
    Failure(scene=4, left=224, top=36, width=288),
    Failure(scene=30, left=192, top=60, width=320),
)


@dataclass(frozen=True)
class FailureOptions:
    """Draw failures of the network for its model card."""

    resume: str = str(EMBEDDED_MODEL)
    """The network: a folder, a .safetensors file, or a hub id."""
    output: Path = EMBEDDED_MODEL / "failures.jpg"
    """Where the picture is put."""


@torch.inference_mode()
def draw_failures(model: Network, failures: tuple[Failure, ...] = FAILURES) -> Picture:
    """Return the sheet of pictures."""
    size = (model.config.image_height, model.config.image_width)
    count = 1 + max(_DEPTH_SCENE, *(failure.scene for failure in failures))
    clips = open_scenes(count, size)
    rows = []
    for number, failure in enumerate(failures, start=1):
        clip = clips[failure.scene]
        assert isinstance(clip, SceneClip)
        frames, _ = _views(clip)
        shown = render(decode(model, frames), torch.tensor([[0.5]]), size).rgb[0, 0].clamp(0, 1)
        error = ((shown - frames[1]).abs().mean(dim=0) / _LARGEST_ERROR).clamp(0, 1)
        pictures = {
            f"{number}: key frame": pixels(frames[0]),
            "key frame": pixels(frames[2]),
            "in the middle: the truth": pixels(frames[1]),
            "the network": pixels(shown),
            "its error": color_inverse_depth(error.numpy()),
        }
        rows.append([Panel(label, failure.cut(p)) for label, p in pictures.items()])
    clip = clips[_DEPTH_SCENE]
    assert isinstance(clip, SceneClip)
    rows.append(_depth_row(len(rows) + 1, model, clip))
    return draw_sheet(rows)


def decode(model: Network, frames: Float[Tensor, "3 3 h w"]) -> DynamicGaussians:
    """Return the scene of the first and the last frame, without depth maps."""
    none = torch.zeros_like(frames[:1, :1])
    return model.decode(model.encode(frames[:1], none), model.encode(frames[2:], none))


def pixels(image: Float[Tensor, "3 h w"]) -> Picture:
    """Return an image, 0 to 1, as 8 bits."""
    return (rearrange(image, "c h w -> h w c") * 255).round().byte().numpy()


def _views(clip: SceneClip) -> tuple[Float[Tensor, "3 3 h w"], Float[Tensor, "3 h w"]]:
    views = clip.scene.render(torch.tensor([_TIMES]))
    return views.frames[0], views.inverse_depths[0, :, 0]


def _depth_row(number: int, model: Network, clip: SceneClip) -> list[Panel]:
    frames, truth = _views(clip)
    size = (frames.shape[-2], frames.shape[-1])
    scene = decode(model, frames)
    shown = render(scene, torch.zeros(1, 1), size)
    depth = seen_inverse_depth(shown.depth[0], shown.alpha[0])[0, 0]
    lens = Lens(aspect=size[0] / size[1])
    lifted = lift(freeze_at(scene, 0.0), lens)
    orbit = fit_orbit(lifted.means[lifted.valid][:, 2], lens)
    sides = [
        render_perspective(
            lifted,
            orbit.cam_from_world(phase)[None],
            lens.zoomed(_ZOOM),
            size,
            torch.full((3,), 0.5),
        ).rgb[0, 0]
        for phase in (0.0, 0.5)
    ]
    whole = Failure(scene=_DEPTH_SCENE, left=0, top=0, width=size[1])
    pictures = {
        f"{number}: key frame": pixels(frames[0]),
        "inverse depth: the truth": color_inverse_depth(truth[0].numpy()),
        "of the network": color_inverse_depth(depth.numpy()),
        "the scene from the right": pixels(sides[0].clamp(0, 1)),
        "from the left": pixels(sides[1].clamp(0, 1)),
    }
    return [Panel(label, whole.cut(picture)) for label, picture in pictures.items()]


@cli_errors
def main() -> None:
    """Run from the command line."""
    options = parse(FailureOptions)
    sheet = cv2.cvtColor(draw_failures(load_model(options.resume)), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    write_bytes(options.output, data.tobytes())
    print(options.output)


if __name__ == "__main__":
    main()
