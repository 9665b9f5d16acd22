"""Colours of all kinds of video come back as those of the BT.709 picture that was encoded."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from core.io.video import VideoSource
from core.io.video.color import ColorTags, RgbConverter

# ITU-R BT.2087: linear light of BT.709 in the primaries of BT.2020.
_TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])


def _picture():
    y, x = np.mgrid[0:72, 0:128]
    image = np.stack([255 * x / 127, 255 * y / 71, np.full((72, 128), 60)], -1).astype(np.uint8)
    image[:9, :16] = 255
    return image


def _pq(light):
    power = np.clip(light * 203 / 10000, 0, 1) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def _hlg(light):
    shown = light * 203 / 1000
    luminance = (shown @ np.array([0.2627, 0.6780, 0.0593]))[..., None]
    scene = shown * np.where(luminance > 0, luminance, 1) ** (1 / 1.2 - 1)
    bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)


def _yuv(signal, matrix, bits, *, full_range=False):
    """Return Y'CbCr (3, h, w) of R'G'B' (h, w, 3) in [0, 1], as ITU-T H.273 defines it."""
    red, blue = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}[
        matrix
    ]
    y = signal @ np.array([red, 1 - red - blue, blue])
    cb, cr = (signal[..., 2] - y) / (2 - 2 * blue), (signal[..., 0] - y) / (2 - 2 * red)
    step = 2 ** (bits - 8)
    if full_range:
        planes = [y * 255, cb * 255 + 128, cr * 255 + 128]
    else:
        planes = [y * 219 + 16, cb * 224 + 128, cr * 224 + 128]
    return np.clip(np.round(np.stack(planes) * step), 0, 2**bits - 1)


def _frame(signal, matrix, bits=8, *, full_range=False):
    planes = _yuv(signal, matrix, bits, full_range=full_range)
    name, kind = ("yuv444p", np.uint8) if bits == 8 else ("yuv444p16le", np.uint16)
    pixels = planes if bits == 8 else np.moveaxis(planes, 0, 2)  # as PyAV has it
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels, kind), format=name)
    frame.colorspace, frame.color_range = matrix, 2 if full_range else 1
    frame.time_base = Fraction(1, 24)
    return frame


def _wide_frame(curve):
    light = (_picture() / 255.0) ** 2.4 @ _TO_2020.T
    return _frame(np.clip(curve(light), 0, 1), 9, 16)


@pytest.mark.parametrize(
    ("curve", "transfer", "mean_error"),
    [
        # Tone mapping takes up to 8 of 255 from the brightest tenth of the picture.
        (_pq, 16, 3.0),
        (_hlg, 18, 3.0),
        (lambda light: light ** (1 / 2.4), 14, 1.0),  # 10 bits, and rounding
        (lambda light: light, 8, 3.0),  # linear light has few steps in the dark
    ],
)
def test_wide_gamuts_and_high_dynamic_range_become_bt709(curve, transfer, mean_error):
    image = RgbConverter(ColorTags(9, transfer))(_wide_frame(curve))
    error = np.abs(image.astype(int) - _picture())
    assert error.mean() < mean_error
    assert error[_picture().max(-1) < 200].mean() < mean_error


def test_highlights_are_compressed_and_keep_their_order():
    grey = np.broadcast_to(np.linspace(0, 20, 256)[None, :, None], (16, 256, 3))
    signal = np.round(_pq(grey) * 65535).astype(np.uint16)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(signal), format="rgb48le")
    row = RgbConverter(ColorTags(9, 16))(frame)[0].astype(int)
    assert (np.diff(row[:, 1]) >= 0).all()
    assert row[13, 1] in range(240, 252)  # near reference white
    assert row[-1].tolist() == [255, 255, 255]


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", [1, 5, 7, 9])
def test_every_matrix_and_range(matrix, full_range):
    frame = _frame(_picture() / 255.0, matrix, full_range=full_range)
    image = RgbConverter(ColorTags(2, 2))(frame)
    assert np.abs(image.astype(int) - _picture()).max() <= 4


def test_tags_of_a_file_are_used(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.height, stream.width, stream.pix_fmt = 72, 128, "yuv444p16le"
        codec = stream.codec_context
        codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range = 9, 9, 16, 1
        container.mux(stream.encode(_wide_frame(_pq)))
        container.mux(stream.encode(None))
    (frame,) = VideoSource(path)
    assert np.abs(frame.image.astype(int) - _picture()).mean() < 3
