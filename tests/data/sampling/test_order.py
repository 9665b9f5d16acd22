import numpy as np
import pytest

from core.data.sampling.order import BLOCK_FILES, PASSES, SampleOrder

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
