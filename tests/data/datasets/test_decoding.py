import io

import cv2
import numpy as np
import pytest
from PIL import Image

from core.checks import UserError
from core.data.datasets import decoding
from core.data.datasets.decoding import decode_image_covering


def _picture(height, width):
    rows, columns = np.mgrid[0:height, 0:width]
    waves = np.sin(rows / height * 9) + np.cos(columns / width * 7)
    return np.stack([255 * columns / width, 255 * rows / height, 60 * waves + 127], axis=-1).astype(
        np.uint8
    )


def _jpeg(image, **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=95, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("size", "at_least", "expected", "reduction"),
    [
        ((160, 240), (80, 120), (80, 120), 2),
        ((161, 241), (40, 60), (40, 60), 4),
        ((320, 640), (40, 40), (40, 80), 8),
        ((160, 240), (81, 60), (81, 122), 1),
        ((160, 240), (300, 100), (160, 240), 1),
    ],
)
def test_jpegs_are_decoded_no_larger_than_needed(monkeypatch, size, at_least, expected, reduction):
    reductions, plain = [], decoding.decode_image

    def decode(data, source, reduction=1):
        reductions.append(reduction)
        return plain(data, source, reduction)

    monkeypatch.setattr(decoding, "decode_image", decode)
    picture = _picture(*size)
    image = decode_image_covering(_jpeg(picture), at_least, "picture")
    assert reductions == [reduction]
    assert image.shape[:2] == expected
    reference = cv2.resize(picture, expected[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(image.astype(int) - reference).mean() < 2.5


def test_grey_and_cmyk_become_rgb():
    picture = _picture(64, 96)
    grey = decode_image_covering(_jpeg(picture[..., 0]), (32, 48), "grey")
    assert (grey == grey[..., :1]).all()
    file = io.BytesIO()
    Image.fromarray(picture).convert("CMYK").save(file, "JPEG", quality=95)
    image = decode_image_covering(file.getvalue(), (64, 96), "cmyk")
    assert np.abs(image.astype(int) - picture).mean() < 6


def test_the_orientation_that_a_camera_noted_is_applied():
    picture = _picture(64, 160)
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held upright: show it turned clockwise
    data = _jpeg(picture, exif=turned.tobytes())
    whole = decode_image_covering(data, (160, 64), "turned")
    assert whole.shape == (160, 64, 3)
    upright = np.rot90(picture, -1)
    assert np.abs(whole.astype(int) - upright).mean() < 2.5
    # By its header this is 64 x 160 and a half covers (30, 80); turned, only the whole does.
    assert decode_image_covering(data, (30, 60), "turned").shape == (150, 60, 3)


def test_other_formats_are_shrunk_too():
    _, data = cv2.imencode(".png", _picture(64, 96))
    assert decode_image_covering(data.tobytes(), (16, 16), "png").shape == (16, 24, 3)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"not an image"])
def test_what_is_no_image_is_an_error(data):
    with pytest.raises(UserError, match="cannot decode the image here"):
        decode_image_covering(data, (8, 8), "here")
