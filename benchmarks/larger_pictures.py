"""How good pictures larger than the model's are: ``python benchmarks/larger_pictures.py FILES``.

Reconstructs photographs, of which the network sees a smaller copy, and renders them at their own
size. PSNR against the photographs, dB:

* own low-pass: 0.3 square pixels of the picture that is rendered, as the rasteriser has it.
* the model's: 0.3 square pixels of the model's picture, as ``render.py`` and the player have it.
* with opacities lowered: the same, each opacity divided by what the footprint has grown, so that
  no Gaussian covers more than before (as Mip-Splatting does with what it adds).
* bicubic: the model's picture, enlarged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
import tyro
from jaxtyping import Float
from torch import Tensor

from configs.options_inference import EMBEDDED_MODEL
from core.checks import UserError, cli_errors
from core.command_line import parse
from core.geometry.lift import covariances
from core.io import read_image
from core.models import load_model
from core.rendering import render
from core.rendering.footprints import pixel_variance, render_enlarged, widen
from core.types import DynamicGaussians


@dataclass(frozen=True)
class Options:
    """Measure pictures that are larger than the model's."""

    photographs: tyro.conf.Positional[tuple[Path, ...]]
    """Pictures of more pixels than the model's; their middle, in its proportions, is used."""
    resume: str = str(EMBEDDED_MODEL)
    """Weights: a file, a folder or a hub id."""


def psnr(picture: Float[Tensor, "..."], expected: Float[Tensor, "..."]) -> float:
    """Return the PSNR of pictures in [0, 1], dB."""
    return -10 * math.log10((picture.clamp(0, 1) - expected).square().mean().item())


def with_less_opacity(
    gaussians: DynamicGaussians, image_size: tuple[int, int], model_size: tuple[int, int]
) -> DynamicGaussians:
    """Widen Gaussians, and lower their opacities by as much as they cover more."""
    footprints = covariances(gaussians.scales, gaussians.quats)[..., [0, 2], :][..., [0, 2]]
    areas = [
        torch.linalg.det(footprints + torch.diag(footprints.new_tensor(pixel_variance(size))))
        for size in (image_size, model_size)
    ]
    share = (areas[0] / areas[1]).sqrt()
    wide = widen(gaussians, image_size, model_size)
    return replace(wide, opacities=wide.opacities * share)


def middle_of(path: Path, model_size: tuple[int, int]) -> Float[Tensor, "1 3 h w"]:
    """Read the largest middle of a photograph that has the model's proportions."""
    photograph = torch.tensor(read_image(path)).permute(2, 0, 1)[None] / 255
    height, width = photograph.shape[-2:]
    scale = min(height / model_size[0], width / model_size[1])
    if scale <= 1:
        raise UserError(f"{path} has {width} x {height} pixels; expected more than the model's.")
    rows, columns = round(model_size[0] * scale), round(model_size[1] * scale)
    top, left = (height - rows) // 2, (width - columns) // 2
    return photograph[..., top : top + rows, left : left + columns]


@cli_errors
@torch.inference_mode()
def main() -> None:
    """Run from the command line."""
    options = parse(Options)
    model = load_model(options.resume)
    model_size = (model.config.image_height, model.config.image_width)
    print("| photograph | size | own low-pass | the model's | with opacities lowered | bicubic |")
    print("|---|---|---|---|---|---|")
    for path in options.photographs:
        expected = middle_of(path, model_size)
        size = (expected.shape[-2], expected.shape[-1])
        small = F.interpolate(expected, model_size, mode="bicubic", antialias=True).clamp(0, 1)
        code = model.encode(small, torch.zeros_like(small[:, :1]))
        scene, now = model.decode(code, code), torch.zeros(1, 1)
        own = render(scene, now, model_size).rgb[0]
        pictures = [
            render(scene, now, size).rgb[0],
            render_enlarged(scene, now, size, model_size=model_size).rgb[0],
            render(with_less_opacity(scene, size, model_size), now, size).rgb[0],
            F.interpolate(own, size, mode="bicubic"),
        ]
        values = " | ".join(f"{psnr(picture, expected):.2f}" for picture in pictures)
        print(f"| {path.stem} | {size[0]} x {size[1]} | {values} |", flush=True)


if __name__ == "__main__":
    main()
