from dataclasses import fields

import numpy as np
import pytest
import torch

from core.checks import UserError
from core.data.clip_folder import find_clips
from core.data.clips import ClipFolderSource, ClipSequenceOptions
from core.data.frame_cache import FrameCache
from core.types import ClipBatch

SIZE = (24, 40)


def _source(root, **changes):
    arguments = {"num_frames": 3, "reach": 6, "seed": 0, "augment": True, **changes}
    return ClipFolderSource(root, SIZE, **arguments)


def _assert_equal(first, second):
    for field in fields(ClipBatch):
        assert torch.equal(getattr(first, field.name), getattr(second, field.name)), field.name


def test_shapes_times_and_ranges(write_clip):
    write_clip("masked", 8, masks=True, depth_bits=16)
    sample = _source(write_clip("bare", 9)).sample(0)
    assert sample.frames.shape == (1, 3, 3, *SIZE)
    assert sample.inverse_depths.shape == sample.masks.shape == (1, 3, 1, *SIZE)
    for index in range(12):
        sample = _source(write_clip("bare", 9)).sample(index)
        assert sample.times[0, 0] == 0.0
        assert sample.times[0, -1] == 1.0
        assert (sample.times.diff() > 0).all()
        assert 0.0 <= sample.frames.min() <= sample.frames.max() <= 1.0
        assert set(sample.masks.unique().tolist()) <= {0.0, 1.0}
        assert bool(sample.has_mask) == bool(sample.masks.any())
        assert bool(sample.has_depth) == bool(sample.inverse_depths.any())


@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize("depth_bits", [8, 16])
def test_frames_masks_and_depth_stay_aligned(write_clip, augment, depth_bits):
    source = _source(
        write_clip("clip", 8, size=SIZE, masks=True, depth_bits=depth_bits), augment=augment
    )
    for index in range(5):
        sample = source.sample(index)
        # The image's red channel is the mask; only resampled edges may differ.
        disagreement = ((sample.frames[:, :, :1] > 0.5) != (sample.masks > 0.5)).float().mean()
        assert disagreement < (0.06 if augment else 1e-6)
        blue = sample.frames[:, :, 2:]
        low, high = blue.amin((-1, -2), keepdim=True), blue.amax((-1, -2), keepdim=True)
        expected = (blue - low) / (high - low)
        torch.testing.assert_close(sample.inverse_depths, expected, atol=0.02, rtol=0)


def test_times_are_those_of_the_frames_drawn(write_clip):
    source = _source(write_clip("clip", 20), augment=False)
    for index in range(10):
        sample = source.sample(index)
        numbers = (sample.frames[0, :, 1].mean((-1, -2)) * 25.5).round()  # green is the number
        expected = (numbers - numbers[0]) / (numbers[-1] - numbers[0])
        torch.testing.assert_close(sample.times[0], expected)


def test_a_sample_is_a_function_of_seed_and_index(write_clip):
    write_clip("b", 12, masks=True)
    root = write_clip("a", 10, depth_bits=8)
    first, again, cached = _source(root), _source(root), _source(root, cache_mib=1)
    other = _source(root, seed=1)
    for index in (0, 5, 23):
        _assert_equal(first.sample(index), again.sample(index))
        _assert_equal(first.sample(index), cached.sample(index))
    assert any(not torch.equal(first.sample(i).frames, other.sample(i).frames) for i in range(3))


def test_one_frame_is_at_time_zero(write_clip):
    sample = _source(write_clip("clip", 4), num_frames=1).sample(1)
    assert sample.frames.shape[1] == 1
    assert sample.times.tolist() == [[0.0]]


def test_an_epoch_shows_every_start_frame(write_clip):
    write_clip("short", 4)
    source = _source(write_clip("long", 9), augment=False)
    assert source.num_items == 2 + 7
    shown = [
        (sample.frames[0, 0, 0].mean().item(), sample.frames[0, 0, 1].mean().item())
        for sample in map(source.sample, range(9))
    ]
    assert len(set(shown)) == 9


def test_consecutive_frames_for_evaluation(write_clip):
    source = _source(write_clip("clip", 9))
    for item in (0, 6):
        greens = source.consecutive(item).frames[0, :, 1].mean((-1, -2)) * 25.5
        np.testing.assert_allclose(greens.numpy(), [item, item + 1, item + 2], atol=1e-3)


def test_short_clips_are_left_out_and_counted(write_clip):
    write_clip("short", 2)
    source = _source(write_clip("long", 5))
    assert (source.num_clips, source.num_skipped) == (1, 1)


def test_a_clip_with_some_masks_has_them_only_where_all_frames_do(write_clip):
    source = _source(write_clip("clip", 8, masks=True, missing_masks=4), reach=2)
    assert not source.consecutive(2).has_mask
    assert source.consecutive(4).has_mask


def test_the_cache_keeps_to_its_budget(write_clip):
    write_clip("clip", 9, size=(300, 500))
    clips = find_clips(write_clip("other", 2, size=(300, 500)))
    cache = FrameCache(clips, (300, 500), margin=1.0, budget_mib=1)
    assert cache.num_kept == 2  # 450 KB each
    _, last = cache.frame(0, 0), cache.frame(1, 1)
    assert last.image.shape == (300, 500, 3)
    assert FrameCache(clips, (300, 500), margin=1.0, budget_mib=0).num_kept == 0


def test_what_the_user_can_mend_is_said(write_clip, tmp_path):
    with pytest.raises(UserError, match="there is no such folder"):
        _source(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no clips; expected .*JPEGImages"):
        _source(tmp_path / "empty")
    root = write_clip("clip", 4)
    with pytest.raises(UserError, match="is one clip"):
        _source(root / "clip")
    with pytest.raises(UserError, match=r"none of its 1 clips has 6 frames .*longest has 4"):
        _source(root, num_frames=6)
    (root / "clip/JPEGImages/00001.png").write_bytes(b"not an image")
    with pytest.raises(UserError, match=r"00001\.png"):
        _source(root, num_frames=4).sample(0)
    with pytest.raises(UserError, match="--reach"):
        ClipSequenceOptions(clips_path=root, reach=0)


def test_real_clips(real_clips):
    source = ClipFolderSource(real_clips, (288, 512), num_frames=6, reach=5, seed=0, augment=False)
    sample = source.sample(0)
    assert sample.frames.shape == (1, 6, 3, 288, 512)
    assert sample.frames.std() > 0.05
