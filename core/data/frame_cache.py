"""Decoded frames, kept in memory as long as a budget lasts."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8, UInt16

from core.data.augmentation import covering_size, resize
from core.data.clip_folder import ClipFiles
from core.io.depth_maps import read_depth
from core.io.images import decode_image, read_image

_MIB = 1 << 20
_UINT16_MAX = 65535


@dataclass(frozen=True)
class ClipFrame:
    """One frame at the size in which it is stored, 8 bits a channel."""

    image: UInt8[np.ndarray, "h w 3"]
    """RGB."""
    mask: UInt8[np.ndarray, "h w"] | None
    """1 on moving objects, 0 elsewhere."""
    inverse_depth: UInt16[np.ndarray, "h w"] | None
    """Relative inverse depth, larger is nearer; 65535 is the most that the file can say."""

    @property
    def num_bytes(self) -> int:
        """Memory that the arrays take."""
        parts = (self.image, self.mask, self.inverse_depth)
        return sum(part.nbytes for part in parts if part is not None)


class FrameCache:
    """Reads frames of clips, and keeps the first ones that fit into a budget.

    Frames are shrunk on reading to what covers ``margin`` times the image size, kept or not, so
    that the budget never changes what a sample looks like. What is kept is read when the cache is
    made: processes forked later share it.

    Args:
        clips: The clips whose frames are asked for.
        image_size: Height and width at which frames are used.
        margin: How much larger than ``image_size`` a stored frame is, at least 1.
        budget_mib: Memory for decoded frames, in MiB; 0 keeps none.
    """

    def __init__(
        self,
        clips: Sequence[ClipFiles],
        image_size: tuple[int, int],
        *,
        margin: float,
        budget_mib: int,
    ) -> None:
        self._clips = clips
        self._image_size = image_size
        self._margin = margin
        self._kept: dict[tuple[int, int], ClipFrame] = {}
        if budget_mib > 0:
            self._fill(budget_mib * _MIB)

    @property
    def num_kept(self) -> int:
        """How many frames are held in memory."""
        return len(self._kept)

    def frame(self, clip: int, frame: int) -> ClipFrame:
        """Return a frame, from memory or from its files.

        Raises:
            UserError: If a file cannot be read.
        """
        kept = self._kept.get((clip, frame))
        return self._read(clip, frame) if kept is None else kept

    def _fill(self, budget: int) -> None:
        keys = [(c, f) for c, clip in enumerate(self._clips) for f in range(len(clip))]
        used = 0
        # Threads do the work in parallel; OpenCV's own would not survive a later fork.
        cv2.setNumThreads(0)
        with ThreadPoolExecutor() as pool:
            for start in range(0, len(keys), 64):
                chunk = keys[start : start + 64]
                for key, frame in zip(
                    chunk, pool.map(lambda key: self._read(*key), chunk), strict=True
                ):
                    used += frame.num_bytes
                    if used > budget:
                        return
                    self._kept[key] = frame

    def _read(self, clip: int, frame: int) -> ClipFrame:
        files = self._clips[clip]
        image = read_image(files.frames[frame])
        height, width = image.shape[:2]
        size = covering_size(height, width, self._image_size, margin=self._margin)
        mask, depth = files.masks[frame], files.depths[frame]
        return ClipFrame(
            image=resize(image, size),
            mask=None if mask is None else resize(_read_mask(mask), size, nearest=True),
            inverse_depth=None if depth is None else resize(_read_inverse_depth(depth), size),
        )


def _read_mask(path: Path) -> UInt8[np.ndarray, "h w"]:
    """Read an annotation: every colour but black is a moving object."""
    pixels = decode_image(path, cv2.IMREAD_UNCHANGED)
    if pixels.ndim == 3:
        pixels = pixels[..., :3].max(axis=-1)
    return (pixels > 0).astype(np.uint8)


def _read_inverse_depth(path: Path) -> UInt16[np.ndarray, "h w"]:
    return np.round(read_depth(path) * _UINT16_MAX).astype(np.uint16)
