"""Each variant loses what it is named after, and nothing else."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from core.losses import flow_of_gaussians
from core.models import MatchingConfig, MatchingNetwork, build_model
from core.types import DynamicGaussians

HEIGHT, WIDTH = 32, 48
GRID = (HEIGHT // 2, WIDTH // 2)
CONFIG = MatchingConfig(image_height=HEIGHT, image_width=WIDTH)


def load() -> MatchingNetwork:
    """Return a network whose heads give every Gaussian other values."""
    torch.manual_seed(0)
    model = build_model(CONFIG).eval()
    assert isinstance(model, MatchingNetwork)
    heads = model.static.heads
    with torch.no_grad():
        for layer in (heads.first.values, heads.correction.values, model.dynamic.heads.values):
            layer.weight.normal_(std=0.1)
    return model


@pytest.fixture
def scenes() -> dict[str, DynamicGaussians]:
    """Scenes of one pair, by variant."""
    import ablation

    torch.manual_seed(1)
    images, depths = torch.rand(2, 1, 3, HEIGHT, WIDTH), torch.zeros(1, 1, HEIGHT, WIDTH)
    with torch.inference_mode():
        return {
            name: variant.decode(*(variant.encode(image, depths) for image in images))
            for name, variant in ablation.variants(load).items()
        }


def differing(scenes: dict[str, DynamicGaussians], name: str) -> set[str]:
    """Return the fields in which a variant differs from the network."""
    whole = vars(scenes["the whole network"])
    return {key for key, value in vars(scenes[name]).items() if not torch.equal(value, whole[key])}


def test_parts_that_concern_one_field_change_that_field(
    scenes: dict[str, DynamicGaussians],
) -> None:
    windows = scenes["opacity windows fixed"]
    assert differing(scenes, "opacity windows fixed") == {"opacity_slopes", "opacity_half_lives"}
    torch.testing.assert_close(windows.opacity_half_lives, torch.full_like(windows.opacities, 0.55))
    slope = math.log1p(math.exp(8))
    torch.testing.assert_close(windows.opacity_slopes, torch.full_like(windows.opacities, slope))
    whole = scenes["the whole network"].motion
    for name, kept in (
        ("standing still", [False] * 3),
        ("inverse depth does not change", [True, False, True]),
        ("hidden Gaussians do not sink", [True, None, True]),
        ("no residual motion", [None, True, None]),
    ):
        assert differing(scenes, name) == {"motion"}
        for axis, same in enumerate(kept):
            moved = scenes[name].motion[..., axis]
            if same is not None:
                assert torch.equal(moved, whole[..., axis] if same else torch.zeros_like(moved))
            else:
                assert not torch.equal(moved, whole[..., axis])


def test_gaussians_are_not_turned(scenes: dict[str, DynamicGaussians]) -> None:
    assert (scenes["the whole network"].quats[..., 2].abs() > 0.01).any()
    assert (scenes["Gaussians not turned"].quats == torch.tensor((1.0, 0.0, 0.0, 0.0))).all()


def test_key_frames_are_not_corrected() -> None:
    import ablation

    variant = ablation.variants(load)["key frames not corrected by their error"]
    image, depth = torch.rand(1, 3, HEIGHT, WIDTH), torch.zeros(1, 1, HEIGHT, WIDTH)
    with torch.inference_mode():
        plain = load().static(image, depth).first
        kept = variant.static_gaussians(variant.encode(image, depth))
    for name, value in vars(plain).items():
        assert torch.equal(getattr(kept, name), value), name


def test_motion_is_that_of_the_flow_that_was_asked_for() -> None:
    import ablation

    from core.evaluation.data.images import as_bytes
    from core.geometry.optical_flow import dis_flow

    torch.manual_seed(1)
    small = torch.rand(1, 3, 4, 6)
    wall = torch.nn.functional.interpolate(small, (HEIGHT, WIDTH), mode="bicubic").clamp(0, 1)
    images, depths = (wall, wall.roll(4, -1)), torch.zeros(1, 1, HEIGHT, WIDTH)
    made = ablation.variants(load)

    def arrived(name: str) -> Tensor:
        variant = made[name]
        scene = variant.decode(*(variant.encode(image, depths) for image in images))
        return flow_of_gaussians(scene, GRID, (HEIGHT, WIDTH))[:, 0]

    with torch.inference_mode():
        both = torch.stack(images, dim=1)
        flows = load()(both, torch.zeros(1, 2, 1, HEIGHT, WIDTH)).flows
        here, there = (as_bytes(image)[0] for image in images)
        dis = torch.nn.functional.avg_pool2d(dis_flow(here, there).permute(2, 0, 1)[None], 2)
        expected = {
            "flow of global matching, 1/16": flows[0][:, 0],
            "flow refined at 1/8 only": flows[2][:, 0],
            "flow of DIS": dis,
        }
        for name, flow in expected.items():
            flow = torch.nn.functional.interpolate(flow, GRID, mode="bilinear")
            # Heads may correct the flow by 1.5 pixels along each axis.
            assert (arrived(name) - flow).abs().max() <= 1.5 + 1e-3, name
    assert dis[..., 4:-4].abs().max() > 3
