import json
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from core.checks import UserError

SIZE = (24, 40)
LAYOUTS = ("davis", "vos", "co3d", "frames")
MASKED = ("davis", "vos", "frames")


def _files(root, pattern):
    return sorted(path for path in root.rglob(pattern) if path.is_file())


@pytest.mark.parametrize("name", [*LAYOUTS, "re10k"])
@pytest.mark.parametrize("split", ["train", "val"])
def test_a_whole_dataset(miniature, reopen, name, split):
    root = miniature(name)
    opened = reopen(name, root, split=split)
    assert (opened.name, opened.root) == (name, root)
    assert len(set(opened.keys)) == len(opened.lengths) == 3
    assert opened.lengths.tolist() == [6, 6, 6]
    coverage = opened.coverage()
    assert (coverage.sequences, coverage.frames) == (3, 18)
    lacks = (coverage.without_depth, coverage.empty, coverage.missing, coverage.unreadable)
    assert [lack.count for lack in lacks] == [0, 0, 0, 0]
    clip = opened.read(1, [4, 0, 1], SIZE)
    assert clip.images.shape == (3, *SIZE, 3)
    assert clip.images.dtype == np.uint8
    assert clip.inverse_depths is not None
    assert clip.inverse_depths.dtype == np.uint16
    assert clip.inverse_depths.shape == (3, *SIZE)
    assert clip.inverse_depths.max() > 50000
    assert clip.times[1] < clip.times[2] < clip.times[0]
    if name in MASKED:
        assert clip.masks is not None
        assert coverage.without_mask is not None
        assert coverage.without_mask.count == 0
        assert set(np.unique(clip.masks)) <= {0, 1}
    else:
        assert clip.masks is None
        assert coverage.without_mask is None


def test_reaches_are_those_of_the_method(miniature, reopen):
    names = ("davis", "vos", "co3d", "re10k", "frames")
    assert [reopen(name, miniature(name)).reach for name in names] == [4, 3, 5, 15, 5]


def test_splits_are_different_sequences(miniature, reopen):
    for name in ("davis", "vos", "co3d", "re10k"):
        root = miniature(name)
        train, val = reopen(name, root), reopen(name, root, split="val")
        assert not set(train.keys) & set(val.keys)


def test_youtube_vos_without_annotations_counts_as_moving(miniature, reopen):
    clip = reopen("vos", miniature("vos"), split="val").read(0, [0, 1], SIZE)
    assert clip.masks is not None
    assert clip.masks.all()


def test_numbers_in_names_are_the_times(miniature, reopen):
    vos, co3d = miniature("vos"), miniature("co3d")
    np.testing.assert_array_equal(reopen("vos", vos).read(0, [0, 1, 5], SIZE).times, [0, 5, 25])
    for lists in _files(co3d, "*manyview_dev*.json"):
        subsets = json.loads(lists.read_text())
        subsets["train"] = [entry for entry in subsets["train"] if entry[1] not in (2, 3)]
        lists.write_text(json.dumps(subsets))
    opened = reopen("co3d", co3d)
    assert opened.lengths.tolist() == [4, 4, 4]
    np.testing.assert_array_equal(opened.read(0, [0, 1, 2, 3], SIZE).times, [1, 4, 5, 6])


def test_names_without_rising_numbers_count_by_position(miniature, reopen):
    root = miniature("frames")
    for place, path in enumerate(_files(root, "JPEGImages/*.jpg")):
        path.rename(path.with_name(f"{'abcdef'[place % 6]}.jpg"))
    times = reopen("frames", root).read(0, [1, 4], SIZE).times
    np.testing.assert_array_equal(times, [1, 4])


