"""The checker finds what was broken on purpose in miniatures of the datasets."""

from __future__ import annotations

import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from core.checks import UserError
from core.data.check.__main__ import CheckOptions, main, run
from core.data.check.findings import summarize
from core.data.check.inspection import Inspection, inspect, plan_frames
from core.data.check.layout_guess import Guess, guess_layout
from core.data.check.picture import draw_samples, overlay_depth, overlay_mask
from core.data.datasets import open_dataset
from core.data.miniature import LAYOUTS, write_miniature
from core.io.stills.png import read_png_values

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("STREAMSPLAT_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    root = tmp_path_factory.mktemp("miniatures")
    for layout in LAYOUTS:
        write_miniature(layout, root / layout, frames=7, image_size=(32, 48))
    return root


@pytest.fixture
def miniature(originals, tmp_path):
    """Copy a miniature, to be broken."""

    def copy(layout):
        for path in (originals / layout).rglob("*"):
            if path.is_file():
                target = tmp_path / layout / path.relative_to(originals / layout)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        return tmp_path / layout

    return copy


def _check(layout, path, capsys, **options):
    status = run(CheckOptions(layout, path, **options))
    return status, capsys.readouterr().out


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_miniatures_are_fit_for_training(originals, capsys, layout, split):
    status, text = _check(layout, originals / layout, capsys, split=split)
    assert status == 0
    assert "3, each of 6 frames at least" in text
    assert "21; the shortest sequence has 7, the median 7, the longest 7" in text
    assert "48x32 (3)" in text
    assert "every frame has a depth map" in text
    assert "every file can be read" in text
    assert "fit for training" in text
    assert "warning" not in text


def test_what_is_missing_is_named(miniature, capsys):
    root = miniature("davis")
    name = "Full-Resolution/train-scene-01/00002"
    (root / f"depthImages/{name}_pred.png").unlink()
    (root / f"Annotations_unsupervised/{name}.png").unlink()
    with (root / "ImageSets/2017/train.txt").open("a") as file:
        file.write("nowhere\n")
    status, text = _check("davis", root, capsys)
    assert status == 0
    assert "4; 1 with fewer than 6 frames" in text
    assert "nowhere: 0 frames" in text
    assert "20 of 21 frames have a depth map" in text
    assert "20 of 21 frames have a mask" in text
    assert text.count(f"JPEGImages/{name}.jpg") == 2
    assert f"warning: some frames lack depth: python -m core.depth.preprocess davis {root}" in text
    assert "was the download complete?" in text


def test_every_damaged_file_is_listed(miniature, capsys):
    root = miniature("frames")
    images = sorted(root.glob("clip-*/JPEGImages/*.jpg"))
    for image in images[3:10]:
        image.write_bytes(image.read_bytes()[:400])
    depth = root / "clip-02/depthImages/00006_pred.png"
    depth.write_bytes(b"no image")
    _, text = _check("frames", root, capsys)
    assert "21 frames (all), 8 cannot be read" in text
    assert "(5 more with --list_all)" in text
    status, text = _check("frames", root, capsys, list_all=True)
    for path in (*images[3:10], depth):
        assert str(path) in text
    # Of samples of 6 frames, (13 / 21) ** 6 = 6% would be readable.
    assert status == 1
    assert "training would fail: 8 of 21 frames cannot be read" in text
    for image in images[4:10]:
        image.unlink()
    status, text = _check("frames", root, capsys, num_frames=1)
    assert status == 0
    assert "15 frames (all), 2 cannot be read" in text
    assert "warning: other samples take the place" in text


@pytest.mark.parametrize(
    ("frames", "unreadable", "fails"),
    [(1000, 10, False), (1000, 11, True), (100_000, 150, False), (100_000, 200, True)],
)
def test_training_puts_up_with_a_few_damaged_files(originals, frames, unreadable, fails):
    dataset = open_dataset("davis", originals / "davis")
    dataset.lengths = np.full(frames // 100, 100)
    reasons = tuple(map(str, range(unreadable)))
    inspection = Inspection(frames, sizes={}, unreadable=reasons, flat_depths=())
    findings = summarize(dataset, dataset.coverage(), inspection, num_frames=6)
    assert bool(findings.failures) == fails
    # A quick look at a tenth of the frames comes to the same.
    some = replace(inspection, frames=frames // 10, unreadable=reasons[: unreadable // 10 + fails])
    findings = summarize(dataset, dataset.coverage(), some, num_frames=6)
    assert bool(findings.failures) == fails


def test_chunks(miniature, capsys):
    root = miniature("re10k")
    chunk, cut = root / "train/000000.torch", root / "train/000001.torch"
    data = bytearray(chunk.read_bytes())
    start = data.find(b"\xff\xd8\xff")
    data[start : start + 20] = bytes(20)
    chunk.write_bytes(data)
    cut.write_bytes(cut.read_bytes()[:1000])
    status, text = _check("re10k", root, capsys, threads=3)
    assert status == 0
    assert f"cannot read the image chunk {cut}" in text
    assert "1 named by a list, but not there" in text
    assert "14 frames (all), 1 cannot be read" in text
    assert f"{chunk}: " in text
    assert "warning: what cannot be opened is left out" in text


def test_training_would_fail_on_short_sequences_alone(originals, capsys):
    status, text = _check("vos", originals / "vos", capsys, num_frames=8)
    assert status == 1
    assert "training would fail: no sequence has 8 frames, the longest has 7" in text
    assert "fit for training" not in text


def test_what_is_looked_for_is_named_where_there_is_no_image(miniature, capsys):
    root = miniature("davis")
    for path in root.glob("JPEGImages/*/*/*"):
        path.unlink()
    with pytest.raises(UserError, match=r"no images of davis\. Missing is .*JPEGImages/Full-Res"):
        _check("davis", root, capsys)


def test_flat_depth_maps_are_noticed(miniature, capsys):
    root = miniature("vos")
    path = sorted((root / "train/depthImages").rglob("*.png"))[4]
    cv2.imwrite(str(path), np.full((32, 48), 700, np.uint16))
    _, text = _check("vos", root, capsys)
    assert "1 depth maps hold one value everywhere" in text
    assert f"{path.parent.name}, frame 4" in text


def test_quick_opens_a_few_frames_of_each_sequence(miniature, capsys):
    root = miniature("co3d")
    dataset = open_dataset("co3d", root)
    assert plan_frames(dataset, quick=True) == {s: [0, 3, 6] for s in range(3)}
    first = min(root.glob("apple/*/images/*1.jpg"))
    first.write_bytes(b"")
    first.with_name("frame000002.jpg").write_bytes(b"")
    _, text = _check("co3d", root, capsys, quick=True)
    assert "9 frames (of 21), 1 cannot be read" in text
    assert str(first) in text


def test_threads_find_the_same(miniature):
    root = miniature("re10k")
    dataset = open_dataset("re10k", root)
    frames = plan_frames(dataset, quick=False)
    told = []
    alone = inspect(dataset, frames, threads=1, on_progress=told.append)
    assert sum(told) == 21
    assert inspect(dataset, frames, threads=4) == alone
    assert inspect(dataset, {}).frames == 0


def test_other_layouts_are_recognised(originals, capsys):
    for layout in LAYOUTS:
        assert guess_layout(originals / layout, "davis") == Guess(layout, originals / layout)
        # One folder too far up, or too deep.
        assert guess_layout(originals, layout) == Guess(layout, originals / layout)
    deep = originals / "davis/JPEGImages"
    assert guess_layout(deep, "davis") == Guess("davis", originals / "davis")
    with pytest.raises(
        UserError, match=r"ImageSets.* looks like vos; try: python -m core\.data\.check vos "
    ):
        run(CheckOptions("davis", originals / "vos"))
    with pytest.raises(UserError, match=r"holds no images of frames\. .* looks like vos"):
        run(CheckOptions("frames", originals / "vos"))


def test_folders_that_are_no_dataset(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        run(CheckOptions("davis", tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"expected .*torch"):
        run(CheckOptions("re10k", tmp_path / "empty"))


def test_the_picture_shows_masks_and_depth(originals, tmp_path, capsys):
    output = tmp_path / "check.png"
    _check("davis", originals / "davis", capsys, output=output, samples=2)
    sheet = read_png_values(output)
    assert sheet.shape[0] == 6 + 2 * (24 + 224 + 6)  # 48 pixels are enlarged to 336
    assert sheet.shape[1] == 6 + 6 * (336 + 6)
    dataset = open_dataset("davis", originals / "davis")
    np.testing.assert_array_equal(sheet[..., ::-1], draw_samples(dataset, samples=2, num_frames=6))


def test_overlays():
    image = np.full((2, 4, 3), 100, np.uint8)
    mask = np.array([[0, 0, 1, 1]] * 2, np.uint8)
    tinted = overlay_mask(image, mask)
    assert (tinted[:, :2] == 50).all()
    assert (tinted[:, 2:, 0] > tinted[:, 2:, 1]).all()
    depth = np.array([[0, 20000, 40000, 65535]] * 2, np.uint16)
    brightness = overlay_depth(image, depth).mean(axis=(0, 2))
    assert (np.diff(brightness) > 0).all()


def test_frames_that_cannot_be_read_are_left_out_of_the_picture(miniature):
    root = miniature("frames")
    for image in root.glob("clip-0[01]/JPEGImages/00000.jpg"):
        image.write_bytes(b"")
    dataset = open_dataset("frames", root)
    whole = draw_samples(dataset, samples=3, num_frames=6)
    assert whole is not None
    for image in root.glob("clip-*/JPEGImages/*.jpg"):
        image.write_bytes(b"")
    assert draw_samples(dataset, samples=3, num_frames=6) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--num_frames", "0"], "--num_frames is 0"),
        (["--output", "x.jpg"], "expected the name of a .png file"),
        ([], "does not exist"),
    ],
)
def test_mistakes_are_one_line_and_status_2(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.setattr(sys, "argv", ["check", "vos", str(tmp_path / "nowhere"), *options])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
