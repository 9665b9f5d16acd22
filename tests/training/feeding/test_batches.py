from dataclasses import replace
from itertools import islice

import pytest
import torch

from core.checks import UserError
from core.data.augmentation.options import AugmentationOptions
from core.data.datasets import open_dataset
from core.data.miniature import write_miniature
from core.data.procedural import ProceduralOptions, ProceduralSource
from core.data.sampling.combination import CombinedSource
from core.data.sampling.scene_clips import SceneClips
from core.data.sampling.sequence_source import SequenceSource
from core.training.feeding.batches import (
    BatchShard,
    Sources,
    _steps_at_once,
    stream_batches,
    stream_scenes,
)
from core.types import ClipBatch

SIZE = (16, 32)


def _sources(roots, share, augmentation=None):
    """Open folders of clips, or other layouts as {name: root}."""
    roots = roots if isinstance(roots, dict) else {"frames": roots}
    sets = [open_dataset(name, root) for name, root in roots.items()]
    sources = [
        SequenceSource(sequences, SIZE, num_frames=2, reach=3, seed=0, reverse=True)
        for sequences in sets
    ]
    options = ProceduralOptions(height=16, width=32, max_objects=4)
    scenes = SceneClips(ProceduralSource(options, seed=0), num_frames=2, seed=0)
    return Sources(
        files=CombinedSource(sources, [1.0] * len(sources)) if share < 1 else None,
        scenes=(scenes,) if share > 0 else (),
        scene_shares=(share,) if share > 0 else (),
        augmentation=augmentation or AugmentationOptions(p=0.5),
        seed=0,
    )


def _stream(sources, count, *, shard=None, first=0, workers=0, device="cpu"):
    shard = BatchShard(4) if shard is None else shard
    stream = stream_batches(
        sources, shard, first=first, workers=workers, device=torch.device(device)
    )
    batches = list(islice(stream, count))
    stream.close()
    return batches


def _assert_equal(first, second):
    # Procedural scenes may differ in the last bit with the scenes they are batched with.
    torch.testing.assert_close(vars(first), vars(second), atol=1e-5, rtol=0)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_batches_have_their_size_and_share(clips_root, share):
    batches = _stream(_sources(clips_root, share), 5)
    assert {batch.frames.shape for batch in batches} == {(4, 2, 3, *SIZE)}
    # Procedural samples alone have both depth and masks.
    procedural = sum(int((batch.has_depth & batch.has_mask).sum()) for batch in batches)
    assert procedural == int(20 * share)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_workers_and_the_place_of_entry_change_nothing(clips_root, share):
    sources = _sources(clips_root, share)
    whole = _stream(sources, 4)
    for batch, expected in zip(_stream(sources, 4, workers=2), whole, strict=True):
        _assert_equal(batch, expected)
    for batch, expected in zip(_stream(sources, 2, first=8), whole[2:], strict=True):
        _assert_equal(batch, expected)


def _scenes(sources, count, *, first=0, steps_at_once):
    stream = stream_scenes(sources, BatchShard(2), first=first, steps_at_once=steps_at_once)
    return list(islice(stream, count))


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_scenes_drawn_together_are_those_drawn_one_step_at_a_time(clips_root, share):
    sources = _sources(clips_root, share)
    single, together = (_scenes(sources, 7, steps_at_once=count) for count in (1, 3))
    assert {len(batches) for batches in single} == ({0, 1} if share < 1 else {1})
    for batches, expected in zip(together, single, strict=True):
        for one, other in zip(batches, expected, strict=True):
            _assert_equal(one, other)


def test_scenes_are_drawn_in_the_same_groups_wherever_the_stream_is_entered(
    clips_root, monkeypatch
):
    sources = _sources(clips_root, 1.0)
    draw, drawn = SceneClips.batch, []

    def batch(self, indices):
        drawn.append(list(indices))
        return draw(self, indices)

    monkeypatch.setattr(SceneClips, "batch", batch)
    whole = _scenes(sources, 6, steps_at_once=3)
    assert drawn == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    entered = _scenes(sources, 2, first=8, steps_at_once=3)  # the second of a group
    assert drawn[2:] == drawn[1:2]
    for (one,), (other,) in zip(entered, whole[4:], strict=True):
        torch.testing.assert_close(vars(one), vars(other), atol=0, rtol=0)