@pytest.mark.parametrize("name", LAYOUTS)
def test_missing_depth_of_a_frame_and_of_a_sequence(miniature, reopen, name):
    root = miniature(name)
    depths = _files(root, "*_pred.png")
    folders = sorted({path.parent for path in depths})
    for folder in folders:
        _files(folder, "*.png")[2].unlink()
    opened = reopen(name, root)
    coverage = opened.coverage()
    assert coverage.without_depth.count == 3
    assert (root / coverage.without_depth.examples[0]).is_file()
    assert opened.read(0, [1, 2], SIZE).inverse_depths is None
    assert opened.read(0, [0, 1, 3], SIZE).inverse_depths is not None
    for folder in folders:
        shutil.rmtree(folder)
    opened = reopen(name, root)
    assert opened.coverage().without_depth.count == 18
    assert len(opened.coverage().without_depth.examples) == 5
    assert opened.read(2, [0, 1], SIZE).inverse_depths is None


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_corrupt_jpeg_is_named_when_it_is_read(miniature, reopen, name):
    root = miniature(name)
    for path in _files(root, "*2.jpg") + _files(root, "*10.jpg"):
        path.write_bytes(path.read_bytes()[:-40])
    opened = reopen(name, root)
    bad = next(f for f in range(6) if _fails(opened, f))
    with pytest.raises(UserError, match=r"cannot decode the image .*\.jpg"):
        opened.read(0, [bad], SIZE)
    good = [frame for frame in range(6) if frame != bad]
    assert len(opened.read(0, good, SIZE).images) == 5


def _fails(opened, frame):
    try:
        opened.read(0, [frame], SIZE)
    except UserError:
        return True
    return False


@pytest.mark.parametrize("name", LAYOUTS)
def test_an_empty_sequence_is_counted(miniature, reopen, name):
    root = miniature(name)
    opened = reopen(name, root)
    key = opened.keys[1]
    for path in _files(root, "*.jpg"):
        if key.split("/")[-1] in path.parts:
            path.unlink()
    opened = reopen(name, root)
    assert opened.lengths.tolist() == [6, 0, 6]
    assert opened.coverage().empty.examples == (key,)
    if name in ("davis", "co3d"):  # their lists name what is not there
        assert opened.coverage().missing.count > 0


def test_a_map_of_zeros_is_no_depth(miniature, reopen):
    root = miniature("davis")
    for path in _files(root, "00002_pred.png"):
        cv2.imwrite(str(path), np.zeros((48, 80), np.uint16))
    opened = reopen("davis", root)
    assert opened.read(0, [1, 2], SIZE).inverse_depths is None
    assert opened.read(0, [1, 3], SIZE).inverse_depths is not None


@pytest.mark.parametrize("bits", [8, 16])
def test_depth_of_both_kinds(miniature, reopen, bits):
    root = miniature("davis")
    ramp = np.tile(np.arange(80) * 3, (48, 1)).astype(np.uint8 if bits == 8 else np.uint16)
    for path in _files(root, "*_pred.png"):
        cv2.imwrite(str(path), ramp if bits == 8 else ramp * 257)
    depth = reopen("davis", root).read(0, [0], (48, 80)).inverse_depths
    assert depth is not None
    np.testing.assert_array_equal(depth[0], ramp.astype(np.uint16) * 257)


def test_a_colour_picture_is_no_depth_map(miniature, reopen):
    root = miniature("frames")
    for path in _files(root, "*_pred.png"):
        cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (48, 80, 3), np.uint8))
    with pytest.raises(UserError, match="is a colour picture"):
        reopen("frames", root).read(0, [0], SIZE)


@pytest.mark.parametrize("kind", ["palette", "grey", "color", "one bit"])
def test_every_object_of_an_annotation_moves(miniature, reopen, kind):
    root = miniature("davis")
    labels = np.zeros((48, 80), np.uint8)
    labels[:10], labels[10:20, 5:], labels[30:, 60:] = 1, 7, 255
    palette = [0, 0, 0, 128, 0, 0, *([0, 200, 0] * 253), 224, 224, 192]
    for path in _files(root / "Annotations_unsupervised", "*.png"):
        if kind == "palette":
            image = Image.fromarray(labels, mode="P")
            image.putpalette(palette)
        elif kind == "one bit":
            image = Image.fromarray(labels > 0)
        else:
            image = Image.fromarray(labels)
            image = image.convert("RGB") if kind == "color" else image
        image.save(path)
    masks = reopen("davis", root).read(0, [0, 1], (48, 80)).masks
    assert masks is not None
    np.testing.assert_array_equal(masks[1], labels > 0)


