"""Depth of a stream of key frames: scenes whose depth and camera are known."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch

from core.depth.motion import MotionDepth
from core.depth.motion.picture import Picture, working_picture
from core.depth.motion.stream import MotionState
from tests.moving_camera import MAP, ExactFlow, View

SIDEWAYS = [View(0.14 * i) for i in range(7)]


def _colored(grey: np.ndarray) -> Picture:
    return working_picture(np.repeat(grey[..., None], 3, axis=2))


def _advance(motion: MotionDepth, *arguments: Any) -> tuple[np.ndarray, np.ndarray]:
    """Push a picture; return its inverse depth and the relative certainty of that."""
    depth = motion.advance(*arguments)
    return depth.inverse_depth.numpy(), depth.relative_certainty.numpy()


def _good(inverse: np.ndarray, truth: np.ndarray) -> float:
    """Return the share of pixels within a factor of 1.25 after the best scale and shift."""
    scale, shift = np.polyfit(inverse.ravel(), truth.ravel(), 1)
    aligned = np.maximum(scale * inverse + shift, 1e-3)
    return float((np.maximum(aligned / truth, truth / aligned) < 1.25).mean())


def test_a_moving_camera_tells_depth_in_one_unit() -> None:
    flow = ExactFlow(SIDEWAYS)
    motion = MotionDepth(flow=flow)
    units = []
    for i, (view, picture) in enumerate(zip(SIDEWAYS, flow.pictures, strict=True)):
        depth, _ = _advance(motion, _colored(picture))
        truth = view.inverse_depth()
        if i >= 2:
            assert motion.state.is_scaled
            assert _good(depth, truth) > 0.85
            units.append(np.median(depth / truth))
    assert _good(_advance(MotionDepth(), _colored(flow.pictures[-1]))[0], truth) < 0.8
    assert max(units) / min(units) < 1.06


def test_maps_are_in_the_unit_of_the_shot_after_they_are_normalised() -> None:
    flow = ExactFlow(SIDEWAYS)
    motion = MotionDepth(flow=flow)
    given = [motion.push(_colored(picture)) for picture in flow.pictures]
    assert given[0] is None, "nothing has moved"
    maps = [values.numpy() for values in given if values is not None]
    assert len(maps) >= 5
    assert all(values.min() >= 0 and values.max() <= 1 for values in maps)
    ratios = [
        np.median(values / view.inverse_depth())
        for values, view in zip(maps[-4:], SIDEWAYS[-4:], strict=True)
    ]
    assert max(ratios) / min(ratios) < 1.15


def test_a_camera_that_only_turns_carries_the_depth_of_the_picture_alone() -> None:
    views = [View(turn=0.01 * i) for i in range(4)]
    flow = ExactFlow(views)
    motion = MotionDepth(flow=flow)
    asked = []
    truths = [view.inverse_depth() for view in views]

    def alone() -> np.ndarray:
        asked.append(1)
        return truths[0].astype(np.float32)

    for picture, truth in zip(flow.pictures, truths, strict=True):
        depth, _ = _advance(motion, _colored(picture), alone)
        error = np.abs(depth / truth - 1)
        assert np.median(error) < 0.03
    assert not motion.state.is_scaled
    assert len(asked) == 1


def _follows(index: int, step: float) -> View:
    """Return a camera that turns after a square that fills a fifth of the picture."""
    turn = step * index
    across = 3 * np.tan(turn) + 0.1 * np.sin(index)
    return View(turn=turn, mover=(across, 0.06 * index), mover_half=0.75)


@pytest.mark.parametrize("fov", [45.0, 60.0])
def test_a_subject_that_a_turning_camera_follows_is_not_taken_for_parallax(fov: float) -> None:
    """With another angle of view a turn leaves motion that no rotation explains."""
    views = [_follows(i, 0.05) for i in range(10)]
    assert (views[0].cast(MAP)[0] == 2).mean() > 0.2
    flow = ExactFlow(views)
    motion = MotionDepth(fov=fov, flow=flow)
    assert all(motion.push(_colored(picture)) is None for picture in flow.pictures)
    assert not motion.state.is_scaled


def test_depth_is_given_up_where_nothing_agrees_with_a_static_world() -> None:
    flow = ExactFlow(SIDEWAYS)
    motion = MotionDepth(flow=flow)
    for picture in flow.pictures:
        motion.push(_colored(picture))
    assert motion.state.is_scaled
    waves = np.random.default_rng(0).normal(0, 4, (5, 6, 8, 2)).astype(np.float32)
    fields = [cv2.resize(wave, (128, 96), interpolation=cv2.INTER_CUBIC) for wave in waves]

    def boiling(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        sign = 1 if first[0, 0] >= second[0, 0] else -1
        return sign * fields[int(max(first[0, 0], second[0, 0])) % 5]

    motion.flow = boiling
    last = [flow.pictures[-1].copy() for _ in range(5)]
    for i, picture in enumerate(last):
        picture[0, 0] = i
    given = [motion.push(_colored(picture)) for picture in last]
    assert given[-1] is None
    assert not motion.state.is_scaled


def test_depth_stays_where_the_camera_stops() -> None:
    views = SIDEWAYS[:5]
    flow = ExactFlow(views)
    motion = MotionDepth(flow=flow)
    depths = [_advance(motion, _colored(picture))[0] for picture in flow.pictures]
    for _ in range(5):
        still, _ = _advance(motion, _colored(flow.pictures[-1]))
    change = np.abs(still / depths[-1] - 1)
    # The first three are still compared with key frames from before the stop.
    assert np.median(change) < 0.04
    assert motion.state.is_scaled


def test_what_moves_by_itself_is_not_certain_and_takes_depth_from_around() -> None:
    views = [View(0.08 * i, mover=(-1.0, -0.6 + 0.07 * i)) for i in range(7)]
    flow = ExactFlow(views)
    motion = MotionDepth(flow=flow)
    for picture in flow.pictures:
        depth, certainty = _advance(motion, _colored(picture))
    surface = views[-1].cast(MAP)[0]
    assert np.median(certainty[surface == 2]) < 0.2 * np.median(certainty[surface == 0])
    wall = np.median(depth[surface == 0])
    assert 0.7 < np.median(depth[surface == 2]) / wall < 1.5


def test_another_scene_begins_anew() -> None:
    exact = ExactFlow(SIDEWAYS)
    other = np.zeros((96, 128), np.uint8)

    def flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        if not (first.any() and second.any()):
            return np.random.default_rng(0).normal(0, 30, (96, 128, 2)).astype(np.float32)
        return exact(first, second)

    motion = MotionDepth(flow=flow)
    for picture in exact.pictures:
        motion.push(_colored(picture))
    assert motion.state.is_scaled
    motion.push(_colored(other))
    assert not motion.state.is_scaled
    assert motion.state.found is not None
    assert not motion.state.found.matches.trust.any()


def test_the_state_does_not_grow_and_can_be_set_back() -> None:
    views = [View(0.05 * i) for i in range(12)]
    flow = ExactFlow(views)
    motion = MotionDepth(flow=flow)
    for picture in flow.pictures:
        before = motion.state
        last = motion.push(_colored(picture))
        assert motion.state.found is not None
        size = sum(tensor.numel() for tensor in motion.state.found.tensors())
        assert size < 25 * 48 * 64
    motion.state = before
    again = motion.push(_colored(flow.pictures[-1]))
    assert last is not None
    assert again is not None
    assert torch.equal(again, last)
    motion.reset()
    assert motion.state == MotionState()


def test_new_parts_of_a_picture_are_filled_in_the_unit_of_the_stream() -> None:
    views = [*SIDEWAYS[:5], View(SIDEWAYS[4].x, turn=-0.25)]
    flow = ExactFlow(views)
    motion = MotionDepth(flow=flow)
    unit = 1.0
    for view, picture in zip(views[:-1], flow.pictures[:-1], strict=True):
        depth, _ = _advance(motion, _colored(picture))
        unit = np.median(depth / view.inverse_depth())
    truth = views[-1].inverse_depth()
    # Another scale and shift, which are to be undone.
    depth, _ = _advance(
        motion, _colored(flow.pictures[-1]), lambda: (0.3 * truth + 0.2).astype(np.float32)
    )
    new = np.s_[:, :8]
    assert np.abs(depth[new] / (unit * truth[new]) - 1).max() < 0.2


@pytest.mark.parametrize("size", [(1, 1), (4, 6), (10, 400), (300, 1024)])
def test_frames_of_any_size_are_taken(size: tuple[int, int]) -> None:
    motion = MotionDepth()
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    for shift in range(3):
        picture = working_picture(np.roll(noise, shift, axis=1))
        assert max(picture.grey.shape) <= 512
        depth, _ = _advance(motion, picture)
        assert depth.shape == picture.map_size
        assert np.isfinite(depth).all()
