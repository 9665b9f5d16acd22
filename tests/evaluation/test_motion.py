from dataclasses import replace

import pytest
import torch

from core.evaluation.scores.motion import rendered_flow, score_motion
from core.types import DynamicGaussians
from tests.pixel_clips import Pixels, still

SIZE = (32, 64)


def moving_scene(u: float, v: float) -> DynamicGaussians:
    """Return one Gaussian a pixel of both key frames, all of which move by (u, v) pixels."""
    height, width = SIZE
    pixels = Pixels(torch.rand(1, 3, *SIZE), torch.full((1, 1, *SIZE), 0.5))
    coefficients = torch.tensor([2 * u / width, 0.0, -2 * v / height])
    both = [still(pixels, anchor, 8.0) for anchor in (0.0, 1.0)]
    return DynamicGaussians.cat(
        [
            replace(part, motion=coefficients.expand(1, part.num_gaussians, 1, 3).clone())
            for part in both
        ],
        dim=1,
    )


@pytest.mark.parametrize(("u", "v"), [(3.0, 0.0), (-1.5, 2.0)])
def test_the_flow_is_how_the_gaussians_move(u, v):
    flow = rendered_flow(moving_scene(u, v), SIZE)
    inner = flow[4:-4, 4:-4]
    torch.testing.assert_close(inner, torch.tensor([u, v]).expand_as(inner), rtol=0, atol=1e-3)


def test_what_is_not_there_does_not_move():
    scene = moving_scene(3.0, 0.0)
    empty = replace(scene, opacities=torch.zeros_like(scene.opacities))
    assert (rendered_flow(empty, SIZE) == 0).all()


def test_no_motion_is_scored_as_well():
    truth = torch.full((*SIZE, 2), 3.0)
    scores = score_motion({"net": truth + 0.1}, truth, torch.ones(SIZE, dtype=torch.bool))
    assert scores["net"]["epe"] == pytest.approx(0.1 * 2**0.5, rel=1e-4)
    assert scores["net"]["within"] == 1
    assert scores["still"]["epe"] == pytest.approx(3 * 2**0.5)
    assert scores["still"]["within"] == 0
