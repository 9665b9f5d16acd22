import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from core.checks import UserError
from core.io.stills import png
from core.io.stills.png import read_png_values

RNG = np.random.default_rng(0)
SMOOTH = np.add.outer(np.arange(37) * 900, np.arange(53) * 300).astype(np.uint16)


def _chunk(kind, content):
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def _png(filters, bits=8):
    """Write SMOOTH with a filter for each row, following the specification byte by byte."""
    values = SMOOTH.astype(">u2") if bits == 16 else (SMOOTH >> 8).astype(np.uint8)
    rows = values.view(np.uint8).reshape(len(values), -1).astype(int)
    step = bits // 8
    lines = []
    for y, kind in enumerate(filters):
        left = np.concatenate([np.zeros(step, int), rows[y, :-step]])
        above = rows[y - 1] if y else np.zeros_like(rows[y])
        guess = {0: 0, 1: left, 2: above, 3: (left + above) // 2}[kind]
        lines.append(bytes([kind]) + ((rows[y] - guess) % 256).astype(np.uint8).tobytes())
    header = struct.pack(">IIBBBBB", 53, 37, bits, 0, 0, 0, 0)
    packed = zlib.compress(b"".join(lines))
    parts = [(b"IHDR", header), (b"IDAT", packed[:100]), (b"IDAT", packed[100:]), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    "filters", [[0] * 37, [1] * 37, [2] * 37, [0, 1, 2] * 12 + [2], [3, 0, 1, 2] * 9 + [3]]
)
def test_every_row_filter(tmp_path, bits, filters, monkeypatch):
    path = tmp_path / "map.png"
    path.write_bytes(_png(filters, bits))
    expected = SMOOTH if bits == 16 else SMOOTH >> 8
    if 3 not in filters:  # the averaging filter is left to OpenCV
        monkeypatch.setattr(png, "decode_png", None)
    values = read_png_values(path)
    assert values.dtype == (np.uint16 if bits == 16 else np.uint8)
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("filters", [[1] * 37, [0, 1, 2] * 12 + [2], [3, 1] * 18 + [3]])
@pytest.mark.parametrize(("at_least", "step"), [((12, 17), 3), ((12, 18), 1), ((7, 10), 5)])
def test_only_the_rows_and_columns_that_are_needed(tmp_path, bits, filters, at_least, step):
    (tmp_path / "map.png").write_bytes(_png(filters, bits))
    values = read_png_values(tmp_path / "map.png", at_least)
    expected = SMOOTH if bits == 16 else SMOOTH >> 8
    np.testing.assert_array_equal(values, expected[step // 2 :: step, step // 2 :: step])
    assert values.shape[0] >= at_least[0]
    assert values.shape[1] >= at_least[1]


@pytest.mark.parametrize("values", [SMOOTH, RNG.integers(0, 65536, (20, 31), np.uint16)])
def test_files_of_opencv_and_pillow(tmp_path, values):
    for write in (cv2.imwrite, lambda path, image: Image.fromarray(image).save(path)):
        write(str(tmp_path / "map.png"), values)
        np.testing.assert_array_equal(read_png_values(tmp_path / "map.png"), values)


@pytest.mark.parametrize("colors", [2, 4, 16, 200])
def test_palettes_give_indices(tmp_path, colors):
    labels = RNG.integers(0, colors, (19, 27), np.uint8)
    image = Image.fromarray(labels, mode="P")
    image.putpalette(RNG.integers(0, 256, 3 * colors, np.uint8).tolist())
    image.save(tmp_path / "labels.png")
    np.testing.assert_array_equal(read_png_values(tmp_path / "labels.png"), labels)


def test_interlaced_palettes_give_indices(tmp_path):
    labels = RNG.integers(0, 4, (8, 8), np.uint8)
    passes = [
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ]
    lines = [
        b"\0" + row.tobytes() for y, x, down, across in passes for row in labels[y::down, x::across]
    ]
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 3, 0, 0, 1)),
        (b"PLTE", bytes(range(12))),
        (b"IDAT", zlib.compress(b"".join(lines))),
        (b"IEND", b""),
    ]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)
    (tmp_path / "labels.png").write_bytes(data)
    np.testing.assert_array_equal(read_png_values(tmp_path / "labels.png"), labels)


def test_one_bit_grey_is_scaled(tmp_path):
    mask = RNG.uniform(size=(9, 13)) > 0.5
    Image.fromarray(mask).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_png_values(tmp_path / "mask.png"), mask * np.uint8(255))


def test_colour_comes_as_opencv_gives_it(tmp_path):
    image = RNG.integers(0, 256, (9, 13, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "color.png"), image)
    np.testing.assert_array_equal(read_png_values(tmp_path / "color.png"), image)


@pytest.mark.parametrize("keep", [0, 4, 20, 60, -30, -12])
def test_a_cut_file_is_an_error_that_names_it(tmp_path, keep):
    path = tmp_path / "cut.png"
    path.write_bytes(_png([1] * 37, 16)[:keep])
    with pytest.raises(UserError, match=r"cannot decode the image .*cut\.png"):
        read_png_values(path)


def test_damaged_content_is_an_error(tmp_path):
    file = io.BytesIO()
    Image.fromarray(SMOOTH).save(file, "PNG")
    data = bytearray(file.getvalue())
    at = data.index(b"IDAT") + 40
    data[at : at + 200] = bytes(200)
    (tmp_path / "bad.png").write_bytes(data)
    with pytest.raises(UserError, match=r"bad\.png"):
        read_png_values(tmp_path / "bad.png")
    with pytest.raises(UserError, match="cannot read the image"):
        read_png_values(tmp_path / "nowhere.png")