def test_sequences_may_differ_in_size(miniature, reopen):
    root = miniature("frames")
    clip = root / "clip-01"
    for path in _files(clip, "*.jpg"):
        cv2.imwrite(str(path), np.zeros((100, 60, 3), np.uint8))
    for path in _files(clip, "*.png"):
        cv2.imwrite(str(path), np.ones((80, 48), np.uint16))
    opened = reopen("frames", root)
    assert opened.read(0, [0, 1], SIZE).images.shape == (2, 24, 40, 3)
    # The smallest size of 100 x 60 that covers 24 x 40; depth and masks follow.
    tall = opened.read(1, [0, 1], SIZE)
    assert tall.images.shape == (2, 67, 40, 3)
    assert tall.inverse_depths is not None
    assert tall.inverse_depths.shape == (2, 67, 40)


@pytest.mark.parametrize(("folder", "name"), [("depthImages", "_pred"), ("Annotations", "")])
def test_a_map_on_its_side_is_refused(miniature, reopen, folder, name):
    root = miniature("frames")
    cv2.imwrite(str(root / f"clip-00/{folder}/00001{name}.png"), np.ones((80, 48), np.uint8))
    with pytest.raises(UserError, match=r"00001.*48 by 80 pixels .* on its side"):
        reopen("frames", root).read(0, [0, 1], SIZE)


def test_two_images_of_one_name_are_refused(miniature, reopen):
    root = miniature("davis")
    cv2.imwrite(
        str(root / "JPEGImages/Full-Resolution/train-scene-00/00001.png"), np.zeros((4, 4, 3))
    )
    with pytest.raises(UserError, match=r"both 00001\.jpg and 00001\.png"):
        reopen("davis", root)


@pytest.mark.parametrize("masks", ["Annotations_unsupervised", "Annotations"])
def test_davis_of_480p_only(miniature, reopen, masks):
    root = miniature("davis")
    (root / "Annotations_unsupervised").rename(root / masks)
    for name in ("JPEGImages", masks, "depthImages"):
        (root / name / "Full-Resolution").rename(root / name / "480p")
    (root / "JPEGImages/Full-Resolution").mkdir()
    opened = reopen("davis", root)
    assert opened.lengths.tolist() == [6, 6, 6]
    clip = opened.read(0, [0, 1], SIZE)
    assert clip.masks is not None
    assert clip.inverse_depths is not None


def test_davis_of_no_resolution_names_what_was_expected(miniature, reopen):
    root = miniature("davis")
    (root / "JPEGImages/Full-Resolution").rename(root / "JPEGImages/1080p")
    with pytest.raises(UserError, match=r"no sequences in Full-Resolution or 480p; found: 1080p"):
        reopen("davis", root)


def test_frames_of_another_size_than_the_first_are_brought_to_its_size(miniature, reopen):
    root = miniature("frames")
    cv2.imwrite(str(root / "clip-00/JPEGImages/00001.jpg"), np.zeros((20, 30, 3), np.uint8))
    assert reopen("frames", root).read(0, [0, 1], SIZE).images.shape == (2, 24, 40, 3)


def test_upper_case_extensions(miniature, reopen):
    root = miniature("frames")
    for path in _files(root, "*.jpg"):
        path.rename(path.with_suffix(".JPG"))
    for path in _files(root, "*.png"):
        path.rename(path.with_suffix(".PNG"))
    opened = reopen("frames", root)
    assert opened.lengths.tolist() == [6, 6, 6]
    clip = opened.read(0, [0, 1], SIZE)
    assert clip.masks is not None
    assert clip.inverse_depths is not None


def test_hidden_files_are_no_frames(miniature, reopen):
    root = miniature("frames")
    (root / "clip-00/JPEGImages/._00000.jpg").write_bytes(b"\0\5\x16\7")
    assert reopen("frames", root).lengths.tolist() == [6, 6, 6]


