"""Colours of a video as a BT.709 display shows them.

High dynamic range (PQ, BT.2100 table 4; HLG, table 5) is brought to standard range in linear light:
203 cd/m2, the reference white of BT.2408, is 1. Up to 0.8 light stays as it is, above it the
brightest of the three channels approaches 1 exponentially and the others keep their proportion. So
hues stay, reference white becomes 0.93, and highlights are compressed rather than cut. Colours
beyond BT.709 are cut off at its edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter
from jaxtyping import Float, Float32, Float64, UInt8

from core.io.video.filtering import FrameFilter
from core.io.video.threads import few_threads

# Code points of ITU-T H.273: transfer characteristics, primaries, matrices.
_LINEAR, _PQ, _HLG = 8, 16, 18
_BT709_PRIMARIES, _BT2020_PRIMARIES, _P3_PRIMARIES = 1, 9, 12
_BT709, _BT601 = 1, 5
_RGB, _FULL_RANGE = 0, 2
_MATRIX_NAMES = {_BT709: "bt709", 4: "fcc", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}

_THREADS = few_threads(4)
_WHITE_NITS = 203.0
_PQ_PEAK_NITS = 10_000.0
_HLG_PEAK_NITS, _HLG_GAMMA = 1000.0, 1.2
_HLG_LUMA = np.array([[0.2627, 0.6780, 0.0593]])
_KNEE = 0.8
_DISPLAY_GAMMA = 2.4
"""Of BT.1886, by which a display shows BT.709."""
# Chromaticities x, y of red, green and blue; white is D65.
_CHROMATICITIES = {
    _BT709_PRIMARIES: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    _BT2020_PRIMARIES: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    _P3_PRIMARIES: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
_D65 = (0.3127, 0.3290)


@dataclass(frozen=True)
class ColorTags:
    """What a stream says of its colours, as code points of ITU-T H.273; 2 is unknown."""

    primaries: int
    """Which red, green and blue."""
    transfer: int
    """How light becomes a signal."""

    @property
    def is_hdr(self) -> bool:
        """Whether it has a high dynamic range."""
        return self.transfer in (_PQ, _HLG)

    @property
    def is_converted(self) -> bool:
        """Whether its values are other than those of BT.709."""
        wide = self.primaries in _CHROMATICITIES and self.primaries != _BT709_PRIMARIES
        return self.is_hdr or wide or self.transfer == _LINEAR


class RgbConverter:
    """Converts the decoded frames of a stream to 8-bit RGB of BT.709, from one thread at a time.

    Args:
        tags: What the stream says of its colours.
    """

    def __init__(self, tags: ColorTags) -> None:
        self._tags = tags
        self._reformatter = VideoReformatter()  # one for all frames: it starts threads of its own

    def __call__(self, frame: av.VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
        """Convert a frame."""
        tags = self._tags
        if not tags.is_converted:
            return self._reformat(frame, "rgb24")
        signal = self._reformat(frame, "rgb48le")
        light = _light_of(tags.transfer)[signal]
        if tags.transfer == _HLG:
            light = _to_display(light)
        light = cv2.transform(light, _to_bt709(tags))
        np.maximum(light, 0, out=light)
        if tags.is_hdr:
            light = _tone_map(light)
        return _encoded()[(np.minimum(light, 1) * np.float32(65535)).astype(np.uint16)]

    def _reformat(self, frame: av.VideoFrame, name: str) -> np.ndarray:
        """Convert to an RGB format by the frame's matrix and range; light stays as it is."""
        is_full = frame.color_range == _FULL_RANGE
        matrix = _MATRIX_NAMES.get(frame.colorspace, "bt601")
        # PyAV before 18 knows two matrices only, and the full range only where the format implies
        # it.
        is_simple = matrix in ("bt601", "bt709") and (
            not is_full or frame.colorspace == _RGB or frame.format.name.startswith("yuvj")
        )
        if not is_simple:
            span = "pc" if is_full else "tv"
            scale = ("scale", f"in_color_matrix={matrix}:in_range={span}:out_range=pc")
            (frame,) = FrameFilter(frame, scale, ("format", name)).push(frame)
            return frame.to_ndarray()
        # Explicitly, and BT.709 to another matrix, because PyAV before 17 took every video for
        # BT.601.
        return self._reformatter.reformat(
            frame,
            format=name,
            src_colorspace=_BT709 if frame.colorspace == _BT709 else _BT601,
            dst_colorspace=_BT601,
            src_color_range=frame.color_range,
            dst_color_range=_FULL_RANGE,
            **_THREADS,
        ).to_ndarray()


@cache
def _light_of(transfer: int) -> Float32[np.ndarray, " values"]:
    """Return linear light, 1 at reference white, of each 16-bit signal.

    That of HLG is of the scene, see :func:`_to_display`.
    """
    signal = np.arange(65536) / 65535
    if transfer == _PQ:
        m1, m2, c1, c2, c3 = 1305 / 8192, 2523 / 32, 107 / 128, 2413 / 128, 2392 / 128
        power = signal ** (1 / m2)
        light = (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
        light *= _PQ_PEAK_NITS / _WHITE_NITS
    elif transfer == _HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    elif transfer == _LINEAR:
        light = signal
    else:
        light = signal**_DISPLAY_GAMMA
    return light.astype(np.float32)


def _to_display(scene: Float32[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 3"]:
    """Return what a display of 1000 cd/m2 makes of HLG's light of the scene."""
    luminance = cv2.transform(scene, _HLG_LUMA)
    return _scale(scene, cv2.pow(luminance, _HLG_GAMMA - 1) * (_HLG_PEAK_NITS / _WHITE_NITS))


def _tone_map(light: Float32[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "h w 3"]:
    """Compress what is brighter than :data:`_KNEE`; 1 is the most that comes out."""
    red, green, blue = cv2.split(light)
    brightest = cv2.max(cv2.max(red, green), blue)
    above = np.maximum(brightest - _KNEE, 0) / (1 - _KNEE)
    mapped = 1 - (1 - _KNEE) * np.exp(-above)  # the knee itself where nothing is above it
    return _scale(light, mapped / np.maximum(brightest, _KNEE))


def _scale(
    light: Float32[np.ndarray, "h w 3"], gain: Float32[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w 3"]:
    # By OpenCV: NumPy is slow where the last axis is short.
    return cv2.multiply(light, cv2.merge([gain, gain, gain]))


@cache
def _to_bt709(tags: ColorTags) -> Float64[np.ndarray, "3 3"]:
    """Return the matrix from a stream's primaries to those of BT.709, in linear light."""
    unknown = _BT2020_PRIMARIES if tags.is_hdr else _BT709_PRIMARIES
    primaries = tags.primaries if tags.primaries in _CHROMATICITIES else unknown
    return np.linalg.solve(_to_xyz(_BT709_PRIMARIES), _to_xyz(primaries))


def _to_xyz(primaries: int) -> Float64[np.ndarray, "3 3"]:
    """Return the matrix from RGB to CIE XYZ (SMPTE RP 177)."""
    columns = np.array([_xyz(*place) for place in _CHROMATICITIES[primaries]]).T
    return columns * np.linalg.solve(columns, _xyz(*_D65))


def _xyz(x: float, y: float) -> Float[np.ndarray, "3"]:
    return np.array([x / y, 1, (1 - x - y) / y])


@cache
def _encoded() -> UInt8[np.ndarray, " values"]:
    """Return the 8-bit signal of each 16-bit value of linear light."""
    signal = (np.arange(65536) / 65535) ** (1 / _DISPLAY_GAMMA)
    return np.round(signal * 255).astype(np.uint8)
