from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.checks import UserError
from core.io.layouts import (
    CO3D_IMAGES,
    JPEG_IMAGES,
    find_chunks,
    find_co3d_images,
    find_jpeg_images,
    find_scenes,
)


def _touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_maps_lie_where_the_data_sets_expect_them():
    davis = Path("/d/JPEGImages/Full-Resolution/bear/00001.jpg")
    expected = Path("/d/depthImages/Full-Resolution/bear/00001_pred.png")
    assert JPEG_IMAGES.depth_path(davis) == expected
    co3d = Path("/images/apple/110_1/images/frame000001.jpg")
    expected = Path("/images/apple/110_1/predict_depths/frame000001_pred.png")
    assert CO3D_IMAGES.depth_path(co3d) == expected


def test_images_below_jpeg_images_are_found_in_natural_order(tmp_path):
    for clip in ("b10", "b2"):
        _touch(tmp_path / clip / "JPEGImages" / "0.jpg.png")
        _touch(tmp_path / clip / "Annotations" / "0.png")
    _touch(tmp_path / "JPEGImages" / "b3" / "JPEGImages" / "0.png")
    (tmp_path / "b2" / "loop").symlink_to(tmp_path)
    images = find_jpeg_images(tmp_path)
    assert [str(JPEG_IMAGES.depth_path(image).relative_to(tmp_path)) for image in images] == [
        "b2/depthImages/0.jpg_pred.png",
        "b10/depthImages/0.jpg_pred.png",
        "JPEGImages/b3/depthImages/0_pred.png",
    ]
    within = tmp_path / "b2" / "JPEGImages"
    assert find_jpeg_images(within) == [within / "0.jpg.png"]


def test_roots_without_jpeg_images_are_explained(tmp_path):
    with pytest.raises(UserError, match="no folder"):
        find_jpeg_images(tmp_path / "none")
    _touch(tmp_path / "images" / "0.png")
    with pytest.raises(UserError, match="no images below a folder JPEGImages"):
        find_jpeg_images(tmp_path)


def _set_list(root, category, name, subsets):
    path = _touch(root / category / "set_lists" / f"set_lists_{name}.json")
    path.write_text(json.dumps(subsets))


def test_co3d_set_lists_say_which_images_belong_to_a_split(tmp_path):
    def entry(category, sequence, number):
        return [sequence, number, f"{category}/{sequence}/images/frame{number:06d}.jpg"]

    _set_list(
        tmp_path,
        "apple",
        "manyview_dev_0",
        {"train": [entry("apple", "s2", 10), entry("apple", "s1", 1)], "val": []},
    )
    _set_list(tmp_path, "apple", "manyview_dev_1", {"test": [entry("apple", "s2", 2)] * 2})
    _set_list(tmp_path, "apple", "manyview_test_0", {"train": [entry("apple", "s3", 1)]})
    _set_list(tmp_path, "apple", "fewview_train", {"train": [entry("apple", "s4", 1)]})
    _set_list(tmp_path, "ball", "manyview_dev_0", {"train": [entry("ball", "s1", 1)]})

    found = find_co3d_images(tmp_path, "train")
    apple, ball = tmp_path / "apple", tmp_path / "ball"
    assert found == {
        ("apple", "s1"): [apple / "s1/images/frame000001.jpg"],
        ("apple", "s2"): [
            apple / "s2/images/frame000002.jpg",
            apple / "s2/images/frame000010.jpg",
        ],
        ("ball", "s1"): [ball / "s1/images/frame000001.jpg"],
    }
    assert list(find_co3d_images(tmp_path, "test")) == [("apple", "s3")]
    assert list(find_co3d_images(ball, "train")) == [("ball", "s1")]


def test_unusable_set_lists_are_explained(tmp_path):
    with pytest.raises(UserError, match="holds no set lists"):
        find_co3d_images(tmp_path, "train")
    _set_list(tmp_path, "apple", "manyview_dev_0", {"train": [["s1", "one", "image"]]})
    with pytest.raises(UserError, match=r"cannot read the set list .*manyview_dev_0\.json"):
        find_co3d_images(tmp_path, "train")


def test_chunks_of_both_splits_or_of_one_folder(tmp_path):
    train = [_touch(tmp_path / "train" / name) for name in ("2.torch", "10.torch")]
    test = _touch(tmp_path / "test" / "0.torch")
    _touch(tmp_path / "train" / "index.json")
    assert find_chunks(tmp_path) == [*train, test]
    assert find_chunks(tmp_path / "train") == train
    with pytest.raises(UserError, match="holds no image chunks"):
        find_chunks(tmp_path / "none")


def test_scenes_are_clips_and_single_photographs(tmp_path):
    for name in ("b/JPEGImages/10.jpg", "b/JPEGImages/9.jpg", "b/Annotations/9.png", "a/x.png"):
        _touch(tmp_path / name)
    _touch(tmp_path / "y.jpg")
    found = [[str(path.relative_to(tmp_path)) for path in scene] for scene in find_scenes(tmp_path)]
    assert found == [["y.jpg"], ["a/x.png"], ["b/JPEGImages/9.jpg", "b/JPEGImages/10.jpg"]]
    with pytest.raises(UserError, match="no folder"):
        find_scenes(tmp_path / "missing")
