import numpy as np
import pytest
import torch

from core.checks import UserError
from core.data.datasets import open_dataset
from core.data.sampling.sequence_source import SequenceSource

SIZE = (24, 40)


def _source(root, **changes):
    arguments = {"num_frames": 3, "reach": 6, "seed": 0, "reverse": True, **changes}
    return SequenceSource(open_dataset("frames", root), SIZE, **arguments)


def _assert_equal(first, second):
    torch.testing.assert_close(vars(first), vars(second), atol=0, rtol=0)


def _numbers(clips):
    """Read off the frames which of their sequence they are: green is ten times the number."""
    return (clips.frames[0, ..., 1].float().mean((-1, -2)) / 10).round().int().tolist()


def test_shapes_types_and_times(write_clip):
    write_clip("masked", 8, masks=True, depth_bits=16)
    source = _source(write_clip("bare", 9))
    for index in range(12):
        clips = source.sample(index).clips
        assert clips.frames.shape == (1, 3, *SIZE, 3)
        assert clips.frames.dtype == clips.masks.dtype == torch.uint8
        assert clips.inverse_depths.shape == clips.masks.shape == (1, 3, *SIZE)
        assert clips.times[0, 0] == 0.0
        assert clips.times[0, -1] == 1.0
        assert (clips.times.diff() > 0).all()
        batch = clips.unpack("cpu")
        assert bool(batch.has_mask) == bool(batch.masks.any())
        assert bool(batch.has_depth) == bool(batch.inverse_depths.any())


@pytest.mark.parametrize("depth_bits", [8, 16])
@pytest.mark.parametrize("size", [SIZE, (96, 200), (20, 36)])
def test_frames_masks_and_depth_stay_aligned(write_clip, depth_bits, size):
    source = _source(write_clip("clip", 8, size=size, masks=True, depth_bits=depth_bits))
    for index in range(5):
        batch = source.sample(index).clips.unpack("cpu")
        # The image's red channel is the mask; only resampled edges may differ.
        disagreement = ((batch.frames[:, :, :1] > 0.5) != (batch.masks > 0.5)).float().mean()
        assert disagreement < (1e-6 if size == SIZE else 0.06)
        assert set(batch.masks.unique().tolist()) == {0.0, 1.0}
        blue = batch.frames[:, :, 2:]
        low, high = blue.amin((-1, -2), keepdim=True), blue.amax((-1, -2), keepdim=True)
        expected = (blue - low) / (high - low)
        torch.testing.assert_close(batch.inverse_depths, expected, atol=0.02, rtol=0)


def test_the_part_about_the_centre_is_seen_without_distortion(write_clip):
    clips = _source(write_clip("clip", 4, size=(48, 160))).consecutive(0)
    # 80 of 160 columns are seen; blue rises from 20 to 220 over all of them.
    blue = clips.frames[0, 0, 0, :, 2].float()
    np.testing.assert_allclose(blue[[0, -1]], [20 + 200 * 41 / 159, 20 + 200 * 118 / 159], atol=2)


def test_times_are_those_of_the_frames_drawn(write_clip):
    source = _source(write_clip("clip", 20))
    directions = set()
    for index in range(20):
        clips = source.sample(index).clips
        numbers = torch.tensor(_numbers(clips), dtype=torch.float32)
        expected = (numbers - numbers[0]) / (numbers[-1] - numbers[0])
        torch.testing.assert_close(clips.times[0], expected)
        directions.add(bool(numbers[-1] > numbers[0]))
        assert 2 <= abs(numbers[-1] - numbers[0]) <= 6
    assert directions == {True, False}


def test_samples_are_in_order_where_they_are_not_reversed(write_clip):
    source = _source(write_clip("clip", 20), reverse=False)
    for index in range(20):
        numbers = _numbers(source.sample(index).clips)
        assert numbers == sorted(set(numbers))


def test_a_sample_is_a_function_of_seed_and_index(write_clip):
    write_clip("b", 12, masks=True)
    root = write_clip("a", 10, depth_bits=8)
    first, again, cached = _source(root), _source(root), _source(root, cache_mib=1)
    other = _source(root, seed=1)
    assert (first.cached_mib, cached.cached_mib) == (0, 1)
    for index in (0, 5, 23):
        _assert_equal(first.sample(index).clips, again.sample(index).clips)
        _assert_equal(first.sample(index).clips, cached.sample(index).clips)
    frames = [(first.sample(i).clips.frames, other.sample(i).clips.frames) for i in range(3)]
    assert any(not torch.equal(one, two) for one, two in frames)


