"""Layers deform so little that every point of a view can be followed to within 0.05 pixels."""

from __future__ import annotations

from dataclasses import replace

import torch

from core.data.layered.motion import layer_from_view, view_from_layer
from core.data.layered.options import LayeredOptions
from core.data.layered.paths import Paths, draw_paths
from core.data.layered.shapes import draw_shapes
from core.data.randomness.scene_random import SceneRandom

LAYERS = 5
FAST = LayeredOptions(median_motion=0.25, max_layers=LAYERS)


def draw(count: int, options: LayeredOptions = FAST) -> tuple[Paths, torch.Tensor]:
    rng = SceneRandom(0, range(count))
    shapes = draw_shapes(rng, LAYERS, options.height / options.width)
    present = torch.ones(count, LAYERS, dtype=torch.bool)
    return draw_paths(rng, shapes, present, options)


def test_views_and_layers_map_back_and_forth() -> None:
    paths, _ = draw(64)
    maps = paths.at(torch.tensor([[0.0, 0.2, 1.0]]).expand(64, -1))
    spread = maps.map(lambda values: values[..., None, None])
    x, y = torch.linspace(-1.0, 1.0, 32), torch.linspace(-0.56, 0.56, 18)[:, None]
    points = layer_from_view(spread, x, y)
    (there_x, there_y), residual = view_from_layer(spread, points)
    errors = 256.0 * torch.hypot(there_x - x, there_y - y)
    assert errors.max() < 0.05, "pixels of 512"
    assert 256.0 * residual.max() < 0.05
    straight = layer_from_view(replace(spread, waves=torch.zeros_like(spread.waves)), x, y)
    bent = 256.0 * torch.hypot(points[0] - straight[0], points[1] - straight[1])
    assert bent.max() > 10.0


def test_a_camera_that_follows_keeps_one_layer_in_place() -> None:
    options = LayeredOptions(deformation=0.0, max_layers=LAYERS)
    paths, moving = draw(400, options)
    keys = paths.at(torch.tensor([[0.0, 1.0]]).expand(400, -1))
    x, y = (values[:, None] for values in paths.centers.unbind(-1))  # (b, 1, l)
    (xx, xy, x0), (yx, yy, y0) = keys.to_view
    seen = torch.stack([xx * x + xy * y + x0, yx * x + yy * y + y0])
    path = (seen[:, :, 1] - seen[:, :, 0]).norm(dim=0)  # (b, l)
    nearest, far = path[:, -1], path[:, 0]
    followed = moving[:, -1] & (far > 0.05) & (nearest < 0.1 * far)
    assert 0.02 < followed.float().mean() < 0.3
    still = path.amax(dim=1) == 0.0
    assert 0.02 < still.float().mean() < 0.1
    assert path.amax() < 2.0 * 1.5 * options.max_motion


def test_what_moves_blurs_with_the_exposure() -> None:
    paths, _ = draw(64, LayeredOptions(exposure=1.0, deformation=0.0, max_layers=LAYERS))
    exposed = paths.exposure > 0
    assert 0 < exposed.sum() < 64
    times = torch.tensor([[0.5]]).expand(64, -1)
    sweep = paths.sweep(times)
    moves = (paths.shift.abs().sum((1, 2)) + paths.pan.abs().sum(1) + paths.roll.abs()) > 0
    assert torch.equal(sweep.abs().sum((0, 1, 3, 4)) > 1e-4, exposed & moves)
