"""The search for the nearest rectangle, step by step and in the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from core.data.procedural import ProceduralOptions, ProceduralSource
from core.data.procedural.perspective.raycast import Cutouts, cast

ROOT = Path(__file__).parents[4]
NO_CUTOUTS = Cutouts(torch.zeros(1, 1, 2, 2), torch.zeros(1, 0, dtype=torch.long))


def facing(x: float, half: float, depth: float) -> torch.Tensor:
    """Map of a square that faces the camera, whose focal length is 1."""
    return torch.tensor([[half, 0.0, x], [0.0, half, 0.0], [0.0, 0.0, depth]])


def test_the_nearest_of_two_is_seen_and_its_border_is_sharp() -> None:
    maps = torch.stack([facing(0.0, 1.0, 4.0), facing(0.5, 0.5, 2.0)])[None, None]
    x = torch.tensor([-0.26, -0.24, -0.01, 0.01, 0.24, 0.26, 0.49, 0.51])
    hits = cast(maps, NO_CUTOUTS, x, torch.zeros(1, 1))
    assert hits.owners[0, 0, 0].tolist() == [2, 0, 0, 1, 1, 1, 1, 2]
    expected = torch.tensor([0.0, 0.25, 0.25, 0.5, 0.5, 0.5, 0.5, 0.0])
    torch.testing.assert_close(hits.inverse_depths[0, 0, 0], expected)


def test_what_lies_behind_the_camera_or_has_no_extent_is_not_seen() -> None:
    maps = torch.stack([facing(0.0, 1.0, -2.0), facing(0.0, 0.0, 1.0)])[None, None]
    hits = cast(maps, NO_CUTOUTS, torch.linspace(-1, 1, 5), torch.zeros(1, 1))
    assert hits.owners.unique().tolist() == [2]


def test_outlines_let_through_what_is_behind() -> None:
    sprite = torch.zeros(1, 1, 4, 4)
    sprite[..., :2] = 1.0  # the left half
    maps = torch.stack([facing(0.0, 4.0, 4.0), facing(0.0, 1.0, 2.0)])[None, None]
    x = torch.tensor([-0.3, -0.05, 0.05, 0.3])
    hits = cast(maps, Cutouts(sprite, torch.zeros(1, 1, dtype=torch.long)), x, torch.zeros(1, 1))
    assert hits.owners[0, 0, 0].tolist() == [1, 1, 0, 0]


_IN_THE_INTERPRETER = """
import torch
from core.data.procedural import ProceduralOptions, ProceduralSource
from core.data.procedural.imaging.motion import invert
from core.data.procedural.perspective.cast_kernel import cast_in_kernel
from core.data.procedural import ProceduralOptions, ProceduralSource
from core.data.procedural.perspective.raycast import Cutouts, cast

options = ProceduralOptions(height=18, width=32)
scenes = ProceduralSource(options, seed=0).sample_perspective_scenes("landscape", range(2))
maps = scenes.geometry.pose(torch.tensor([[0.0, 1.0], [0.2, 0.7]])).maps
x, y = torch.linspace(-1.0, 1.0, 32), torch.linspace(-0.5, 0.5, 18)[:, None]
chosen = scenes.geometry.quads.sprites[:, -scenes.num_cutouts :]
sprites = scenes.bank.sprites
hits = cast(maps, Cutouts(sprites, chosen), x, y)
assert (hits.owners >= maps.shape[2] - scenes.num_cutouts).any()
size = hits.owners.shape
depths, owners = cast_in_kernel(invert(maps), sprites, chosen, x.expand(size), y.expand(size))
same = owners == hits.owners
# Where two are equally near to the last bits, either may be seen.
assert same.float().mean() > 0.998
torch.testing.assert_close(depths[same], hits.inverse_depths[same], atol=1e-5, rtol=1e-4)
"""


@pytest.mark.slow
def test_the_kernel_finds_the_same() -> None:
    pytest.importorskip("triton")
    # Triton decides at its import whether kernels are interpreted.
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    subprocess.run(
        [sys.executable, "-c", _IN_THE_INTERPRETER], check=True, env=environment, cwd=ROOT
    )


@pytest.mark.gpu
def test_a_gpu_finds_the_same() -> None:
    source = ProceduralSource(ProceduralOptions(height=18, width=32), seed=0)
    scenes = source.sample_perspective_scenes("landscape", range(2))
    maps = scenes.geometry.pose(torch.tensor([[0.0, 1.0], [0.2, 0.7]])).maps
    x, y = torch.linspace(-1.0, 1.0, 32), torch.linspace(-0.5, 0.5, 18)[:, None]
    chosen, sprites = scenes.geometry.quads.sprites[:, -scenes.num_cutouts :], scenes.bank.sprites
    expected = cast(maps, Cutouts(sprites, chosen), x, y)
    found = cast(maps.cuda(), Cutouts(sprites.cuda(), chosen.cuda()), x.cuda(), y.cuda())
    same = found.owners.cpu() == expected.owners
    # Where two are equally near to the last bits, either may be seen.
    assert same.float().mean() > 0.998
    depths = found.inverse_depths.cpu()[same]
    torch.testing.assert_close(depths, expected.inverse_depths[same], atol=1e-5, rtol=1e-4)
