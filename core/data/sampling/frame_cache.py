"""Frames of a dataset at the size of the network, in memory if all of them fit."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8, UInt16
from tqdm import tqdm

from core.checks import UserError
from core.data.datasets.resizing import crop_center
from core.data.datasets.sequence_set import RawClip, SequenceSet

_BYTES_PER_PIXEL = 6
"""Three of the image, two of the depth, one of the mask."""
_MIB = 1 << 20


@dataclass(frozen=True)
class _Frame:
    image: UInt8[np.ndarray, "h w 3"]
    inverse_depth: UInt16[np.ndarray, "h w"] | None
    mask: UInt8[np.ndarray, "h w"] | None
    time: float


class FrameCache:
    """Reads frames of a dataset, cut and resized about their centre.

    If all frames fit into the budget, they are decoded now, and processes that are forked later
    share them; if not, each is decoded whenever it is read. The results are equal, except in
    sequences whose frames differ in size: cached frames are each cropped from their own size.

    Args:
        sequences: The dataset.
        used: Positions of the sequences that are read.
        image_size: Height and width of the frames.
        budget_mib: Memory for decoded frames, in MiB.
    """

    def __init__(
        self,
        sequences: SequenceSet,
        used: Sequence[int],
        image_size: tuple[int, int],
        budget_mib: int,
    ) -> None:
        self._sequences = sequences
        self._image_size = image_size
        self._cached: dict[tuple[int, int], _Frame] = {}
        num_frames = int(sequences.lengths[list(used)].sum())
        needed = num_frames * image_size[0] * image_size[1] * _BYTES_PER_PIXEL
        self.num_mib = -(-needed // _MIB) if needed <= budget_mib * _MIB else 0
        if self.num_mib:
            self._fill([(s, f) for s in used for f in range(sequences.lengths[s])])

    @property
    def num_cached(self) -> int:
        """How many frames are held in memory."""
        return len(self._cached)

    def read(self, sequence: int, frames: Sequence[int]) -> RawClip:
        """Read frames of a sequence at the image size.

        Raises:
            UserError: If a file cannot be read.
        """
        cached = [self._cached.get((sequence, frame)) for frame in frames]
        there = [frame for frame in cached if frame is not None]
        if len(there) < len(cached):
            return self._crop(self._sequences.read(sequence, frames, self._image_size))
        return RawClip(
            images=np.stack([frame.image for frame in there]),
            inverse_depths=_stack([frame.inverse_depth for frame in there]),
            masks=_stack([frame.mask for frame in there]),
            times=np.array([frame.time for frame in there]),
        )

    def _fill(self, frames: Sequence[tuple[int, int]]) -> None:
        # Threads do the work in parallel; OpenCV's own would not survive a later fork.
        cv2.setNumThreads(0)
        name = self._sequences.name
        with ThreadPoolExecutor() as pool:
            decoded = tqdm(
                pool.map(self._decode, frames),
                total=len(frames),
                desc=f"decoding {name}",
                unit="frame",
                leave=False,
                delay=1,
            )
            for key, frame in zip(frames, decoded, strict=True):
                if frame is not None:
                    self._cached[key] = frame

    def _decode(self, key: tuple[int, int]) -> _Frame | None:
        """Decode one frame; None if that fails, so that reading it raises the error."""
        sequence, frame = key
        try:
            clip = self._crop(self._sequences.read(sequence, [frame], self._image_size))
        except UserError:
            return None
        return _Frame(
            image=clip.images[0],
            inverse_depth=None if clip.inverse_depths is None else clip.inverse_depths[0],
            mask=None if clip.masks is None else clip.masks[0],
            time=float(clip.times[0]),
        )

    def _crop(self, clip: RawClip) -> RawClip:
        def crop(images: np.ndarray, *, nearest: bool = False) -> np.ndarray:
            size = self._image_size
            return np.stack([crop_center(image, size, nearest=nearest) for image in images])

        return RawClip(
            images=crop(clip.images),
            inverse_depths=None if clip.inverse_depths is None else crop(clip.inverse_depths),
            masks=None if clip.masks is None else crop(clip.masks, nearest=True),
            times=clip.times,
        )


def _stack(maps: Sequence[np.ndarray | None]) -> np.ndarray | None:
    present = [values for values in maps if values is not None]
    return np.stack(present) if len(present) == len(maps) else None
