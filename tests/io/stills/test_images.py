from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from core.checks import UserError
from core.io import list_frames, read_image, write_png
from core.io.frames import FolderSource
from core.io.stills.images import is_whole_png

_RED, _GREEN = (220, 10, 30), (10, 200, 60)


def _picture() -> np.ndarray:
    """RGB of 6 x 4 pixels: the left half red, the right half green."""
    image = np.empty((4, 6, 3), np.uint8)
    image[:, :3], image[:, 3:] = _RED, _GREEN
    return image


def _encode(path, pixels_bgr):
    assert cv2.imwrite(str(path), pixels_bgr)
    return path


def test_frames_come_in_natural_order_without_other_files(tmp_path):
    for name in ("f10.png", "f2.PNG", "f1.jpg", "F3.webp", "notes.txt", "._f4.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    assert [f.name for f in list_frames(tmp_path)] == ["f1.jpg", "f2.PNG", "F3.webp", "f10.png"]


@pytest.mark.parametrize(
    "names",
    [
        ["9.png", "10.png", "100.png"],
        ["69.85.png", "69.9.png", "69.95.png", "70.0.png"],
        ["t1.5.jpg", "t1.25.jpg"][::-1],
        ["1.9.png", "1.10.png", "2.1.png"],
        ["1.8500.png", "1.9000.png", "1.9500.png"],
        ["a1.png", "a1b.png", "a2.png"],
    ],
)
def test_numbers_of_any_width_come_in_order(tmp_path, names):
    for name in reversed(names):
        (tmp_path / name).touch()
    assert [frame.name for frame in list_frames(tmp_path)] == names


def test_a_link_to_nothing_is_a_frame_that_cannot_be_read(tmp_path):
    write_png(tmp_path / "0.png", _picture())
    for name, target in (("1.png", "/nonexistent/1.png"), ("2.png", "2.png")):
        (tmp_path / name).symlink_to(target)
    source = FolderSource(tmp_path)
    assert [frame.index for frame in source] == [0]
    assert source.skipped == 2
    with pytest.raises(UserError, match=r"1\.png: No such file"):
        list(FolderSource(tmp_path, on_error="raise"))


def test_two_images_of_one_name_are_refused(tmp_path):
    for name in ("0.jpg", "0.png", "1.jpg"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"both 0\.jpg and 0\.png.*one image for each frame"):
        list_frames(tmp_path)


def test_a_folder_without_images_names_extensions_and_sub_folders(tmp_path):
    (tmp_path / "JPEGImages").mkdir()
    with pytest.raises(UserError, match=r"holds no images \(\.jpg.*\.tiff\).*JPEGImages"):
        list_frames(tmp_path)


@pytest.mark.parametrize("make", [lambda p: p / "none", lambda p: _encode(p / "a.png", _picture())])
def test_what_is_not_a_folder_is_refused(tmp_path, make):
    with pytest.raises(UserError, match=r"does not exist|is a file, not a folder"):
        list_frames(make(tmp_path))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".jpg"])
def test_colours_keep_their_channels(tmp_path, suffix):
    pixels = cv2.resize(_picture(), (96, 64), interpolation=cv2.INTER_NEAREST)
    path = _encode(tmp_path / f"a{suffix}", pixels[..., ::-1])
    image = read_image(path)
    assert image.dtype == np.uint8
    # JPEG and WebP lose some; far from the edge between the halves it is little.
    tolerance = 4 if suffix in (".jpg", ".webp") else 0
    assert np.abs(image[32, 16].astype(int) - _RED).max() <= tolerance
    assert np.abs(image[32, 80].astype(int) - _GREEN).max() <= tolerance


