"""How sharp key frames of thin lines are: ``python benchmarks/line_patterns.py``.

Grids of lines, one colour on another, both drawn at random. They are harder than photographs: one
Gaussian stands for 2 by 2 pixels, and the rasteriser widens each by 0.3 square pixels. PSNR at the
network's size, dB, beside pictures of half the resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from configs.options_inference import EMBEDDED_MODEL
from core.checks import cli_errors
from core.command_line import parse
from core.geometry.resample import resize
from core.metrics.psnr import psnr
from core.models import load_model
from core.rendering import render

_GRIDS = ((8, 1), (8, 2), (16, 1), (16, 2), (24, 1))
"""Distances of lines and how wide they are, pixels."""


@dataclass(frozen=True)
class Options:
    """Measure key frames of thin lines."""

    pictures: int = 16
    """Pictures of each kind."""
    resume: str = str(EMBEDDED_MODEL)
    """Weights: a file, a folder or a hub id."""


def grid(
    size: tuple[int, int], distance: int, width: int, rng: np.random.Generator
) -> Float[Tensor, "3 h w"]:
    """Return horizontal and vertical lines, of drawn colours and at drawn places.

    Args:
        size: Height and width, pixels.
        distance: From line to line, pixels.
        width: Of each line, pixels.
        rng: Draws.
    """
    ground, line = torch.from_numpy(rng.random((2, 3), np.float32))
    top, left = (int(rng.integers(distance)) for _ in range(2))
    rows, columns = (torch.arange(side) for side in size)
    on_line = ((rows - top) % distance < width)[:, None] | ((columns - left) % distance < width)
    return torch.where(on_line, line[:, None, None], ground[:, None, None])


@cli_errors
@torch.inference_mode()
def main() -> None:
    """Run from the command line."""
    options = parse(Options)
    model = load_model(options.resume)
    height, width = size = (model.config.image_height, model.config.image_width)
    print("| lines of | every | key frame | half resolution |")
    print("|---|---|---|---|")
    means = []
    for distance, thickness in _GRIDS:
        scores = []
        for seed in range(options.pictures):
            picture = grid(size, distance, thickness, np.random.default_rng(seed))[None]
            gaussians = model.static_gaussians(model.encode(picture, torch.zeros(1, 1, *size)))
            drawn = render(gaussians, torch.zeros(1, 1), size).rgb[:, 0].clamp(0, 1)
            half = resize(resize(picture, (height // 2, width // 2)), size).clamp(0, 1)
            scores.append([psnr(image, picture).item() for image in (drawn, half)])
        means.append(np.mean(scores, axis=0))
        print(f"| {thickness} px | {distance} px | {means[-1][0]:.2f} | {means[-1][1]:.2f} |")
    drawn_mean, half_mean = np.mean(means, axis=0)
    print(f"| mean | | {drawn_mean:.2f} | {half_mean:.2f} |")


if __name__ == "__main__":
    main()
