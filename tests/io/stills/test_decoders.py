"""What is handed to decoders makes them print nothing, and decodes as before."""

from __future__ import annotations

import io
import random

import cv2
import numpy as np
import pytest
from PIL import Image

from core.checks import UserError
from core.io.stills.images import decode_image, decode_values

PICTURE = cv2.GaussianBlur(
    np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8), (5, 5), 0
)


def _saved(kind, image=PICTURE, **options):
    file = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(file, kind, **options)
    return file.getvalue()


def _exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_every_orientation_is_applied_as_opencv_does(kind, orientation):
    data = _saved(kind, exif=_exif(orientation))
    expected = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), 1), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(decode_image(data, "a"), expected)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_kind_of_png_decodes_as_opencv_does(mode):
    grey = Image.fromarray(PICTURE).convert("L")
    image = (
        Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
        if mode == "I;16"
        else Image.fromarray(PICTURE).convert(mode)
    )
    data = _saved("PNG", image)
    for decode, flag in ((decode_image, 1), (decode_values, -1)):
        expected = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
        if decode is decode_image:
            expected = cv2.cvtColor(expected, cv2.COLOR_BGR2RGB)
        np.testing.assert_array_equal(decode(data, "a"), expected)


def test_a_png_with_a_profile_that_libpng_remarks_on_is_silent(capfd):
    data = _saved("PNG", icc_profile=b"not a profile" * 20)
    np.testing.assert_array_equal(decode_image(data, "a"), PICTURE)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_damage_anywhere_is_one_error_or_a_picture_and_no_line_of_a_library(kind, capfd):
    rng = random.Random(0)
    whole = _saved(kind)
    messages = []
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(rng.choice((60, len(data))))] ^= 1 << rng.randrange(8)
        try:
            image = decode_image(bytes(data), "a")
            assert image.dtype == np.uint8
        except UserError as error:
            messages.append(str(error))
    assert messages
    assert not any("\n" in message for message in messages)
    assert capfd.readouterr() == ("", "")


def test_floating_point_images_are_called_so():
    data = cv2.imencode(".tif", PICTURE.astype(np.float32) / 255)[1].tobytes()
    with pytest.raises(UserError, match=r"a\.tif holds float32 values; expected"):
        decode_image(data, "a.tif")