def test_kinds_of_scenes_have_their_shares(clips_root):
    sources = _sources(clips_root, 0.3)
    (scenes,) = sources.scenes
    sources = replace(sources, scenes=(scenes, scenes), scene_shares=(0.25, 0.5))
    assert sources.samples_per_epoch == 4 * sources.files.num_items
    division = sources.divide(range(40))
    assert [len(indices) for indices in (division.files, *division.scenes)] == [10, 10, 20]
    for start, batches in zip((0, 2, 4), _scenes(sources, 3, steps_at_once=1), strict=True):
        expected = [scenes.batch(i) for i in sources.divide(range(start, start + 2)).scenes if i]
        for one, other in zip(batches, expected, strict=True):
            _assert_equal(one, other)


@pytest.mark.parametrize(
    ("batch_size", "share", "device", "expected"),
    [(128, 0.5, "cuda", 2), (2, 0.5, "cuda", 4), (256, 1.0, "cuda", 1), (32, 0.5, "cpu", 1)],
)
def test_few_scenes_are_drawn_together_and_on_the_gpu_alone(
    clips_root, batch_size, share, device, expected
):
    sources = _sources(clips_root, share)
    assert _steps_at_once(sources, BatchShard(batch_size), torch.device(device)) == expected


def test_processes_share_the_stream_between_them(clips_root):
    sources = _sources(clips_root, 0.0)
    (whole,) = _stream(sources, 1)
    parts = [_stream(sources, 1, shard=BatchShard(2, rank, 2))[0] for rank in range(2)]
    _assert_equal(ClipBatch.cat(parts), whole)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_samples_of_all_layouts_do_not_depend_on_workers(tmp_path, workers):
    names = ("davis", "vos", "co3d", "re10k")
    roots = {name: write_miniature(name, tmp_path / name, image_size=SIZE) for name in names}
    expected = _stream(_sources(roots, 0.0), 4)
    assert all(batch.has_depth.all() for batch in expected)
    # Of four layouts in turn, two have masks.
    assert sum(int(batch.has_mask.sum()) for batch in expected) == 8
    found = _stream(_sources(roots, 0.0), 4, workers=workers)
    for batch, other in zip(found, expected, strict=True):
        torch.testing.assert_close(vars(batch), vars(other), atol=0, rtol=0)


@pytest.mark.gpu
def test_batches_reach_the_device_through_pinned_memory(clips_root):
    sources = _sources(clips_root, 0.0, AugmentationOptions.none())
    expected = _stream(sources, 3)
    for batch, other in zip(_stream(sources, 3, workers=2, device="cuda"), expected, strict=True):
        assert batch.frames.is_cuda
        _assert_equal(batch.to("cpu"), other)


def test_samples_from_disk_are_augmented_and_nothing_else_changes(clips_root):
    (plain,) = _stream(_sources(clips_root, 0.0, AugmentationOptions.none()), 1)
    (changed,) = _stream(_sources(clips_root, 0.0), 1)
    assert torch.equal(plain.times, changed.times)
    assert not torch.equal(plain.frames, changed.frames)
    (colored,) = _stream(
        _sources(clips_root, 0.0, AugmentationOptions(x_flip=0.0, p=1.0, brightness=0.0)), 1
    )
    assert set(colored.masks.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("workers", [0, 1])
def test_one_damaged_file_is_named_once_and_worked_around(clips_root, workers, caplog):
    damaged = clips_root / "masked/JPEGImages/00003.jpg"
    damaged.write_bytes(damaged.read_bytes()[:100])
    sources = _sources(clips_root, 0.0)
    batches = _stream(sources, 8, workers=workers)
    warnings = [r.getMessage() for r in caplog.records if "00003.jpg" in r.getMessage()]
    assert len(warnings) == 1
    for batch, other in zip(batches, _stream(sources, 8), strict=True):
        _assert_equal(batch, other)


@pytest.mark.parametrize("workers", [0, 1])
def test_too_many_damaged_files_are_an_error_in_one_line(clips_root, workers):
    for path in clips_root.glob("*/JPEGImages/*.jpg"):
        path.write_bytes(b"damaged")
    with pytest.raises(UserError, match="cannot decode the image") as caught:
        _stream(_sources(clips_root, 0.0), 1, workers=workers)
    assert "Traceback" not in str(caught.value)
