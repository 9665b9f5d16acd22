"""The procedural source keeps its contract: deterministic, exact, valid batches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from core.checks import UserError
from core.data.procedural import ProceduralOptions, ProceduralSource
from core.types import ClipBatch

SMALL = ProceduralOptions(height=72, width=128)
TIMES = torch.tensor([[0.1, 0.3, 0.9]])


def clip(indices: list[int], *, seed: int = 0, options: ProceduralOptions = SMALL) -> ClipBatch:
    source = ProceduralSource(options, seed=seed)
    return source.clip(indices, TIMES.expand(len(indices), -1))


def assert_same_clip(one: ClipBatch, other: ClipBatch) -> None:
    # Vectorised elementary functions may differ in the last bit with the position in memory; a
    # pixel whose coverage is one half to that bit may then change its owner.
    for a, b in zip(one.tensors(), other.tensors(), strict=True):
        assert a.shape == b.shape
        assert ((a.float() - b.float()).abs() > 1e-4).float().mean() < 1e-3


def test_a_scene_does_not_feel_its_neighbours() -> None:
    together = clip([5, 3, 8])
    for row, index in enumerate([5, 3, 8]):
        assert_same_clip(clip([index]), together.element(row))


def test_the_same_call_gives_the_same_bits() -> None:
    assert torch.equal(clip([4]).frames, clip([4]).frames)


def test_seeds_and_indices_differ() -> None:
    frames = [clip([0]).frames, clip([1]).frames, clip([0], seed=1).frames]
    for one, other in [(0, 1), (0, 2), (1, 2)]:
        assert (frames[one] - frames[other]).abs().mean() > 0.02


def test_batches_are_valid() -> None:
    batch = clip(list(range(12)))
    assert batch.frames.shape == (12, 3, 3, 72, 128)
    assert all(value.isfinite().all() for value in batch.tensors())
    assert batch.frames.min() >= 0
    assert batch.frames.max() <= 1
    assert set(batch.masks.unique().tolist()) == {0.0, 1.0}
    lowest, highest = batch.inverse_depths.amin((-2, -1)), batch.inverse_depths.amax((-2, -1))
    assert torch.equal(lowest, torch.zeros_like(lowest))
    assert torch.equal(highest, torch.ones_like(highest))
    assert batch.has_depth.all()
    assert batch.has_mask.all()


def test_times_are_normalised() -> None:
    torch.testing.assert_close(clip([0]).times, torch.tensor([[0.0, 0.25, 1.0]]))
    source = ProceduralSource(SMALL, seed=0)
    assert source.clip([0], torch.tensor([[0.4]])).times.tolist() == [[0.0]]
    assert source.sample(2, num_views=4).frames.shape == (1, 4, 3, 72, 128)


def test_nothing_moves_without_motion() -> None:
    still = replace(
        SMALL, object_motion=0.0, camera_motion=0.0, depth_motion=0.0, moving_fraction=0.0,
        sensor_noise=0.0,
    )  # fmt: skip
    batch = clip([0, 1, 2, 3], options=still)
    torch.testing.assert_close(batch.frames[:, 0], batch.frames[:, 2], atol=1e-4, rtol=0)
    assert not batch.masks.any()


@pytest.mark.slow
def test_occluders_are_nearer_than_what_they_hide() -> None:
    source = ProceduralSource(SMALL, seed=3)
    scenes = source.sample_scenes(range(12))
    times = torch.tensor([[0.0, 0.5, 1.0]]).expand(12, -1)
    behind = None
    compared = 0
    for count in range(1, len(scenes.stack.textures) + 1):
        nearest = replace(scenes.stack, textures=scenes.stack.textures[:count])
        depths = replace(scenes, stack=nearest).render(times).inverse_depths
        assert (depths > 0).all()
        if behind is not None:
            covered = depths != behind
            compared += int(covered.sum())
            assert (depths[covered] >= behind[covered] * (1 - 1e-5)).float().mean() > 0.999
        behind = depths
    assert compared > 10_000


def test_the_mask_is_what_moves_on_its_own() -> None:
    scenes = ProceduralSource(replace(SMALL, depth_motion=0.0), seed=1).sample_scenes(range(8))
    still = replace(
        scenes,
        bodies=replace(
            scenes.bodies,
            shift=torch.zeros_like(scenes.bodies.shift),
            spin=torch.zeros_like(scenes.bodies.spin),
            stretch=torch.zeros_like(scenes.bodies.stretch),
        ),
    )
    # At the reference time the two agree in everything, and flow tells which layer moves.
    start, end = torch.full((8,), 0.5), torch.ones(8)
    mask = scenes.render(start[:, None]).masks[:, 0, 0].bool()
    own_motion = (scenes.flow(start, end)[0] - still.flow(start, end)[0]).norm(dim=-1)
    assert mask.any()
    assert (~mask).any()
    # Where the coverage is one half to the last bit, a pixel may change its layer.
    assert (own_motion[~mask] < 1e-3).float().mean() > 0.999
    assert (own_motion[mask] > 1e-3).float().mean() > 0.99


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"height": 4}, "height"),
        ({"min_objects": 5, "max_objects": 4}, "min_objects"),
        ({"moving_fraction": 1.5}, "moving_fraction"),
        ({"object_motion": -0.1}, "object_motion"),
        ({"sensor_blur": 0.5}, "sensor_blur"),
    ],
)
def test_bad_options_are_named(changes: dict[str, float], name: str) -> None:
    with pytest.raises(UserError, match=name):
        replace(SMALL, **changes)


def test_bad_requests_are_explained() -> None:
    source = ProceduralSource(SMALL, seed=0)
    with pytest.raises(UserError, match="at least one"):
        source.sample_scenes([])
    with pytest.raises(UserError, match="one row of times"):
        source.clip([0, 1], TIMES)


@pytest.mark.gpu
def test_devices_agree() -> None:
    options = ProceduralOptions()
    times = torch.tensor([[0.0, 0.5, 1.0]]).expand(4, -1)
    on_cpu = ProceduralSource(options, seed=0).clip(range(4), times)
    on_gpu = ProceduralSource(options, seed=0, device="cuda").clip(range(4), times)
    assert on_gpu.frames.is_cuda
    for a, b in zip(on_cpu.tensors(), on_gpu.to("cpu").tensors(), strict=True):
        # Rounding differs, which shows at edges and thresholds only.
        assert ((a.float() - b.float()).abs() > 0.01).float().mean() < 2e-3
