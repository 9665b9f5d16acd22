import numpy as np
import pytest

from core.data.sampling.order import (
    BLOCK_FILES,
    PASSES,
    SampleOrder,
    draw_frames,
    normalized_times,
    sample_generator,
)

STARTS = np.array([5, 0, 1, 12, 30, 2, 9, 0, 17, 4] * 4)
FILES = np.repeat(np.arange(20), 2)


def _epoch(order, epoch=0):
    return [order.locate(epoch * order.num_items + i) for i in range(order.num_items)]


@pytest.mark.parametrize("files", [None, FILES])
@pytest.mark.parametrize("epoch", [0, 3])
def test_each_epoch_shows_every_start_frame_once_in_its_own_order(files, epoch):
    order = SampleOrder(STARTS, files, seed=5)
    shown = _epoch(order, epoch)
    assert sorted(shown) == [(s, f) for s, count in enumerate(STARTS) for f in range(count)]
    assert shown != sorted(shown)
    assert shown != _epoch(order, epoch + 1)
    assert shown != _epoch(SampleOrder(STARTS, files, seed=6), epoch)


@pytest.mark.parametrize("files", [None, FILES])
def test_a_position_does_not_depend_on_those_asked_for_before(files):
    order = SampleOrder(STARTS, files, seed=0)
    expected = [*_epoch(order, 0), *_epoch(order, 1)]
    for index in np.random.default_rng(0).permutation(len(expected))[:100]:
        assert order.locate(int(index)) == expected[index]


def test_samples_come_from_few_large_files_at_a_time():
    order = SampleOrder(np.full(640, 40), np.arange(640) // 16, seed=0)
    files = [sequence // 16 for sequence, _ in _epoch(order)]
    opened, held = 0, []
    for file in files:  # as a reader that keeps the latest BLOCK_FILES open
        if file in held:
            held.remove(file)
        else:
            opened += 1
            held = held[-(BLOCK_FILES - 1) :]
        held.append(file)
    assert opened < 1.2 * 40 * PASSES
    # A batch still shows many sequences.
    assert len({sequence for sequence, _ in _epoch(order)[:64]}) > 45


def test_start_frames_are_spread_over_the_passes():
    order = SampleOrder(np.array([80, 80]), np.array([0, 1]), seed=0)
    first = _epoch(order)[: 160 // PASSES]
    assert sorted(frame for sequence, frame in first if sequence == 0) == list(range(0, 80, PASSES))


def _draws(count, **arguments):
    rng = np.random.default_rng(0)
    return [draw_frames(rng, **arguments) for _ in range(count)]


def test_frames_begin_at_start_and_rise_within_reach():
    for frames in _draws(50, start=7, num_frames=4, reach=9, clip_length=100):
        assert frames[0] == 7
        assert (np.diff(frames) >= 1).all()
        assert frames[-1] <= 16


def test_every_offset_within_reach_is_drawn():
    drawn = np.unique(np.concatenate(_draws(200, start=0, num_frames=3, reach=6, clip_length=50)))
    assert drawn.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_a_reach_below_the_frame_count_gives_consecutive_frames():
    for frames in _draws(5, start=3, num_frames=5, reach=2, clip_length=50):
        assert frames.tolist() == [3, 4, 5, 6, 7]


def test_the_end_of_the_clip_cuts_the_reach():
    for frames in _draws(20, start=5, num_frames=3, reach=30, clip_length=9):
        assert frames[-1] <= 8


def test_one_frame_is_the_start():
    assert _draws(1, start=4, num_frames=1, reach=5, clip_length=5)[0].tolist() == [4]


def test_every_sample_and_every_attempt_draws_its_own_numbers():
    keys = [(0, 0), (0, 1), (1, 0), (0, 0, 1), (0, 0, 2), (0, 1, 1)]
    drawn = [sample_generator(*key).uniform() for key in keys]
    assert len(set(drawn)) == len(keys)
    assert drawn == [sample_generator(*key).uniform() for key in keys]


def test_times_run_from_zero_to_one():
    np.testing.assert_allclose(normalized_times(np.array([3.0, 4, 8])), [0, 0.2, 1])
    np.testing.assert_allclose(normalized_times(np.array([8.0, 4, 3])), [0, 0.8, 1])
    assert normalized_times(np.array([9.0])).tolist() == [0.0]
