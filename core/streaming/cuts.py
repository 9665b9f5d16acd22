"""Scene cuts, from a thumbnail of each frame.

The score of two thumbnails is ``sqrt(h d)``. ``h`` is the distance of the colour histograms, which
motion hardly changes. ``d`` is the difference of blocks, each compared with the best place near it
after the exposure is matched, which motion and exposure hardly change. Only a cut changes both. The
score is compared with a floor and with the recent scores, so that fast motion throughout a shot
gives no cuts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from core.streaming.intake import ArrayLike, as_pixels

_ROWS, _COLUMNS = 18, 32
_BLOCK_ROWS, _BLOCK_COLUMNS = 6, 8
_REACH = 3
"""How far the best place of a block is searched, thumbnail pixels."""
_MOST_GAIN = 1.5
"""Change of brightness that the exposure of a camera may make from one frame to the next."""
_DARK = 0.02
_BINS = 16
_OVERSAMPLING = 4
_FLOOR = 0.14
"""Score below which nothing is a cut. On six real clips, neighbouring frames score at most 0.08 and
frames of different clips at least 0.18."""
_RATIO = 1.9
"""How far above the mean of the recent scores a cut is."""
_RECENT = 8
_PRIOR, _PRIOR_WEIGHT = 0.105, 3
"""Mean score that is assumed at the beginning of a shot, and as how many scores it counts."""

Thumbnail = Float[np.ndarray, "18 32 3"]


@dataclass(frozen=True)
class CutState:
    """What a detector remembers."""

    last: Thumbnail | None = None
    """The frame before; None at the beginning."""
    scores: tuple[float, ...] = ()
    """The most recent scores of the shot."""


class CutDetector:
    """Finds cuts frame by frame; remembers a thumbnail and eight scores."""

    def __init__(self) -> None:
        self.state = CutState()
        """May be set to what it was before."""

    def reset(self) -> None:
        """Forget what came before."""
        self.state = CutState()

    def is_cut(self, frame: ArrayLike) -> bool:
        """Take the next frame and return whether a cut lies between it and the one before.

        Args:
            frame: RGB as :meth:`Session.push` takes it. One on a GPU makes the host wait for it.
        """
        now, before, scores = thumbnail(as_pixels(frame)), self.state.last, self.state.scores
        if before is None:
            self.state = CutState(now, scores)
            return False
        score = change(before, now)
        cut = score > max(_FLOOR, _RATIO * _usual(scores))
        self.state = CutState(now, () if cut else (*scores, score)[-_RECENT:])
        return cut


def _usual(scores: tuple[float, ...]) -> float:
    return (sum(scores) + _PRIOR * _PRIOR_WEIGHT) / (len(scores) + _PRIOR_WEIGHT)


def thumbnail(pixels: Tensor) -> Thumbnail:
    """Average a frame (h, w, 3), uint8 or in [0, 1], to 18 by 32, from a part of its pixels."""
    rows, columns = (
        _samples(length, cells)
        for length, cells in zip(pixels.shape, (_ROWS, _COLUMNS), strict=False)
    )
    if pixels.dtype == torch.uint8 and pixels.device.type == "cpu":
        # By NumPy: for so few samples, torch's threads take longer to wake than to work.
        samples = pixels.numpy().take(rows, 0).take(columns, 1)
    else:
        samples = pixels[rows][:, columns].float().cpu().numpy()
    sums = samples.reshape(_OVERSAMPLING, _ROWS, _OVERSAMPLING, -1).sum((0, 2), dtype=np.float32)
    unit = 1 if pixels.is_floating_point() else 255
    return (sums / np.float32(unit * _OVERSAMPLING**2)).reshape(_ROWS, _COLUMNS, 3)


@lru_cache(maxsize=8)
def _samples(length: int, cells: int) -> Integer[np.ndarray, " samples"]:
    """Return evenly spread places: the first of each cell, then the second of each, and so on."""
    places = np.linspace(0, length - 1, cells * _OVERSAMPLING).round().astype(int)
    return places.reshape(cells, _OVERSAMPLING).T.ravel()


def change(before: Thumbnail, now: Thumbnail) -> float:
    """Return the score of two thumbnails, at least 0; see the head of this module."""
    return float(np.sqrt(_histogram_distance(before, now) * _block_distance(before, now)))


def _histogram_distance(before: Thumbnail, now: Thumbnail) -> float:
    """Return the mean total variation of the histograms of brightness and two colour axes."""
    return float(np.abs(_histograms(before) - _histograms(now)).sum() / (2 * 3))


def _histograms(image: Thumbnail) -> Float[np.ndarray, "3 bins"]:
    brightness = image.mean(-1)
    red_green = image[..., 0] - image[..., 1] + 0.5
    blue = image[..., 2] - brightness + 0.5
    axes = np.stack((brightness, red_green, blue)).reshape(3, -1)
    place = np.clip(axes, 0, 1) * (_BINS - 1)
    lower = place.astype(int)
    above = place - lower  # shared between two bins, so that nothing jumps
    bins = (lower + np.arange(3)[:, None] * (_BINS + 1)).ravel()
    count = 3 * (_BINS + 1)
    counts = np.bincount(bins, 1 - above.ravel(), count)
    counts += np.bincount(bins + 1, above.ravel(), count)
    return counts.reshape(3, -1) / axes.shape[1]


def _block_distance(before: Thumbnail, now: Thumbnail) -> float:
    """Return the mean absolute difference of blocks from their best places, exposure matched."""
    gain = (before.mean() + _DARK) / (now.mean() + _DARK)
    now = now * np.clip(gain, 1 / _MOST_GAIN, _MOST_GAIN)
    rows, columns = (
        np.clip(np.arange(-_REACH, length + _REACH), 0, length - 1) for length in (_ROWS, _COLUMNS)
    )
    # Columns and colours are one axis, and as long as possible: NumPy is fast along the last one.
    padded = before.take(rows, 0).take(columns, 1).reshape(len(rows), -1)
    places = np.lib.stride_tricks.sliding_window_view(padded, (_ROWS, 3 * _COLUMNS))[:, ::3]
    differences = places - now.reshape(_ROWS, -1)  # (shifts, shifts, h, w c)
    np.abs(differences, out=differences)
    bands = differences.reshape(-1, _ROWS // _BLOCK_ROWS, _BLOCK_ROWS, 3 * _COLUMNS).sum(2)
    width = 3 * _BLOCK_COLUMNS
    blocks = bands.reshape(len(bands), -1, width) @ np.ones(width, bands.dtype)
    return float(blocks.min(0).mean() / (_BLOCK_ROWS * width))
