from dataclasses import fields
from itertools import islice

import pytest
import torch

from core.checks import UserError
from core.data.clips import ClipFolderSource
from core.data.procedural import ProceduralOptions
from core.data.scene_clips import SceneClips
from core.training.batches import Sources, Stride, stream_batches
from core.types import ClipBatch

SIZE = (16, 32)


def _sources(root, share):
    clips = ClipFolderSource(root, SIZE, num_frames=2, reach=3, seed=0, augment=True)
    options = ProceduralOptions(height=16, width=32, max_objects=4)
    scenes = SceneClips(options, num_frames=2, seed=0, device="cpu")
    return Sources(clips if share < 1 else None, scenes if share > 0 else None, share)


def _stream(sources, count, *, stride=None, first=0, workers=0):
    stride = Stride(4) if stride is None else stride
    stream = stream_batches(
        sources, stride, first=first, workers=workers, device=torch.device("cpu")
    )
    batches = list(islice(stream, count))
    stream.close()
    return batches


def _assert_equal(first, second):
    for field in fields(ClipBatch):
        # Procedural scenes may differ in the last bit with the scenes they are batched with.
        torch.testing.assert_close(
            getattr(first, field.name), getattr(second, field.name), atol=1e-5, rtol=0
        )


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


def test_processes_share_the_stream_between_them(clips_root):
    sources = _sources(clips_root, 0.0)
    (whole,) = _stream(sources, 1)
    parts = [_stream(sources, 1, stride=Stride(2, rank, 2))[0] for rank in range(2)]
    _assert_equal(ClipBatch.collate(parts), whole)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_file_is_named_in_one_line(clips_root, workers):
    for path in clips_root.glob("*/JPEGImages/*.jpg"):
        path.write_bytes(b"damaged")
    with pytest.raises(UserError, match="cannot decode the image") as caught:
        _stream(_sources(clips_root, 0.0), 1, workers=workers)
    assert "Traceback" not in str(caught.value)
