"""What becomes of a batch: every pixel as an independent evaluation has it, and all in step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from core.data.augmentation.augment import augment
from core.data.augmentation.draws import Geometry, draw
from core.data.augmentation.options import AugmentationOptions
from core.data.augmentation.warp import warp_
from core.data.procedural import ProceduralOptions, ProceduralSource
from core.types import ClipBatch

STRONG = AugmentationOptions(p=0.6)


def warp(batch, geometry):
    """Return the mapped batch."""
    moved = ("frames", "inverse_depths", "masks", "motion", "motion_known")
    changed = replace(batch, **{name: getattr(batch, name).clone() for name in moved})
    warp_(changed, geometry)
    return changed


def _random_batch(samples=3, views=2, size=(12, 20), seed=0):
    rng = torch.Generator().manual_seed(seed)
    shape = (samples, views, 1, *size)
    yes = torch.ones(samples, dtype=torch.bool)
    return ClipBatch(
        frames=torch.rand(samples, views, 3, *size, generator=rng),
        inverse_depths=torch.rand(shape, generator=rng),
        masks=(torch.rand(shape, generator=rng) > 0.5).float(),
        times=torch.linspace(0, 1, views).expand(samples, -1),
        motion=torch.rand(samples, 2, 2, size[0] // 2, size[1] // 2, generator=rng) - 0.5,
        motion_known=torch.rand(samples, 2, size[0] // 2, size[1] // 2, generator=rng) > 0.5,
        has_depth=yes,
        has_mask=yes,
    )


def _affine(linear, shift=(0.0, 0.0)):
    """Return the geometry of one sample, of the map from the output to the source."""
    maps = np.concatenate([np.array(linear, float), np.array(shift, float)[:, None]], axis=1)
    return Geometry(maps[None], np.array([True]))


def _reflect(place, size):
    """Return a pixel coordinate within [-0.5, size - 0.5], and whether it was mirrored."""
    copies, rest = divmod(place + 0.5, size)
    mirrored = copies % 2 == 1
    return (size - rest if mirrored else rest) - 0.5, mirrored


def _bilinear(image, u, v):
    """Look up one channel, in pixels, beyond its borders its reflection."""
    height, width = image.shape
    u = min(max(_reflect(u, width)[0], 0.0), width - 1.0)
    v = min(max(_reflect(v, height)[0], 0.0), height - 1.0)
    left, top = min(int(u), width - 2), min(int(v), height - 2)
    a, b = u - left, v - top
    upper = (1 - a) * image[top, left] + a * image[top, left + 1]
    lower = (1 - a) * image[top + 1, left] + a * image[top + 1, left + 1]
    return (1 - b) * upper + b * lower


def _taps(linear_px):
    """Return the offsets, in source pixels, of the look-ups that are averaged."""
    covariance = linear_px @ linear_px.T  # of the footprint of a pixel
    lengths, axes = np.linalg.eigh(covariance)
    if lengths[1] <= 1.001**2:
        return [np.zeros(2)]
    root = sum(
        np.sqrt(max(length - 1.0, 0.0) / 6.0) * np.outer(axis, axis)
        for length, axis in zip(lengths, axes.T, strict=True)
    )
    return [root @ np.array([i, j]) for i in (-1, 1) for j in (-1, 1)]


def _reference(batch, maps):
    """Evaluate frames, depths (not normalised) and masks of one view, pixel by pixel."""
    frames, depth, mask = (
        getattr(batch, name)[0, 0].double().numpy()
        for name in ("frames", "inverse_depths", "masks")
    )
    height, width = mask.shape[1:]
    pixels = np.array([width, height]) / 2.0
    taps = _taps(maps[:, :2] * pixels[:, None] / pixels)
    out = np.zeros((5, height, width))
    for row in range(height):
        for column in range(width):
            place = np.array([(2 * column + 1) / width - 1, (2 * row + 1) / height - 1, 1.0])
            center = (maps @ place + 1.0) * pixels - 0.5
            for channel, image in enumerate([*frames, depth[0]]):
                values = [_bilinear(image, *(center + tap)) for tap in taps]
                out[channel, row, column] = np.mean(values)
            near = [round(_reflect(c, n)[0]) for c, n in zip(center, (width, height), strict=True)]
            u, v = np.clip(near, 0, (width - 1, height - 1))
            out[4, row, column] = mask[0, v, u]
    return out


@pytest.mark.parametrize("position", range(12))
def test_every_pixel_is_that_of_an_independent_evaluation(position):
    batch = _random_batch(samples=1, seed=position)
    geometry, _ = draw(STRONG, seed=1, positions=[position], aspect=12 / 20)
    if not geometry.changes[0]:
        pytest.skip("nothing was drawn for this position")
    expected = _reference(batch, geometry.source_from_output[0])
    warped = warp(batch, geometry)
    # float32 coordinates of some 20 pixels are exact to 1e-5, colours differ by up to 1 a pixel.
    np.testing.assert_allclose(warped.frames[0, 0], expected[:3], atol=1e-4)
    depth = expected[3]
    depth = (depth - depth.min()) / (depth.max() - depth.min())
    np.testing.assert_allclose(warped.inverse_depths[0, 0, 0], depth, atol=3e-4)
    # Of 240 pixels, those half-way between two others may take either.
    assert (warped.masks[0, 0, 0].numpy() != expected[4]).sum() <= 2


def test_flips_are_exact():
    batch = _random_batch(samples=1)
    mirrored = warp(batch, _affine([[-1, 0], [0, 1]]))
    torch.testing.assert_close(mirrored.frames, batch.frames.flip(-1), atol=2e-6, rtol=0)
    assert torch.equal(mirrored.masks, batch.masks.flip(-1))
    expected = batch.motion.flip(-1) * torch.tensor([-1.0, 1.0])[:, None, None]
    torch.testing.assert_close(mirrored.motion, expected)
    assert torch.equal(mirrored.motion_known, batch.motion_known.flip(-1))
    turned = warp(batch, _affine([[1, 0], [0, -1]]))
    assert torch.equal(turned.masks, batch.masks.flip(-2))
    expected = batch.motion.flip(-2) * torch.tensor([1.0, -1.0])[:, None, None]
    torch.testing.assert_close(turned.motion, expected)


def test_frames_depth_and_masks_stay_aligned():
    size = (36, 64)
    batch = _random_batch(samples=16, views=3, size=size)
    rng = np.random.default_rng(0)
    # Everything shows one smooth pattern, which differs from sample to sample and view to view.
    coarse = torch.from_numpy(rng.uniform(size=(48, 1, 4, 6))).float()
    pattern = F.interpolate(coarse, size, mode="bicubic").clamp(0, 1).unflatten(0, (16, 3))
    batch = replace(
        batch,
        frames=pattern.expand(-1, -1, 3, -1, -1),
        inverse_depths=pattern,
        masks=(pattern > 0.5).float(),
    )
    options = replace(STRONG, brightness=0.0, contrast=0.0, hue=0.0, saturation=0.0)
    changed = augment(batch, seed=0, positions=range(16), options=options)
    red = changed.frames[:, :, :1]
    low, high = red.amin((-1, -2), keepdim=True), red.amax((-1, -2), keepdim=True)
    torch.testing.assert_close(
        changed.inverse_depths, (red - low) / (high - low), atol=1e-5, rtol=0
    )
    # Masks are those of a pixel, frames of a point within it, where the pattern changes slowly.
    clear = (red - 0.5).abs() > 0.12
    assert clear.float().mean() > 0.6
    assert torch.equal(changed.masks[clear], (red > 0.5).float()[clear])
    assert not torch.equal(changed.masks, batch.masks)


def test_ranges_and_what_is_absent():
    batch = _random_batch(samples=12)
    absent = torch.arange(12) % 2 == 0
    zero = absent[:, None, None, None, None]
    batch = replace(
        batch,
        inverse_depths=batch.inverse_depths.masked_fill(zero, 0.0),
        masks=batch.masks.masked_fill(zero, 0.0),
        motion=batch.motion.masked_fill(zero, 0.0),
        motion_known=batch.motion_known.masked_fill(zero[..., 0], False),
        has_depth=~absent,
    )
    changed = augment(batch, seed=0, positions=range(12), options=AugmentationOptions(p=0.9))
    assert 0.0 <= changed.frames.min() <= changed.frames.max() <= 1.0
    assert set(changed.masks.unique().tolist()) == {0.0, 1.0}
    for name in ("inverse_depths", "masks", "motion", "motion_known"):
        values = getattr(changed, name)
        assert not values[absent].any()
        assert (values[~absent].flatten(1) != 0).any(dim=1).all()
    depths = changed.inverse_depths[~absent]
    assert (depths.amin((-1, -2)) == 0).all()
    assert (depths.amax((-1, -2)) == 1).all()
    for name in ("times", "has_depth", "has_mask"):
        assert torch.equal(getattr(changed, name), getattr(batch, name))


def test_nothing_changes_when_options_are_off():
    batch = _random_batch()
    changed = augment(batch, seed=0, positions=range(3), options=AugmentationOptions.none())
    torch.testing.assert_close(vars(changed), vars(batch), atol=0, rtol=0)


def test_what_was_given_stays_as_it_was():
    batch, same = _random_batch(), _random_batch()
    augment(batch, seed=0, positions=range(3), options=AugmentationOptions(p=1.0))
    torch.testing.assert_close(vars(batch), vars(same), atol=0, rtol=0)


def test_colors_change_on_frames_alone():
    batch = _random_batch(samples=6)
    options = AugmentationOptions(
        x_flip=0, p=1, y_flip=False, scale=0, rotation=0, anisotropy=0, translation=0
    )
    _, recoloring = draw(options, seed=2, positions=range(6), aspect=0.6)
    changed = augment(batch, seed=2, positions=range(6), options=options)
    for sample in range(6):
        colors = batch.frames[sample].double().numpy()
        expected = np.einsum("ij,vjhw->vihw", recoloring.linear[sample], colors)
        expected = np.clip(expected + recoloring.offset[sample], 0, 1)
        np.testing.assert_allclose(changed.frames[sample], expected, atol=1e-5)
    assert torch.equal(changed.masks, batch.masks)
    torch.testing.assert_close(changed.motion, batch.motion)


def test_a_sample_does_not_feel_its_neighbours():
    batch, positions = _random_batch(samples=8), [11, 3, 5, 900, 2, 1, 0, 77]
    together = augment(batch, seed=4, positions=positions, options=STRONG)
    reordered = batch.map(lambda value: value.flip(0))
    reordered = augment(reordered, seed=4, positions=positions[::-1], options=STRONG)
    other = augment(batch, seed=5, positions=positions, options=STRONG)
    for row, position in enumerate(positions):
        alone = augment(batch.element(row), seed=4, positions=[position], options=STRONG)
        expected = together.element(row).tensors()
        torch.testing.assert_close(alone.tensors(), expected, atol=0, rtol=0)
        again = reordered.element(len(positions) - 1 - row)
        torch.testing.assert_close(again.tensors(), expected, atol=0, rtol=0)
    assert not torch.equal(other.frames, together.frames)


def test_fine_texture_is_averaged_where_it_shrinks():
    stripes = (torch.arange(64) % 2).float().expand(64, 64)
    batch = _random_batch(samples=1, views=1, size=(64, 64))
    batch = replace(batch, frames=stripes.expand(1, 1, 3, -1, -1))
    for angle in (0.0, 0.3, 1.2):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        same, small = (warp(batch, _affine(factor * turn)).frames for factor in (1.0, 1.7))
        assert same.std() > 0.25
        assert small.std() < 0.1
        assert abs(small.mean() - 0.5) < 0.02


def _clean_scenes(count):
    options = ProceduralOptions(
        height=96, width=160, sensor_noise=0.0, sensor_blur=0.0, shadow_opacity=0.0,
        perspective_share=0.0,
    )  # fmt: skip
    source = ProceduralSource(options, seed=3)
    scenes = source.sample_scenes(range(count))
    scenes = replace(
        scenes, sensor=replace(scenes.sensor, vignette=torch.zeros_like(scenes.sensor.vignette))
    )
    clip = source.clip(range(count), torch.tensor([[0.0, 1.0]]).expand(count, -1))
    return scenes, replace(clip, frames=scenes.render(clip.times).frames)


@pytest.mark.slow
def test_motion_is_where_the_tracks_of_procedural_scenes_go():
    scenes, clip = _clean_scenes(4)
    linear = np.array([[0.6, -0.25], [0.35, -0.6]])  # turned, stretched and mirrored, all inside
    shift = np.array([0.1, -0.05])
    maps = np.concatenate([linear, shift[:, None]], axis=1)
    warped = warp(clip, Geometry(np.tile(maps, (4, 1, 1)), np.ones(4, bool)))
    size = torch.tensor([160.0, 96.0])
    y, x = torch.meshgrid(
        (2 * torch.arange(48) + 1) / 48 - 1, (2 * torch.arange(80) + 1) / 80 - 1, indexing="ij"
    )
    here = torch.stack([x, y], dim=-1).reshape(-1, 2)
    forwards = torch.from_numpy(np.linalg.inv(linear)).float()
    inside = here @ torch.from_numpy(linear).float().T + torch.from_numpy(shift).float()
    pixels = ((inside + 1) * size - 1) / 2
    for direction, (start, end) in enumerate(((0.0, 1.0), (1.0, 0.0))):
        tracks = scenes.track(
            pixels.expand(4, -1, -1), torch.full((4,), start), torch.full((4, 1), end)
        )
        there = (2 * tracks.points[:, 0] + 1) / size - 1
        moved = (there - torch.from_numpy(shift).float()) @ forwards.T
        expected = (moved - here) * torch.tensor([1.0, -1.0])
        found = warped.motion[:, direction].flatten(2).transpose(1, 2)
        # Vectors are those of the nearest block of 2 by 2 pixels: not so near the layers' borders.
        image = expected.transpose(1, 2).unflatten(2, (48, 80))
        spread = F.max_pool2d(image, 7, 1, 3) + F.max_pool2d(-image, 7, 1, 3)
        within = (spread.amax(1) < 0.03).flatten(1)
        assert within.float().mean() > 0.5
        agrees = ((found - expected).abs() < 0.01).all(dim=-1)
        assert agrees[within].float().mean() > 0.995
        assert expected.abs().amax((1, 2)).min() > 0.03


@pytest.mark.slow
def test_motion_leads_from_frame_to_frame_also_in_reflections():
    _, clip = _clean_scenes(6)
    options = AugmentationOptions(p=1.0, brightness=0, contrast=0, hue=0, saturation=0)
    changed = augment(clip, seed=0, positions=range(6), options=options)
    for batch in (clip, changed):
        first, last = (F.avg_pool2d(batch.frames[:, v], 2) for v in (0, 1))
        y, x = torch.meshgrid(
            (2 * torch.arange(48) + 1) / 48 - 1, (2 * torch.arange(80) + 1) / 80 - 1, indexing="ij"
        )
        for source, target, motion in (
            (first, last, batch.motion[:, 0]),
            (last, first, batch.motion[:, 1]),
        ):
            grid = torch.stack([x + motion[:, 0], y - motion[:, 1]], dim=-1)
            found = F.grid_sample(target, grid, align_corners=False, padding_mode="reflection")
            still = (target - source).abs().mean()
            assert (found - source).abs().mean() < 0.45 * still


def test_there_is_a_position_for_each_sample():
    with pytest.raises(ValueError, match="2 positions for 3 samples"):
        augment(_random_batch(), seed=0, positions=[0, 1], options=STRONG)


@pytest.mark.gpu
def test_the_device_gives_the_same_and_the_host_does_not_wait():
    batch = _random_batch(samples=8, views=3, size=(72, 128))
    expected = augment(batch, seed=0, positions=range(8), options=STRONG)
    on_device = batch.to("cuda")
    augment(on_device, seed=0, positions=range(8), options=STRONG)
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = augment(on_device, seed=0, positions=range(8), options=STRONG)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(found.to("cpu").frames, expected.frames, atol=1e-3, rtol=0)
    torch.testing.assert_close(
        found.to("cpu").inverse_depths, expected.inverse_depths, atol=1e-3, rtol=0
    )
    assert (found.to("cpu").masks != expected.masks).float().mean() < 1e-3
