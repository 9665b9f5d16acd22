"""Layered clips are a function of (seed, index), and their motion is that of what is seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from core.checks import UserError
from core.data.layered import LayeredOptions, LayeredSource, TextureBank
from core.types import ClipBatch

SMALL = LayeredOptions(height=72, width=128, cut_probability=0.0)
CLEAN = replace(
    SMALL, light_change=0.0, exposure=0.0, shadow_opacity=0.0, sensor_noise=0.0, sensor_blur=0.0
)
TIMES = torch.tensor([[0.1, 0.3, 0.9]])


def clip(
    bank: TextureBank, indices: list[int], *, seed: int = 0, options: LayeredOptions = SMALL
) -> ClipBatch:
    source = LayeredSource(options, bank, seed=seed)
    return source.clip(indices, TIMES.expand(len(indices), -1))


def assert_same_clip(one: ClipBatch, other: ClipBatch) -> None:
    # Vectorised elementary functions may differ in the last bit with the position in memory; a
    # pixel whose coverage is one half to that bit may then change its owner.
    for a, b in zip(one.tensors(), other.tensors(), strict=True):
        assert a.shape == b.shape
        assert ((a.float() - b.float()).abs() > 1e-3).float().mean() < 1e-3


def test_a_sample_does_not_feel_its_neighbours(bank: TextureBank) -> None:
    options = replace(SMALL, cut_probability=0.5)
    together = clip(bank, [5, 3, 8, 1], options=options)
    assert 0 < together.motion_known.any(dim=(1, 2, 3)).sum() < 4
    for row, index in enumerate([5, 3, 8, 1]):
        assert_same_clip(clip(bank, [index], options=options), together.element(row))


def test_seeds_and_indices_differ(bank: TextureBank) -> None:
    frames = [clip(bank, [0]).frames, clip(bank, [1]).frames, clip(bank, [0], seed=1).frames]
    for one, other in [(0, 1), (0, 2), (1, 2)]:
        assert (frames[one] - frames[other]).abs().mean() > 0.02


def test_batches_are_valid(bank: TextureBank) -> None:
    batch = clip(bank, list(range(12)))
    assert batch.frames.shape == (12, 3, 3, 72, 128)
    assert batch.motion.shape == (12, 2, 2, 36, 64)
    assert all(value.isfinite().all() for value in batch.tensors())
    assert batch.frames.min() >= 0
    assert batch.frames.max() <= 1
    assert set(batch.masks.unique().tolist()) == {0.0, 1.0}
    assert batch.inverse_depths.amin() == 0
    assert batch.inverse_depths.amax() == 1
    assert batch.motion_known.float().mean() > 0.9
    assert not batch.has_depth.any()
    torch.testing.assert_close(batch.times[:1], torch.tensor([[0.0, 0.25, 1.0]]))


def test_a_single_frame_has_no_motion(bank: TextureBank) -> None:
    batch = LayeredSource(SMALL, bank, seed=0).clip([0], torch.tensor([[0.4]]))
    assert batch.times.tolist() == [[0.0]]
    assert not batch.motion_known.any()
    assert not batch.motion.any()


def test_nothing_moves_without_motion(bank: TextureBank) -> None:
    batch = clip(bank, [0, 1, 2, 3], options=replace(CLEAN, median_motion=0.0))
    torch.testing.assert_close(batch.frames[:, 0], batch.frames[:, 2], atol=1e-4, rtol=0)
    assert not batch.masks.any()
    assert batch.motion.abs().max() < 1e-5
    assert batch.motion_known.all()


def arrivals(batch: ClipBatch, direction: int) -> torch.Tensor:
    """Where the blocks of a key frame are in the other one, for ``grid_sample``."""
    height, width = batch.motion.shape[-2:]
    x = (2.0 * torch.arange(width) + 1.0) / width - 1.0
    y = (2.0 * torch.arange(height) + 1.0) / height - 1.0
    motion = batch.motion[:, direction]
    return torch.stack([x + motion[:, 0], y[:, None] - motion[:, 1]], dim=-1)


def test_what_is_seen_is_found_where_the_motion_leads(bank: TextureBank) -> None:
    batch = clip(bank, list(range(16)), options=CLEAN)
    keys = batch.frames[:, [0, -1]]
    still = (keys[:, 0] - keys[:, 1]).abs().mean()
    size = torch.tensor([128.0, 72.0])
    for direction in (0, 1):
        here = F.avg_pool2d(keys[:, direction], 2)
        there = arrivals(batch, direction)
        # Back from where a point arrives: what is hidden there belongs to another layer.
        back = batch.motion[:, 1 - direction]
        returned = batch.motion[:, direction] + F.grid_sample(back, there, align_corners=False)
        returned = 0.5 * (returned.permute(0, 2, 3, 1) * size).norm(dim=-1)
        seen = (returned < 1.0) & (there.abs() < 0.97).all(dim=-1)
        assert 0.6 < seen.float().mean() < 0.99
        assert returned[seen].median() < 0.05, "forth and back leads to the start, in pixels"
        found = F.grid_sample(keys[:, 1 - direction], there, align_corners=False)
        error = (found - here).abs().mean(dim=1)[seen]
        # What remains is interpolation, and edges that a block shares.
        assert error.median() < 0.004
        assert error.mean() < 0.15 * still


def test_motion_is_that_of_single_layers(bank: TextureBank) -> None:
    """Motion between any times, put together from steps, is the same."""
    source = LayeredSource(replace(CLEAN, min_layers=1, max_layers=1), bank, seed=2)
    first = source.clip(range(8), torch.tensor([[0.0, 0.5]]).expand(8, -1))
    second = source.clip(range(8), torch.tensor([[0.5, 1.0]]).expand(8, -1))
    whole = source.clip(range(8), torch.tensor([[0.0, 1.0]]).expand(8, -1))
    there = arrivals(first, 0)
    onwards = F.grid_sample(second.motion[:, 0], there, align_corners=False)
    apart = (first.motion[:, 0] + onwards - whole.motion[:, 0]).abs().amax(dim=1)
    inside = (there.abs() < 0.97).all(dim=-1)
    assert (apart[inside] < 2e-3).float().mean() > 0.9, "0.1 pixels, but at edges"
    assert whole.motion.abs().amax((1, 2, 3, 4)).median() > 0.02


def test_a_cut_shows_another_scene_of_which_no_motion_is_known(bank: TextureBank) -> None:
    options = replace(CLEAN, median_motion=0.0)
    before = clip(bank, list(range(6)), options=options)
    after = clip(bank, list(range(6)), options=replace(options, cut_probability=1.0))
    torch.testing.assert_close(after.frames[:, 0], before.frames[:, 0])
    assert ((after.frames[:, -1] - before.frames[:, -1]).abs().mean((1, 2, 3)) > 0.02).all()
    assert not after.motion_known.any()
    assert not after.motion.any()


def test_longest_paths_are_as_the_options_say(bank: TextureBank) -> None:
    options = replace(CLEAN, height=36, width=64, median_motion=0.05)
    source = LayeredSource(options, bank, seed=1)
    batch = source.clip(range(48), torch.tensor([[0.0, 1.0]]).expand(48, -1))
    # In canonical units the frame's width is 2.
    longest = 0.5 * batch.motion[:, :, 0].abs().amax((1, 2, 3))
    assert 0.02 < longest.median() < 0.06
    assert longest.min() < 0.005
    assert 0.15 < longest.max() < 0.45


def test_there_is_a_row_of_times_for_each_sample(bank: TextureBank) -> None:
    with pytest.raises(UserError, match="2 indices"):
        LayeredSource(SMALL, bank, seed=0).clip([0, 1], TIMES)


@pytest.mark.gpu
def test_the_device_gives_the_same(photographs: Path) -> None:
    banks = [
        TextureBank(photographs, min_side=72, budget_mib=4, device=device)
        for device in ("cpu", "cuda")
    ]
    times = TIMES.expand(6, -1)
    expected = LayeredSource(SMALL, banks[0], seed=0).clip(range(6), times)
    found = LayeredSource(SMALL, banks[1], seed=0, device="cuda").clip(range(6), times).to("cpu")
    for a, b in zip(found.tensors(), expected.tensors(), strict=True):
        assert ((a.float() - b.float()).abs() > 2e-3).float().mean() < 3e-3
