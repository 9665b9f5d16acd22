"""Scene cuts, from a thumbnail of each frame.

Two thumbnails differ by the distance ``h`` of their colour histograms, which no motion inside the
picture changes much, and by the difference ``d`` of their blocks, each compared with the best place
near it after the exposure was matched, which neither motion nor a change of exposure does. Only a
cut changes both: the score is ``sqrt(h d)``. It is compared with a floor and with the recent
scores, so that a camera that is always wild cuts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from einops import reduce
from jaxtyping import Float
from torch import Tensor

from core.streaming.intake import ArrayLike, as_pixels

_ROWS, _COLUMNS = 18, 32
_BLOCK_ROWS, _BLOCK_COLUMNS = 6, 8
_REACH = 3
"""How far the best place of a block is looked for, thumbnail pixels."""
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
"""What stands for recent scores at the beginning of a shot, and for how many of them."""

Thumbnail = Float[np.ndarray, "18 32 3"]


@dataclass(frozen=True)
class Seen:
    """What a detector remembers."""

    last: Thumbnail | None = None
    """The frame before; None at the beginning."""
    scores: tuple[float, ...] = ()
    """The most recent scores of the shot."""


class CutDetector:
    """Tells, frame by frame, whether a new shot begins; remembers a thumbnail and eight numbers."""

    def __init__(self) -> None:
        self.seen = Seen()
        """What it remembers; may be set to what it was before."""

    def reset(self) -> None:
        """Forget what came before."""
        self.seen = Seen()

    def is_cut(self, frame: ArrayLike) -> bool:
        """Take the next frame and return whether a cut lies between it and the one before.

        Args:
            frame: RGB as :meth:`Session.push` takes it. One on a GPU makes the host wait for it.
        """
        now, before, scores = thumbnail(as_pixels(frame)), self.seen.last, self.seen.scores
        if before is None:
            self.seen = Seen(now, scores)
            return False
        score = change(before, now)
        cut = score > max(_FLOOR, _RATIO * _usual(scores))
        self.seen = Seen(now, () if cut else (*scores, score)[-_RECENT:])
        return cut


def _usual(scores: tuple[float, ...]) -> float:
    return (sum(scores) + _PRIOR * _PRIOR_WEIGHT) / (len(scores) + _PRIOR_WEIGHT)


def thumbnail(pixels: Tensor) -> Thumbnail:
    """Average a frame (h, w, 3), uint8 or in [0, 1], to 18 by 32, from a part of its pixels."""
    height, width = pixels.shape[:2]
    rows = np.linspace(0, height - 1, _ROWS * _OVERSAMPLING).round().astype(int)
    columns = np.linspace(0, width - 1, _COLUMNS * _OVERSAMPLING).round().astype(int)
    if pixels.is_floating_point():
        samples = pixels[rows][:, columns].float().cpu().numpy()
    elif pixels.device.type == "cpu":
        # By NumPy: for so few samples, torch's threads take longer to wake than to work.
        samples = pixels.numpy()[rows][:, columns] / np.float32(255)
    else:
        samples = pixels[rows][:, columns].cpu().numpy() / np.float32(255)
    size = _OVERSAMPLING
    return reduce(samples, "(h p) (w q) c -> h w c", "mean", p=size, q=size)


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
    histograms = []
    for values in (brightness, red_green, blue):
        place = np.clip(values, 0, 1).ravel() * (_BINS - 1)
        lower = np.floor(place).astype(int)
        above = place - lower  # shared between two bins, so that nothing jumps
        counts = np.bincount(lower, 1 - above, _BINS + 1) + np.bincount(lower + 1, above, _BINS + 1)
        histograms.append(counts / place.size)
    return np.stack(histograms)


def _block_distance(before: Thumbnail, now: Thumbnail) -> float:
    """Return the mean absolute difference of blocks from their best places, exposure matched."""
    gain = (before.mean() + _DARK) / (now.mean() + _DARK)
    now = now * np.clip(gain, 1 / _MOST_GAIN, _MOST_GAIN)
    padded = np.pad(before, ((_REACH, _REACH), (_REACH, _REACH), (0, 0)), mode="edge")
    places = np.lib.stride_tricks.sliding_window_view(padded, (_ROWS, _COLUMNS), axis=(0, 1))
    differences = np.abs(places - now.transpose(2, 0, 1))  # (shifts, shifts, c, h, w)
    blocks = reduce(
        differences,
        "p q c (h a) (w b) -> (p q) (h w)",
        "mean",
        a=_BLOCK_ROWS,
        b=_BLOCK_COLUMNS,
    )
    return float(blocks.min(0).mean())
