from __future__ import annotations

import weakref
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.checks import UserError
from core.depth.source import NoDepth
from core.io import Frame, FrameSource
from core.metrics import psnr
from core.models import StreamSplatConfig, build_model
from core.streaming.reconstruct import ClipReconstructor, RenderedFrame, choose_fit

Build = Callable[..., ClipReconstructor]


def frames_of(reconstructor: ClipReconstructor, source: FrameSource) -> Iterator[RenderedFrame]:
    """Yield the frames of a clip one by one."""
    for frames in reconstructor.frames(source):
        yield from frames


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("gap", [1, 3, 5])
@pytest.mark.parametrize("count", range(1, 9))
def test_every_decoded_frame_is_rendered_once_and_in_order(
    reconstructor: Build, synthetic_source, model_size, count: int, gap: int, batch: int
) -> None:
    frames = list(
        frames_of(reconstructor(frame_gap=gap, batch_size=batch), synthetic_source(count))
    )
    assert [frame.index for frame in frames] == list(range(count))
    assert [frame.name for frame in frames] == [f"{i:04d}" for i in range(count)]
    keys = {*range(0, count, gap), count - 1}
    assert {frame.index for frame in frames if frame.is_key} == keys
    assert all(frame.rgb.shape == frame.target.shape == (1, 3, *model_size) for frame in frames)


def test_key_frames_look_like_the_input(reconstructor: Build, synthetic_source) -> None:
    for frame in frames_of(reconstructor(frame_gap=2), synthetic_source(5)):
        if frame.is_key:
            assert psnr(frame.rgb, frame.target).item() > 20


def test_motion_follows_the_time_stamps(reconstructor: Build, synthetic_source) -> None:
    stamps = [0.0, 0.1, 0.9, 1.0, 1.25, 1.5, 2.0]

    class Timed(synthetic_source):
        def _decode(self) -> Generator[Frame, None, None]:
            for frame in super()._decode():
                yield replace(frame, time=stamps[frame.index])

    frames = list(frames_of(reconstructor(frame_gap=3), Timed(7)))
    assert [frame.index for frame in frames] == list(range(7))
    assert [frame.stream_time for frame in frames] == stamps
    assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.9, 1, 0.25, 0.5, 1])


@pytest.mark.parametrize("count", [1, 7, 8])
def test_batches_give_what_single_pairs_give(
    reconstructor: Build, synthetic_source, small_config: StreamSplatConfig, count: int
) -> None:
    torch.manual_seed(0)
    model = build_model(small_config).eval()
    single, batched = (
        list(
            frames_of(
                reconstructor(model=model, frame_gap=2, batch_size=batch), synthetic_source(count)
            )
        )
        for batch in (1, 3)
    )
    assert len(single) == len(batched) == count
    for one, other in zip(single, batched, strict=True):
        assert (one.index, one.time) == (other.index, other.time)
        # Other sizes of the same matrix products round differently.
        for name, value in vars(one.interval.gaussians).items():
            expected = getattr(other.interval.gaussians, name)
            torch.testing.assert_close(value, expected, atol=1e-4, rtol=1e-4)


class CountingDepth(NoDepth):
    def __init__(self) -> None:
        self.asked: list[int] = []

    def inverse_depth(self, frame: Frame) -> torch.Tensor:
        self.asked.append(frame.index)
        height, width = frame.image.shape[:2]
        return 7 + 3 * torch.arange(width).expand(1, 1, height, width)


def test_depth_is_asked_for_key_frames_only_and_normalized(
    reconstructor: Build, synthetic_source
) -> None:
    depth = CountingDepth()
    frames = list(frames_of(reconstructor(frame_gap=3, depth=depth), synthetic_source(8)))
    assert depth.asked == [0, 3, 6, 7]
    inverse_depths = frames[0].interval.gaussians.means[..., 1]
    assert inverse_depths.min() == 0
    assert inverse_depths.max() == 1


def test_what_came_before_an_unreadable_frame_is_rendered(
    reconstructor: Build, synthetic_source
) -> None:
    source = synthetic_source(8, broken=5)
    frames = frames_of(reconstructor(batch_size=4), source)
    seen = [next(frames).index for _ in range(5)]
    with pytest.raises(UserError, match="0005 is damaged"):
        next(frames)
    assert seen == [0, 1, 2, 3, 4]


class DamagedDepth(NoDepth):
    def __init__(self, *damaged: int) -> None:
        self.damaged = damaged

    def inverse_depth(self, frame: Frame) -> torch.Tensor:
        if frame.index in self.damaged:
            raise UserError(f"depth map {frame.index} is damaged")
        return super().inverse_depth(frame)


@pytest.mark.parametrize("batch", [1, 2, 8])
@pytest.mark.parametrize("damaged", [(6,), (11,), (10, 11), (8, 9), (0, 1)])
def test_what_came_before_damaged_depth_is_rendered(
    reconstructor: Build, synthetic_source, damaged: tuple[int, ...], batch: int
) -> None:
    source = synthetic_source(12)
    frames = frames_of(reconstructor(depth=DamagedDepth(*damaged), batch_size=batch), source)
    assert [next(frames).index for _ in range(damaged[0])] == list(range(damaged[0]))
    with pytest.raises(UserError, match=f"depth map {damaged[0]} is damaged"):
        next(frames)