def test_co3d_joins_lists_and_categories(miniature, reopen):
    root = miniature("co3d")
    lists = _files(root, "apple/set_lists/*manyview_dev*.json")
    assert len(lists) == 1
    subsets = json.loads(lists[0].read_text())
    entries = [entry for subset in subsets.values() for entry in subset]
    names = sorted({entry[0] for entry in entries})
    assert len(names) == 2  # several sequences in one file
    # A second list repeats some of the frames, out of order, and names one that is not there.
    extra = [*reversed(entries[:3]), (names[0], 99, f"apple/{names[0]}/images/frame000099.jpg")]
    (lists[0].parent / "set_lists_manyview_dev_1.json").write_text(json.dumps({"train": extra}))
    opened = reopen("co3d", root)
    assert len({key.split("/")[0] for key in opened.keys}) == 2
    assert opened.lengths.tolist() == [6, 6, 6]
    np.testing.assert_array_equal(opened.read(0, range(6), SIZE).times, [1, 2, 3, 4, 5, 6])
    missing = opened.coverage().missing
    assert missing.count == 1
    assert "frame000099.jpg" in missing.examples[0]


def test_one_category_of_co3d_can_be_opened_alone(miniature, reopen):
    root = miniature("co3d")
    opened = reopen("co3d", root / "apple")
    assert all(key.startswith("apple/") for key in opened.keys)
    assert opened.read(0, [0, 1], SIZE).inverse_depths is not None


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("davis", "ImageSets/2017/train.txt", "the list of DAVIS 2017's sequences"),
        ("vos", "train/JPEGImages", r"holds no YouTube-VOS: expected .*JPEGImages"),
        ("co3d", "apple/set_lists", None),
    ],
)
def test_what_is_not_there_is_said(miniature, reopen, name, damage, message):
    root = miniature(name)
    target = root / damage
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    if message is None:
        assert len(reopen(name, root).keys) == 1  # the other category
        return
    with pytest.raises(UserError, match=message):
        reopen(name, root)


def test_wrong_folders_are_said(miniature, reopen, tmp_path):
    root = miniature("frames")
    with pytest.raises(UserError, match="does not exist"):
        reopen("davis", tmp_path / "nowhere")
    with pytest.raises(UserError, match="is a file"):
        reopen("frames", root / "clip-00/JPEGImages/00000.jpg")
    with pytest.raises(UserError, match="is one clip"):
        reopen("frames", root / "clip-00")
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("frames", r"holds no clips; expected .*JPEGImages"),
        ("co3d", "holds no set lists"),
        ("re10k", "holds no RealEstate10K"),
    ):
        with pytest.raises(UserError, match=message):
            reopen(name, tmp_path / "empty")
    with pytest.raises(ValueError, match="layout is 'kitti'"):
        reopen("kitti", tmp_path)


def test_a_damaged_set_list_is_named(miniature, reopen):
    root = miniature("co3d")
    (root / "apple/set_lists/set_lists_manyview_dev_0.json").write_text('{"train": [[1')
    with pytest.raises(UserError, match=r"set_lists_manyview_dev_0\.json"):
        reopen("co3d", root)


def test_a_set_list_with_strange_paths_is_named(miniature, reopen):
    root = miniature("co3d")
    path = root / "apple/set_lists/set_lists_manyview_dev_0.json"
    path.write_text('{"train": [["s", 1, "apple/s/frame000001.jpg"]]}')
    with pytest.raises(UserError, match=r"manyview_dev_0\.json; expected .*/images/"):
        reopen("co3d", root)


def test_a_part_without_set_lists_is_said(miniature, reopen):
    root = miniature("co3d")
    for path in root.glob("*/set_lists/*manyview_test*"):
        path.unlink()
    with pytest.raises(UserError, match=r"expected .*manyview_test"):
        reopen("co3d", root, split="val")


def test_lists_may_come_from_windows(miniature, reopen):
    root = miniature("davis")
    path = root / "ImageSets/2017/train.txt"
    names = path.read_text().splitlines()
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(names).encode() + b"\r\n\r\n")
    assert list(reopen("davis", root).keys) == names
