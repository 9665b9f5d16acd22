from __future__ import annotations

import weakref
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from core.streaming import Interval, KeyInputs, PairReconstructor
from core.types import DynamicGaussians


@dataclass(frozen=True)
class MarkedFrame:
    marks: Tensor  # (b,) the frame's index, read back from its image


class MarkingModel:
    """Passes frames on as Gaussians that bear the indices of their two key frames."""

    def __init__(self) -> None:
        self.encoded: list[int] = []
        self.batches: list[int] = []

    def encode(self, images: Tensor, inverse_depths: Tensor) -> MarkedFrame:
        marks = images[:, 0, 0, 0]
        assert torch.equal(marks, inverse_depths[:, 0, 0, 0])
        self.encoded += [int(mark) for mark in marks]
        self.batches.append(len(marks))
        return MarkedFrame(marks)

    def decode(self, first: MarkedFrame, second: MarkedFrame) -> DynamicGaussians:
        return gaussians(torch.stack([first.marks, second.marks], dim=1))

    def static_gaussians(self, keyframe: MarkedFrame) -> DynamicGaussians:
        return gaussians(keyframe.marks[:, None])


def gaussians(marks: Tensor) -> DynamicGaussians:
    b, n = marks.shape
    zeros = torch.zeros(b, n)
    return DynamicGaussians(
        means=torch.zeros(b, n, 3),
        motion=torch.zeros(b, n, 0, 3),
        scales=torch.ones(b, n, 3),
        quats=torch.zeros(b, n, 4),
        colors=torch.zeros(b, n, 3),
        opacities=marks,
        opacity_slopes=zeros,
        opacity_half_lives=zeros,
        anchor_times=zeros,
    )


def prepare(index: int) -> KeyInputs:
    return KeyInputs(torch.full((1, 3, 2, 2), index), torch.full((1, 1, 2, 2), index))


def stream(count: int, gap: int, batch: int) -> tuple[list[Interval], MarkingModel]:
    model = MarkingModel()
    reconstructor = PairReconstructor(model, prepare, frame_gap=gap, batch_size=batch)
    intervals = [interval for i in range(count) for interval in reconstructor.push(i)]
    return intervals + reconstructor.finish(), model


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
@pytest.mark.parametrize("gap", [1, 2, 3, 5])
@pytest.mark.parametrize("count", range(1, 12))
def test_every_frame_is_accounted_for_once(count: int, gap: int, batch: int) -> None:
    intervals, model = stream(count, gap, batch)
    assert [frame for interval in intervals for frame in interval.frames] == list(range(count))
    keys = sorted({*range(0, count, gap), count - 1})
    assert model.encoded == keys, "each key frame is encoded once, and no other frame"
    assert max(model.batches) <= batch
    if count > 1:
        assert [(i.first, i.second) for i in intervals] == list(pairwise(keys))
    for interval in intervals:
        expected = [interval.first, interval.second] if count > 1 else [0]
        assert interval.gaussians.opacities.tolist() == [expected]


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_times_run_from_0_to_1_also_in_a_short_interval(count: int) -> None:
    intervals, _ = stream(count, 3, 1)
    assert intervals[0].times[0] == 0
    for interval in intervals:
        span = max(interval.second - interval.first, 1)
        assert interval.times == tuple((f - interval.first) / span for f in interval.frames)
        assert interval.times[-1] == (1 if count > 1 else 0)


def test_an_interval_comes_as_soon_as_its_key_frame() -> None:
    reconstructor = PairReconstructor(MarkingModel(), prepare, frame_gap=3)
    given = [[(i.first, i.second) for i in reconstructor.push(index)] for index in range(7)]
    assert given == [[], [], [], [(0, 3)], [], [], [(3, 6)]]
    assert reconstructor.finish() == []


def test_an_empty_stream_gives_nothing() -> None:
    assert PairReconstructor(MarkingModel(), prepare, frame_gap=2).finish() == []


def test_after_the_end_a_new_stream_begins() -> None:
    model = MarkingModel()
    reconstructor = PairReconstructor(model, prepare, frame_gap=2)
    for _ in range(2):
        for index in range(4):
            reconstructor.push(index)
        assert [i.second for i in reconstructor.finish()] == [3]
    assert model.encoded == [0, 2, 3] * 2


class Picture:
    """Stands for a frame's memory."""

    def __init__(self, index: int) -> None:
        self.index = index


def test_old_frames_are_let_go() -> None:
    reconstructor = PairReconstructor(
        MarkingModel(), lambda picture: prepare(picture.index), frame_gap=3, batch_size=2
    )
    alive: weakref.WeakSet[Picture] = weakref.WeakSet()
    for index in range(60):
        picture = Picture(index)
        alive.add(picture)
        reconstructor.push(picture)
        del picture
        assert len(alive) <= 1, "only the newest frame may turn out to be the last"


@pytest.mark.parametrize(("gap", "batch"), [(0, 1), (1, 0)])
def test_impossible_gaps_and_batches_are_refused(gap: int, batch: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        PairReconstructor(MarkingModel(), prepare, frame_gap=gap, batch_size=batch)
