from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from einops import einsum

from core.geometry.canonical import pixels_from_canonical
from core.geometry.motion import freeze_at
from core.rendering import contributors, render
from core.types import DynamicGaussians

SIZE = (24, 40)


def random_scene(n: int = 300, *, opaque: bool = False) -> DynamicGaussians:
    generator = torch.Generator().manual_seed(0)

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        return low + (high - low) * torch.rand(1, n, *shape, generator=generator)

    return DynamicGaussians(
        means=torch.stack(
            [uniform(low=-1.2, high=1.2), uniform(low=-0.1, high=1.1), uniform(low=-1.2, high=1.2)],
            dim=-1,
        ),
        motion=uniform(2, 3, low=-0.3, high=0.3),
        scales=uniform(3, low=0.01, high=0.3),
        quats=torch.nn.functional.normalize(uniform(4, low=-1), dim=-1),
        colors=uniform(3),
        opacities=uniform(low=0.9 if opaque else 0.0),
        opacity_slopes=uniform(high=4.0),
        opacity_half_lives=uniform(),
        anchor_times=uniform().round(),
    )


def all_pixels() -> torch.Tensor:
    v, u = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    return torch.stack([u, v], dim=-1).reshape(-1, 2).float()


@pytest.mark.parametrize("opaque", [False, True])
@pytest.mark.parametrize("time", [0.0, 0.37, 1.0])
def test_weights_are_those_of_the_rasteriser(opaque: bool, time: float) -> None:
    scene = random_scene(opaque=opaque)
    images = render(scene, torch.tensor([[time]]), SIZE, 0.0)
    found = contributors(scene, time, all_pixels(), SIZE, k=300)
    rgb = einsum(found.weights, scene.colors[0][found.indices], "p k, p k c -> c p")
    torch.testing.assert_close(found.weights.sum(1), found.alpha, atol=2e-6, rtol=0)
    # The rasteriser rounds differently: two pixels may lack or gain a contribution of about 1/255.
    wanted = torch.cat([images.rgb[0, 0], images.alpha[0, 0]]).flatten(1)
    different = (torch.cat([rgb, found.alpha[None]]) - wanted).abs().amax(dim=0)
    assert (different > 2e-6).sum() <= 2
    assert different.max() < 0.012  # exp(-4.5), at three deviations
    assert (found.weights.diff(dim=1) <= 0).all()


def test_the_largest_are_kept_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scene, points = random_scene(), all_pixels()[::7]
    every = contributors(scene, 0.5, points, SIZE, k=300)
    few = contributors(scene, 0.5, points, SIZE, k=4)
    assert torch.equal(few.weights, every.weights[:, :4])
    assert torch.equal(few.alpha, every.alpha)
    monkeypatch.setattr("core.rendering.contributions._PAIRS_AT_ONCE", 1000)
    chunked = contributors(scene, 0.5, points, SIZE, k=300)
    torch.testing.assert_close(chunked.weights, every.weights, atol=0, rtol=0)


@pytest.mark.parametrize("length", [1.0, 1.4])  # quaternions are used as they are
def test_what_is_found_does_not_depend_on_the_other_points(length: float) -> None:
    scene = random_scene()
    scene = replace(scene, quats=length * scene.quats, scales=scene.scales / 8)
    few = torch.tensor([[3.4, 20.1], [31.0, 5.5], [-4.0, 30.0], [41.5, 2.0]])
    for time in (0.0, 0.37, 1.0):
        among = contributors(scene, time, torch.cat([few, all_pixels()]), SIZE, k=300)
        alone = contributors(scene, time, few, SIZE, k=300)
        assert alone.alpha.count_nonzero() >= 2
        torch.testing.assert_close(alone.alpha, among.alpha[:4])
        for name in ("weights", "densities"):
            torch.testing.assert_close(getattr(alone, name), getattr(among, name)[:4])


def test_between_pixels_it_is_a_finer_picture_of_the_same_gaussians() -> None:
    """One Gaussian without blur: the weight is its opacity times the bell at the distance."""
    scene = random_scene(1)
    scene = replace(
        freeze_at(scene, 0.0),
        means=torch.tensor([[[0.1, 0.5, -0.2]]]),
        quats=torch.tensor([[[1.0, 0, 0, 0]]]),
        scales=torch.full((1, 1, 3), 0.2),
        opacities=torch.tensor([[0.8]]),
    )
    center = pixels_from_canonical(scene.means[0], SIZE)
    point = center + torch.tensor([[1.3, -0.4]])
    found = contributors(scene, 0.0, point, SIZE, k=3)
    variances = torch.tensor([(0.2 * 20) ** 2 + 0.3, (0.2 * 12) ** 2 + 0.3])
    expected = 0.8 * torch.exp(-0.5 * ((point - center).square() / variances).sum())
    torch.testing.assert_close(found.weights, torch.tensor([[expected.item(), 0, 0]]))


def test_nothing_there() -> None:
    points = torch.tensor([[0.0, 0.0], [-50.0, 3.0], [1000.0, 1000.0]])
    invalid = replace(random_scene(), means=torch.full((1, 300, 3), -1.0))
    for scene in (invalid, invalid.select(slice(0), dim=1)):
        found = contributors(scene, 0.0, points, SIZE, k=5)
        assert found.weights.shape == (3, 5)
        assert not found.weights.any()
        assert not found.alpha.any()
    assert contributors(random_scene(), 0.0, points[:0], SIZE).weights.shape == (0, 32)
    with pytest.raises(ValueError, match="2 scenes"):
        contributors(
            invalid.map(lambda value: value.repeat(2, *[1] * (value.ndim - 1))), 0, points, SIZE
        )
