from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from core.checks import UserError
from core.data.datasets.decoding import read_inverse_depth, read_mask
from core.io import read_depth, read_image
from core.io.stills.size_limit import SIZE_VARIABLE, allow_megapixels, check_size

SIDE = 20_000
LIMIT = r"20000 by 20000 pixels, more than the limit of 40 megapixels.*--max_megapixels"


@pytest.fixture(autouse=True)
def _default_limit(monkeypatch):
    monkeypatch.delenv(SIZE_VARIABLE, raising=False)


def _small(kind):
    file = io.BytesIO()
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(file, kind)
    return file.getvalue()


def _png(side, bits=8, color=0, compressed=b""):
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", side, side, bits, color, 0, 0, 0)),
        (b"IDAT", compressed),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in parts
    )


def _announcing(kind):
    """Return a small file whose header announces 20000 by 20000 pixels."""
    data, side = bytearray(_small(kind)), SIDE
    if kind == "PNG":
        return _png(side)
    if kind == "JPEG":
        at = data.index(b"\xff\xc0") + 5
        data[at : at + 4] = struct.pack(">HH", side, side)
    elif kind == "WEBP":
        at = data.index(b"\x9d\x01\x2a") + 3
        data[at : at + 4] = struct.pack("<HH", 16383, 16383)
    elif kind == "BMP":
        data[18:26] = struct.pack("<ii", side, -side)
    else:
        file = io.BytesIO()
        Image.fromarray(np.zeros((16, 16), np.uint8)).save(file, "TIFF")
        data = bytearray(file.getvalue())
        for tag in (256, 257):
            at = data.index(struct.pack("<HHI", tag, 4, 1)) + 8
            data[at : at + 4] = struct.pack("<I", side)
    return bytes(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_a_header_that_announces_too_much_is_refused_before_decoding(tmp_path, kind):
    path = tmp_path / "a.png"
    path.write_bytes(_announcing(kind))
    tracemalloc.start()
    for read in (
        read_image,
        read_depth,
        lambda p: read_mask(p, (16, 16)),
        lambda p: read_inverse_depth(p, (16, 16)),
    ):
        with pytest.raises(UserError, match=r"megapixels.*--max_megapixels"):
            read(path)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_no_more_is_inflated_than_the_header_needs(tmp_path):
    path = tmp_path / "a.png"
    packer = zlib.compressobj()
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(300)) + packer.flush()
    path.write_bytes(_png(16, compressed=packed))
    tracemalloc.start()
    assert not read_mask(path, (16, 16)).any()
    assert not read_image(path).any()
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_npy_and_exr_headers_are_checked_too(tmp_path):
    with (tmp_path / "a.npy").open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (SIDE, SIDE)}
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(UserError, match="megapixels"):
        read_depth(tmp_path / "a.npy")
    small, large = (struct.pack("<i4i", 16, 0, 0, side - 1, side - 1) for side in (8, SIDE))
    for data, display in ((large, small), (small, large)):
        head = b"\x76\x2f\x31\x01\2\0\0\0dataWindow\0box2i\0" + data
        (tmp_path / "a.exr").write_bytes(head + b"displayWindow\0box2i\0" + display)
        with pytest.raises(UserError, match="megapixels"):
            read_depth(tmp_path / "a.exr")


def test_the_limit_can_be_raised(monkeypatch):
    with pytest.raises(UserError, match=LIMIT):
        check_size(SIDE, SIDE, "a.png")
    monkeypatch.setenv(SIZE_VARIABLE, "1")  # restored at the end
    allow_megapixels(400)
    check_size(SIDE, SIDE, "a.png")
    with pytest.raises(UserError, match="max_megapixels is 0"):
        allow_megapixels(0)
    monkeypatch.setenv(SIZE_VARIABLE, "many")
    with pytest.raises(UserError, match="MAX_MEGAPIXELS is 'many'"):
        check_size(1, 1, "a.png")
