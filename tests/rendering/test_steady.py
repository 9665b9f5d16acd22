from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch

from core.rendering import SteadyRenderer, render
from core.types import DynamicGaussians

SIZE = (48, 64)
TIMES = (0.0, 0.4, 1.0)


def scene(count: int, scale: float) -> DynamicGaussians:
    """Draw a scene that moves and fades."""
    dice = torch.Generator().manual_seed(count)

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(1, count, *shape, generator=dice)

    return DynamicGaussians(
        means=draw(3) * torch.tensor([2.0, 1.0, 2.0]) - torch.tensor([1.0, 0.0, 1.0]),
        motion=0.1 * (draw(1, 3) - 0.5),
        scales=scale * (0.5 + draw(3)),
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(1, count, 4),
        colors=draw(3),
        opacities=draw(),
        opacity_slopes=draw(),
        opacity_half_lives=0.1 + 0.8 * draw(),
        anchor_times=torch.zeros(1, count),
    )


def test_on_the_cpu_it_is_the_plain_renderer() -> None:
    gaussians, times = scene(200, 0.05), torch.tensor([TIMES])
    steady, plain = (
        SteadyRenderer()(gaussians, times, SIZE, 0.25),
        render(gaussians, times, SIZE, 0.25),
    )
    for name in ("rgb", "depth", "alpha"):
        assert torch.equal(getattr(steady, name), getattr(plain, name))


@pytest.mark.gpu
def test_images_are_those_of_the_plain_renderer_however_full_they_become() -> None:
    renderer, times = SteadyRenderer(), torch.tensor([TIMES], device="cuda")
    # The second needs many times the room of the first, the third less, the last has other times.
    for count, scale, shown in ((50, 0.02, 3), (3000, 0.3, 3), (400, 0.1, 3), (3000, 0.3, 1)):
        gaussians, at = scene(count, scale).to("cuda"), times[:, :shown]
        for _ in range(5):  # plain, recorded, replayed
            steady, plain = renderer(gaussians, at, SIZE), render(gaussians, at, SIZE)
            for name in ("rgb", "depth", "alpha"):
                assert torch.equal(getattr(steady, name), getattr(plain, name))
    nothing = scene(0, 1.0).to("cuda")
    assert torch.equal(renderer(nothing, times, SIZE).rgb, render(nothing, times, SIZE).rgb)


@pytest.mark.gpu
def test_values_that_are_not_finite_are_named() -> None:
    renderer, times = SteadyRenderer(), torch.tensor([TIMES], device="cuda")
    gaussians = scene(50, 0.1).to("cuda")
    renderer(gaussians, times, SIZE)
    broken = replace(gaussians, scales=torch.full_like(gaussians.scales, torch.nan))
    with pytest.raises(ValueError, match="scales"):
        renderer(broken, times, SIZE)


@pytest.mark.gpu
def test_the_host_waits_for_an_event_and_for_nothing_in_the_middle() -> None:
    renderer, times = SteadyRenderer(), torch.tensor([TIMES], device="cuda")
    gaussians = scene(500, 0.1).to("cuda")
    renderer(gaussians, times, SIZE)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            renderer(gaussians, times, SIZE)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert not [warning for warning in caught if "synchronizing" in str(warning.message)]
