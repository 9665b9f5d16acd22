from __future__ import annotations

import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from core.io.stills.headers import image_kind, image_size

PICTURE = np.random.default_rng(0).integers(0, 256, (33, 57, 3), dtype=np.uint8)


def _saved(kind, **options):
    file = io.BytesIO()
    Image.fromarray(PICTURE).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (_saved("JPEG"), "jpeg"),
        (_saved("JPEG", progressive=True, exif=Image.Exif()), "jpeg"),
        (_saved("PNG"), "png"),
        (_saved("WEBP", lossless=False), "webp"),
        (_saved("WEBP", lossless=True), "webp"),
        (_saved("WEBP", lossless=True, icc_profile=b"x" * 10), "webp"),
        (_saved("BMP"), "bmp"),
        (_saved("TIFF"), "tiff"),
        (_saved("TIFF", compression="tiff_lzw"), "tiff"),
        (cv2.imencode(".tif", PICTURE)[1].tobytes(), "tiff"),
    ],
)
def test_kind_and_size_of_every_format(data, kind):
    assert image_kind(data) == kind
    assert image_size(data) == (33, 57)


def test_a_jpeg_may_have_fill_bytes_before_its_markers():
    data = _saved("JPEG")
    at = data.index(b"\xff\xc0")
    assert image_size(data[:at] + b"\xff\xff\xff" + data[at:]) == (33, 57)


def test_a_big_tiff_of_either_byte_order():
    for order, mark in (("<", b"II"), (">", b"MM")):
        entry = order + "HHQI4x"
        data = (
            mark
            + struct.pack(f"{order}HHHQ", 43, 8, 0, 16)
            + struct.pack(f"{order}Q", 2)
            + struct.pack(entry, 256, 4, 1, 70000)
            + struct.pack(entry, 257, 4, 1, 50000)
        )
        assert image_size(data) == (50000, 70000)


@pytest.mark.parametrize("keep", [0, 2, 5, 9, 20, 29])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_a_cut_header_has_no_size(kind, keep):
    size = image_size(_saved(kind)[:keep])
    assert size in ((None, (33, 57)) if keep > 20 else (None,))


def test_other_formats_are_none():
    assert image_kind(_saved("GIF")) is None
    assert image_size(cv2.imencode(".hdr", PICTURE.astype(np.float32))[1].tobytes()) is None
