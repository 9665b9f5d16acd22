"""Gaps in surfaces seen from aside: ``python -m benchmarks.receding_surfaces SCENE [SCENE ...]``.

Renders the middle of a scene file's first interval from three places around the middle of its
depth, with Gaussians that face the input camera and with Gaussians that lie along the surfaces
(``core/geometry/surfaces.py``). A gap is a pixel of which half or less is covered. What the input
camera did not see is a gap either way.
"""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from core.checks import UserError, cli_errors
from core.command_line import parse
from core.geometry.cameras import Lens, look_at
from core.geometry.lift import LiftedGaussians, lift
from core.geometry.motion import freeze_at
from core.geometry.surfaces import surface_slopes
from core.rendering.perspective import render_perspective
from core.scene_file import open_scene

_TURNS = (20.0, -30.0, 35.0)
_SIZE = (432, 768)


@dataclass(frozen=True)
class Options:
    """Measure gaps."""

    scenes: tyro.conf.Positional[tuple[Path, ...]]
    """Scene files."""

    def __post_init__(self) -> None:
        if not self.scenes:
            raise UserError("name at least one scene file.")


def gaps(scene: LiftedGaussians, lens: Lens, model_size: tuple[int, int]) -> list[float]:
    """Return the share of gaps seen from each place."""
    focus = scene.means[0, scene.valid[0], 2].median().item()
    target = torch.tensor([0.0, 0.0, focus])
    shares = []
    for turn in map(math.radians, _TURNS):
        eye = target - focus * torch.tensor([math.sin(turn), 0.0, math.cos(turn)])
        picture = render_perspective(
            scene, look_at(eye, target)[None], lens, _SIZE, model_size=model_size
        )
        shares.append((picture.alpha < 0.5).float().mean().item())
    return shares


@cli_errors
@torch.inference_mode()
def main() -> None:
    """Run from the command line."""
    options = parse(Options)
    print(f"{datetime.date.today()}; gaps, % of pixels\n")
    print(f"| scene | Gaussians | {' | '.join(f'{turn:g}°' for turn in _TURNS)} |")
    print(f"|---|---|{'---:|' * len(_TURNS)}")
    for path in options.scenes:
        with open_scene(path) as reader:
            header, gaussians = reader.header, reader.read_interval(0)
        lens = Lens(60.0, header.fit.aspect)
        still = freeze_at(gaussians, 0.5)
        slopes = surface_slopes(gaussians.means, header.grid_size, lens)
        kinds = {"facing the camera": None, "along surfaces": slopes}
        for name, kind in kinds.items():
            shares = gaps(lift(still, lens, kind), lens, header.image_size)
            figures = " | ".join(f"{100 * share:.1f}" for share in shares)
            print(f"| {path.parent.name} | {name} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