def test_frames_of_different_sizes_are_refused(reconstructor: Build, synthetic_source) -> None:
    class Grows(synthetic_source):
        def _decode(self) -> Generator[Frame, None, None]:
            for frame in super()._decode():
                width = 30 + (frame.index > 3)
                yield replace(frame, image=np.zeros((20, width, 3), np.uint8))

    frames = frames_of(reconstructor(), Grows(6))
    assert [next(frames).index for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(UserError, match=r"frame 0004: .* 31 by 20 .* alike"):
        next(frames)


@pytest.mark.parametrize("batch", [1, 2])
def test_memory_does_not_grow_with_the_clip(
    reconstructor: Build, synthetic_source, batch: int
) -> None:
    class WatchedSource(synthetic_source):
        def _decode(self):
            for frame in super()._decode():
                inputs.append(weakref.ref(frame.image))
                yield frame

    inputs: list[weakref.ref[np.ndarray]] = []
    outputs: list[weakref.ref[RenderedFrame]] = []
    source = WatchedSource(60)
    most_inputs = most_outputs = 0
    for frames in reconstructor(frame_gap=3, batch_size=batch).frames(source):
        outputs += [weakref.ref(frame) for frame in frames]
        del frames
        most_inputs = max(most_inputs, sum(ref() is not None for ref in inputs))
        most_outputs = max(most_outputs, sum(ref() is not None for ref in outputs))
    assert len(outputs) == 60
    # Two that are decoded ahead, the one at hand, and two since the key frame that may be the last.
    assert most_inputs <= 6
    assert most_outputs <= 1


def test_padding_to_next_to_nothing_is_refused(synthetic_source, model_size) -> None:
    with pytest.raises(UserError, match="fit crop"):
        choose_fit(synthetic_source(1, (4, 400)), model_size, "pad")


class TwoShots(FrameSource):
    """A dark shot of ``first`` frames, then a bright one of ``second`` frames."""

    def __init__(self, first: int, second: int, *, broken_off: str | None = None) -> None:
        super().__init__(Path("shots"), "skip")
        self.counts = first, second
        self.end = broken_off

    def _decode(self) -> Generator[Frame, None, None]:
        rng = np.random.default_rng(0)
        base = rng.integers(0, 60, (36, 64, 3)), rng.integers(170, 255, (36, 64, 3))
        for index in range(sum(self.counts)):
            image = base[index >= self.counts[0]].astype(np.uint8)
            yield Frame(index, str(index), image)
        self._broken_off = self.end


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("counts", [(5, 6), (1, 4), (4, 1), (7, 2), (1, 1)])
def test_a_cut_ends_one_stream_and_begins_another(
    reconstructor: Build, counts: tuple[int, int], batch: int
) -> None:
    source = TwoShots(*counts)
    frames = list(frames_of(reconstructor(frame_gap=3, batch_size=batch), source))
    assert [frame.index for frame in frames] == list(range(sum(counts)))
    keys = set()
    for start, count in ((0, counts[0]), (counts[0], counts[1])):
        keys |= {*range(start, start + count, 3), start + count - 1}
    assert {frame.index for frame in frames if frame.is_key} == keys
    for frame in frames:
        assert (frame.rgb - frame.target).abs().mean() < 0.1, "nothing of the other shot"
        interval = frame.interval
        assert (interval.first_time < counts[0]) == (interval.second_time < counts[0])


@pytest.mark.parametrize("batch", [1, 2, 8])
@pytest.mark.parametrize("damaged", [(4,), (3, 4), (5,)])
def test_what_came_before_damaged_depth_at_a_cut_is_rendered(
    reconstructor: Build, damaged: tuple[int, ...], batch: int
) -> None:
    source = TwoShots(5, 6)
    frames = frames_of(reconstructor(depth=DamagedDepth(*damaged), batch_size=batch), source)
    assert [next(frames).index for _ in range(damaged[0])] == list(range(damaged[0]))
    with pytest.raises(UserError, match=f"depth map {damaged[0]} is damaged"):
        next(frames)


def test_without_cuts_one_shot_smears_into_the_next(reconstructor: Build) -> None:
    frames = list(frames_of(reconstructor(frame_gap=3, detect_cuts=False), TwoShots(5, 5)))
    assert max((frame.rgb - frame.target).abs().mean().item() for frame in frames) > 0.1


def test_a_source_that_breaks_off_is_an_error_after_its_last_frame(reconstructor: Build) -> None:
    source = TwoShots(3, 2, broken_off="the camera stopped")
    frames = frames_of(reconstructor(), source)
    assert [next(frames).index for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(UserError, match="the camera stopped"):
        next(frames)


def test_a_source_that_breaks_off_beyond_the_limit_is_no_error(
    reconstructor: Build, synthetic_source
) -> None:
    class BreaksOff(synthetic_source):
        def _decode(self) -> Generator[Frame, None, None]:
            self._broken_off = "the camera stopped"  # as if decoding were far ahead
            yield from super()._decode()

    for limit in (4, 5):
        frames = list(frames_of(reconstructor(max_frames=limit), BreaksOff(5)))
        assert [frame.index for frame in frames] == list(range(limit))
    with pytest.raises(UserError, match="the camera stopped"):
        list(frames_of(reconstructor(max_frames=6), BreaksOff(5)))


def test_no_more_frames_are_taken_than_the_limit(reconstructor: Build, synthetic_source) -> None:
    frames = list(frames_of(reconstructor(max_frames=5), synthetic_source(30)))
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert frames[-1].is_key


def test_an_interruption_ends_the_shot_and_loses_no_frame(
    reconstructor: Build, synthetic_source
) -> None:
    class Interrupted(synthetic_source):
        def _decode(self) -> Generator[Frame, None, None]:
            yield from list(super()._decode())[:8]
            raise KeyboardInterrupt

    frames = frames_of(reconstructor(frame_gap=3), Interrupted(9))
    assert [next(frames).index for _ in range(8)] == list(range(8))
    with pytest.raises(KeyboardInterrupt):
        next(frames)