def test_one_frame_is_at_time_zero(write_clip):
    clips = _source(write_clip("clip", 4), num_frames=1).sample(1).clips
    assert clips.frames.shape[1] == 1
    assert clips.times.tolist() == [[0.0]]


def test_an_epoch_shows_every_start_frame(write_clip):
    write_clip("short", 4)
    source = _source(write_clip("long", 9), reverse=False)
    assert source.num_items == 2 + 7
    shown = {
        (sample.clips.frames[0, 0, ..., 2].sum().item(), _numbers(sample.clips)[0])
        for sample in map(source.sample, range(9))
    }
    assert len({number for _, number in shown}) == 7
    assert len([*map(source.sample, range(9))]) == 9


def test_consecutive_frames_for_evaluation(write_clip):
    source = _source(write_clip("clip", 9))
    for item in (0, 6):
        assert _numbers(source.consecutive(item)) == [item, item + 1, item + 2]


def test_sequences_never_mix(write_clip):
    write_clip("dark", 6)
    root = write_clip("masked", 6, masks=True)
    source = _source(root)
    for index in range(24):
        clips = source.sample(index).clips
        # Only one of the two has masks, so that mixing them would lose all masks.
        first = clips.frames[0, 0, ..., 0]
        assert all(
            ((frame[..., 0] > 127) != (first > 127)).float().mean() < 0.8
            for frame in clips.frames[0]
        )
    shown = [bool(source.sample(index).clips.has_mask) for index in range(8)]
    assert sum(shown) == 4


def test_short_sequences_are_left_out_and_counted(write_clip, caplog):
    write_clip("short", 2)
    caplog.set_level("INFO")
    source = _source(write_clip("long", 5))
    assert source.num_skipped == 1
    assert "1 sequences, 7 frames" in caplog.text
    assert "left out: 1 sequences of fewer than 3 frames" in caplog.text


def test_a_sequence_with_some_masks_has_them_only_where_all_frames_do(write_clip):
    source = _source(write_clip("clip", 8, masks=True, missing_masks=4), reach=2)
    assert not source.consecutive(2).has_mask
    assert source.consecutive(4).has_mask


@pytest.mark.parametrize("cache_mib", [0, 8])
def test_what_cannot_be_read_is_replaced_by_a_function_of_seed_and_index(write_clip, cache_mib):
    root = write_clip("clip", 24)
    (root / "clip/JPEGImages/00004.png").write_bytes(b"not an image")
    source, again = _source(root, cache_mib=cache_mib), _source(root)
    replaced = 0
    for index in range(22):
        sample = source.sample(index)
        assert 4 not in _numbers(sample.clips)
        assert all("00004.png" in problem for problem in sample.unreadable)
        replaced += bool(sample.unreadable)
        _assert_equal(sample.clips, again.sample(index).clips)
    assert 1 <= replaced <= 10
    with pytest.raises(UserError, match=r"00004\.png"):
        source.consecutive(3)


def test_what_the_user_can_mend_is_said(write_clip):
    root = write_clip("clip", 4)
    with pytest.raises(UserError, match=r"none of its 1 sequences has 6 frames .*longest has 4"):
        _source(root, num_frames=6)
    (root / "clip/JPEGImages/00001.png").write_bytes(b"not an image")
    with pytest.raises(UserError, match=r"21 samples in a row cannot be read.*00001\.png"):
        _source(root, num_frames=4).sample(0)


def test_sequences_without_images_are_not_called_short(write_clip):
    root = write_clip("clip", 1)
    (root / "clip/JPEGImages/00000.png").unlink()
    with pytest.raises(UserError, match=r"no image of any of its 1 sequences.*core\.data\.check"):
        _source(root, num_frames=1)


def test_a_cache_too_small_for_all_frames_keeps_none(write_clip):
    for number in range(10):
        root = write_clip(f"clip{number}", 20)
    assert _source(root, cache_mib=1).cached_mib == 0
    assert _source(root, cache_mib=2).cached_mib == 2


def test_real_clips(real_clips):
    sequences = open_dataset("frames", real_clips)
    source = SequenceSource(sequences, (288, 512), num_frames=6, seed=0, reverse=False)
    clips = source.sample(0).clips
    assert clips.frames.shape == (1, 6, 288, 512, 3)
    assert clips.frames.float().std() > 12
