from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.checks import UserError
from core.data.miniature.clips import Recipe, draw_clip
from core.data.miniature.layouts import write_davis
from core.evaluation.data.clips import DatasetClip, FramesClip
from core.evaluation.data.open import choose_clips, open_dataset_clips, open_frame_clips
from core.evaluation.data.scenes import open_scenes
from core.io import read_image, write_png
from core.io.video import VideoWriter


def test_a_folder_of_clips_is_read_as_it_is(clips_folder: Path) -> None:
    clips = open_dataset_clips("frames", [clips_folder])
    assert [clip.name for clip in clips] == ["boat", "cat", "dog"]
    assert clips[0].num_frames == 8
    frames = clips[1].read(2, 4)
    assert [frame.index for frame in frames] == [2, 3, 4]
    expected = read_image(clips_folder / "cat" / "JPEGImages" / "00003.png")
    np.testing.assert_array_equal(frames[1].image, expected)
    assert frames[0].moving is not None
    assert frames[0].moving[:, :40].all()
    assert not frames[0].moving[:, 40:].any()
    assert frames[0].sensor_depth is not None
    assert frames[0].sensor_depth[0].max() == 0
    assert frames[0].sensor_depth[-1] == pytest.approx(1.0)
    assert frames[0].inverse_depth is None


def test_depth_of_another_kind_is_refused(clips_folder: Path) -> None:
    write_png(clips_folder / "cat" / "Depth" / "00000.png", np.zeros((40, 80), np.uint8))
    clips = open_dataset_clips("frames", [clips_folder])
    with pytest.raises(UserError, match=r"00000\.png .*grey 16-bit PNG in millimetres"):
        clips[1].read(0, 1)


def test_clips_are_chosen_by_name(clips_folder: Path) -> None:
    clips = open_dataset_clips("frames", [clips_folder])
    assert [clip.name for clip in choose_clips(clips, ["dog", "boat"])] == ["boat", "dog"]
    with pytest.raises(UserError, match="--clips: there is no clip bird; there are boat, cat, dog"):
        choose_clips(clips, ["bird"])
    with pytest.raises(UserError, match="two clips are called boat"):
        choose_clips([*clips, *clips], [])


def test_frames_of_a_video_are_read_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "ramp.mp4"
    with VideoWriter(path, (32, 64), 24) as writer:
        for i in range(10):
            writer.write(np.full((32, 64, 3), 20 * i, np.uint8))
    (clip,) = open_frame_clips([path])
    assert clip.name == "ramp"
    assert clip.num_frames == 10
    for first, last in ((0, 3), (3, 6), (2, 4), (8, 9)):
        frames = clip.read(first, last)
        assert [frame.index for frame in frames] == list(range(first, last + 1))
        levels = [frame.image.mean() for frame in frames]
        np.testing.assert_allclose(levels, 20 * np.arange(first, last + 1), atol=4)


def test_a_folder_of_images_is_a_clip(clips_folder: Path) -> None:
    (clip,) = open_frame_clips([clips_folder / "cat" / "JPEGImages"])
    assert isinstance(clip, FramesClip)
    assert clip.name == "cat"
    assert len(clip.read(5, 7)) == 3


def test_davis_comes_at_two_sizes(tmp_path: Path) -> None:
    recipe = Recipe(sequences=1, frames=3, image_size=(36, 64))
    write_davis(tmp_path, recipe, partial(draw_clip, recipe))
    (full,) = open_dataset_clips("davis", [tmp_path])
    assert isinstance(full, DatasetClip)
    with pytest.raises(UserError, match="holds no frames of 480p"):
        open_dataset_clips("davis", [tmp_path], davis_resolution="480p")
    for kind, masks in (("JPEGImages", "JPEGImages"), ("Annotations_unsupervised", "Annotations")):
        for file in (tmp_path / kind / "Full-Resolution" / full.name).iterdir():
            target = tmp_path / masks / "480p" / full.name / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            pixels = cv2.imread(str(file))
            cv2.imwrite(str(target), cv2.resize(pixels, (32, 18), interpolation=cv2.INTER_NEAREST))
    (small,) = open_dataset_clips("davis", [tmp_path], davis_resolution="480p")
    frame = small.read(1, 1)[0]
    assert frame.image.shape == (18, 32, 3)
    assert full.read(1, 1)[0].image.shape == (36, 64, 3)
    assert frame.moving is not None
    assert frame.moving.any()


@pytest.mark.slow
def test_scenes_know_their_motion() -> None:
    clip = open_scenes(2, (48, 80))[1]
    frames = clip.read(0, 8)
    assert frames[0].image.shape == (48, 80, 3)
    known = clip.known_flow(0, 8)
    assert known is not None
    flow, visible = known
    assert flow.norm(dim=-1).max() > 2
    # What stays visible looks alike where the flow leads.
    v, u = np.nonzero(visible.numpy())
    there = np.stack([u, v], axis=-1) + flow.numpy()[v, u]
    columns, rows = there.round().astype(int).T
    inside = (columns >= 0) & (columns < 80) & (rows >= 0) & (rows < 48)
    before = frames[0].image[v, u][inside].astype(float)
    after = frames[-1].image[rows[inside], columns[inside]].astype(float)
    moved = np.abs(after - before).mean()
    assert moved < 0.7 * np.abs(frames[-1].image[v, u][inside].astype(float) - before).mean()