def test_deep_grey_and_transparent_images_become_rgb(tmp_path):
    deep = _encode(tmp_path / "deep.png", _picture()[..., ::-1].astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_image(deep), _picture())

    grey = np.arange(24, dtype=np.uint16).reshape(4, 6) * 2570
    image = read_image(_encode(tmp_path / "grey.png", grey))
    np.testing.assert_array_equal(image, np.repeat((grey // 257).astype(np.uint8)[..., None], 3, 2))

    rgba = np.dstack([_picture()[..., ::-1], np.full((4, 6), 7, np.uint8)])
    np.testing.assert_array_equal(read_image(_encode(tmp_path / "alpha.png", rgba)), _picture())


def test_a_cameras_orientation_is_applied(tmp_path):
    pixels = cv2.resize(_picture(), (96, 64), interpolation=cv2.INTER_NEAREST)
    jpeg = cv2.imencode(".jpg", pixels[..., ::-1])[1].tobytes()
    # An EXIF segment with one entry, Orientation (0x0112) = 6: turn clockwise to show.
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    segment = b"Exif\0\0" + tiff
    path = tmp_path / "turned.jpg"
    path.write_bytes(
        jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]
    )
    image = read_image(path)
    assert image.shape == (96, 64, 3)
    assert np.abs(image[16, 32].astype(int) - _RED).max() <= 4


@pytest.mark.parametrize("content", [b"", b"not an image", "half"])
def test_damaged_files_are_named(tmp_path, content):
    path = tmp_path / "broken.png"
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    whole = cv2.imencode(".png", noise)[1].tobytes()
    path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    with pytest.raises(UserError, match=r"cannot decode the image .*broken\.png"):
        read_image(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_round_trips(tmp_path, dtype):
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (5, 7), dtype)
    write_png(tmp_path / "grey.png", image)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "grey.png"), -1), image)
    write_png(tmp_path / "rgb.png", _picture())
    np.testing.assert_array_equal(read_image(tmp_path / "rgb.png"), _picture())


def test_write_png_refuses_what_png_cannot_hold(tmp_path):
    with pytest.raises(ValueError, match="float64"):
        write_png(tmp_path / "a.png", np.zeros((4, 4)))
    with pytest.raises(ValueError, match=r"\(4, 4, 2\)"):
        write_png(tmp_path / "a.png", np.zeros((4, 4, 2), np.uint8))


@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_jpeg_that_is_cut_is_not_filled_with_grey(tmp_path, share, progressive):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    options = [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive, cv2.IMWRITE_JPEG_RST_INTERVAL, 4]
    whole = cv2.imencode(".jpg", noise, options)[1].tobytes()
    path = tmp_path / "a.jpg"
    path.write_bytes(whole + b"\xff\xda more that cameras append")
    assert read_image(path).shape == (64, 64, 3)
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=r"cannot decode the image .*a\.jpg"):
        read_image(path)


def test_a_jpeg_that_is_overwritten_in_the_middle_is_not_shown(tmp_path):
    generator = np.random.default_rng(0)
    whole = cv2.imencode(".jpg", generator.integers(0, 255, (128, 128, 3), np.uint8))[1].tobytes()
    half = len(whole) // 2
    path = tmp_path / "a.jpg"
    path.write_bytes(whole[:half] + generator.bytes(3000) + whole[half + 3000 :])
    with pytest.raises(UserError, match="damaged"):
        read_image(path)


def test_a_png_that_is_cut_or_absent_is_not_whole(tmp_path):
    path = tmp_path / "image.png"
    assert not is_whole_png(path)
    write_png(path, np.zeros((4, 4), np.uint16))
    assert is_whole_png(path)
    data = path.read_bytes()
    for damaged in (b"", data[:-1], data[:8], data[1:]):
        path.write_bytes(damaged)
        assert not is_whole_png(path)


def test_a_png_that_is_cut_short_is_told_once(tmp_path, capfd):
    path = tmp_path / "cut.png"
    write_png(path, np.random.default_rng(0).integers(0, 256, (288, 512, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:200_000])
    with pytest.raises(UserError, match=r"cannot decode the image .*cut\.png: it is damaged"):
        read_image(path)
    assert capfd.readouterr() == ("", "")
