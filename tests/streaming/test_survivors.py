from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from core.geometry.canonical import pixel_centers
from core.rendering import render
from core.streaming import Session
from core.streaming.survivors import MAX_AGE, MIN_OPACITY, empty_pool, update_pool
from core.types import DynamicGaussians, TensorDataclass

SIZE = (16, 32)
FAR, NEAR = 0.2, 0.8


def sheet(inverse_depth: float, color: float, *, columns: slice = slice(None)) -> DynamicGaussians:
    """Return one Gaussian a pixel of some columns."""
    x, z = (value[:, columns].reshape(1, -1) for value in pixel_centers(*SIZE))
    ones = torch.ones_like(x)
    return DynamicGaussians(
        means=torch.stack([x, inverse_depth * ones, z], dim=-1),
        motion=torch.zeros(1, x.shape[1], 1, 3),
        scales=torch.tensor([1 / SIZE[1], 1 / SIZE[1], 1 / SIZE[0]]).expand(1, x.shape[1], 3),
        quats=torch.tensor([1.0, 0, 0, 0]).expand(1, x.shape[1], 4),
        colors=torch.full((1, x.shape[1], 3), color),
        opacities=0.99 * ones,
        opacity_slopes=0 * ones,
        opacity_half_lives=0.5 * ones,
        anchor_times=0 * ones,
    )


def kept(ending: DynamicGaussians, surface: DynamicGaussians, size: int = 1000) -> Tensor:
    """Return which of ``ending`` survive."""
    update = update_pool(ending, empty_pool(size, ending), surface, SIZE)
    return update.removed.opacities[0, : ending.num_gaussians] == 0


def test_what_the_new_surface_hides_is_kept_and_nothing_else() -> None:
    wall = sheet(FAR, 0.2)
    # The new key frame sees the wall on the left, something near it in the middle, nothing right.
    seen = [sheet(FAR, 0.2, columns=slice(0, 12)), sheet(NEAR, 0.9, columns=slice(12, 24))]
    survives = kept(wall, DynamicGaussians.cat(seen, dim=1)).reshape(SIZE)
    assert survives[:, 14:22].all()
    # An edge stays free, so that nothing shines through it.
    assert not survives[:, :12].any()
    assert not survives[:, 23:].any()


def test_what_contradicts_the_new_key_frame_goes() -> None:
    assert not kept(sheet(NEAR, 0.9), sheet(FAR, 0.2)).any()


def test_only_what_is_opaque_inside_and_valid_is_kept() -> None:
    wall = sheet(FAR, 0.2)
    cover = sheet(NEAR, 0.9)
    assert kept(wall, cover).float().mean() > 0.99
    faint = replace(wall, opacities=torch.full_like(wall.opacities, MIN_OPACITY - 0.01))
    assert not kept(faint, cover).any()
    outside = replace(wall, means=wall.means + torch.tensor([2.0, 0, 0]))
    assert not kept(outside, cover).any()
    invalid = replace(wall, means=wall.means - torch.tensor([0, 0.3, 0]))
    assert not kept(invalid, cover).any()


def test_the_pool_is_bounded_and_keeps_the_most_opaque() -> None:
    wall = sheet(FAR, 0.2)
    opacities = torch.linspace(0.6, 0.9, wall.num_gaussians)[None]
    survives = kept(replace(wall, opacities=opacities), sheet(NEAR, 0.9), size=100)
    assert survives.sum() == 100
    assert survives[-100:].all()


def test_survivors_age_out_and_make_room() -> None:
    wall, cover = sheet(FAR, 0.2), sheet(NEAR, 0.9)
    pool = update_pool(wall, empty_pool(50, wall), cover, SIZE).survivors
    gone = replace(wall, opacities=torch.zeros_like(wall.opacities))
    for age in range(1, MAX_AGE + 1):
        pool = update_pool(gone, pool, cover, SIZE).survivors
        assert (pool.ages == age).all()
        assert (pool.gaussians.opacities > 0).all()
    pool = update_pool(gone, pool, cover, SIZE).survivors
    assert (pool.gaussians.opacities == 0).all()


def test_every_gaussian_is_either_kept_or_removed() -> None:
    wall, cover = sheet(FAR, 0.2), sheet(NEAR, 0.9, columns=slice(0, 20))
    pool = update_pool(wall, empty_pool(64, wall), cover, SIZE).survivors
    update = update_pool(wall, pool, cover, SIZE)
    before = torch.cat([wall.opacities, pool.gaussians.opacities], dim=1).sum()
    after = update.removed.opacities.sum() + update.survivors.gaussians.opacities.sum()
    torch.testing.assert_close(before, after)


@dataclass(frozen=True)
class Seen(TensorDataclass):
    index: Tensor


class SlidingCover:
    """A wall, and before it from key frame 1 to 2 something that covers its middle."""

    def encode(self, images: Tensor, inverse_depths: Tensor) -> Seen:
        return Seen(images[:, 0, 0, 0] * 10)

    def decode(self, first: Seen, second: Seen) -> DynamicGaussians:
        backward = self.static_gaussians(second)
        backward = replace(backward, anchor_times=torch.ones_like(backward.anchor_times))
        return DynamicGaussians.cat([self.static_gaussians(first), backward], dim=1)

    def bend_motion(
        self, motion: Tensor, before: Tensor, after: Tensor, durations: Tensor
    ) -> Tensor:
        return motion

    def static_gaussians(self, keyframe: Seen) -> DynamicGaussians:
        covered = 1 <= keyframe.index.round().item() <= 2
        middle = slice(10, 22)
        near = sheet(NEAR if covered else FAR, 0.9 if covered else 0.2, columns=middle)
        sides = [sheet(FAR, 0.2, columns=slice(0, 10)), sheet(FAR, 0.2, columns=slice(22, 32))]
        return DynamicGaussians.cat([*sides, near], dim=1)


def behind(session: Session, time: float) -> Tensor:
    """Return how much of the picture's middle the scene covers behind what is near."""
    scene = session.scene(time)
    far = scene.select(scene.means[0, :, 1] < 0.5, dim=1)
    return render(far, torch.ones(1, 1), SIZE).alpha[0, 0, 0, 3:-3, 14:18].mean()


def test_a_session_remembers_what_is_covered() -> None:
    found: dict[int, list[float]] = {}
    for pool in (0, 1000):
        with Session(SlidingCover(), image_size=SIZE, max_persistent=pool) as session:
            found[pool] = []
            for key in range(4):
                image = torch.full((1, 3, *SIZE), key / 10)
                session.push(image)
                found[pool].append(behind(session, key).item())
                live = session.intervals[-1]
                assert live.num_survivors == (pool if key > 1 else 0)
            # The wall is seen again: no survivor of it is left.
            assert live.gaussians.opacities[0, -pool:].sum() > 0
            session.push(torch.full((1, 3, *SIZE), 0.4))
            if pool:
                assert (session.intervals[-1].gaussians.opacities[0, -pool:] == 0).all()
    # At key frame 2 the wall's middle was last seen two key frames before.
    assert found[0][2] < 0.01
    assert found[1000][2] > 0.9
    assert found[0][1] > 0.9, "at key frame 1 it is in the interval itself"
