"""The clips that are measured on, frame by frame at their own size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from core.checks import UserError
from core.data.datasets.file_sequences import FileSequenceSet
from core.data.datasets.sequence_set import SequenceSet
from core.io import Frame
from core.io.frames import open_frames
from core.io.layouts import JPEG_IMAGES
from core.io.stills.png import read_png_values

_OWN_SIZE = (1 << 16, 1 << 16)
"""More than any frame covers, so that readers return frames as they are."""
_SENSOR_FOLDER = "Depth"
_METRES = 1e-3


@dataclass(frozen=True)
class ClipFrame:
    """One frame and what is known of it; all maps are of the image's size."""

    index: int
    """Place in the clip, from 0."""
    image: UInt8[np.ndarray, "h w 3"]
    """RGB."""
    time: float
    """When it was taken, in a unit of the clip's own."""
    moving: Bool[np.ndarray, "h w"] | None = None
    """Which pixels belong to moving objects."""
    inverse_depth: Float[np.ndarray, "h w"] | None = None
    """Relative inverse depth for the network to use, large is near."""
    sensor_depth: Float[np.ndarray, "h w"] | None = None
    """Measured depth to compare with, metres; 0 where there is none."""


class Clip(Protocol):
    """A clip that is measured on."""

    name: str
    """What it is called; folders of rendered frames bear this name."""

    @property
    def num_frames(self) -> int:
        """How many frames it has."""
        ...

    def read(self, first: int, last: int) -> list[ClipFrame]:
        """Read the frames from ``first`` to ``last``, both included.

        Raises:
            UserError: If one cannot be read.
        """
        ...

    def known_flow(
        self, first: int, last: int
    ) -> tuple[Float[Tensor, "h w 2"], Bool[Tensor, "h w"]] | None:
        """Return the true displacement of each pixel from one frame to another, and where it holds.

        In pixels at the network's size; None where it is not known.
        """
        ...


class DatasetClip:
    """A sequence of a dataset.

    Args:
        dataset: Its dataset.
        sequence: Position in the dataset's keys.
    """

    def __init__(self, dataset: SequenceSet, sequence: int) -> None:
        self.name = dataset.keys[sequence]
        self._dataset = dataset
        self._sequence = sequence

    @property
    def num_frames(self) -> int:
        """How many frames it has."""
        return int(self._dataset.lengths[self._sequence])

    def read(self, first: int, last: int) -> list[ClipFrame]:
        """Read frames; see :class:`Clip`."""
        frames = list(range(first, last + 1))
        raw = self._dataset.read(self._sequence, frames, _OWN_SIZE)
        # Where YouTube-VOS has no annotations, its reader calls every pixel moving.
        masks = None if self._dataset.name == "vos" else raw.masks
        return [
            ClipFrame(
                index=index,
                image=raw.images[j],
                time=float(raw.times[j]),
                moving=None if masks is None else masks[j] > 0,
                inverse_depth=None
                if raw.inverse_depths is None
                else raw.inverse_depths[j].astype(np.float32),
                sensor_depth=self._sensor_depth(index),
            )
            for j, index in enumerate(frames)
        ]

    def known_flow(self, first: int, last: int) -> None:
        """The motion is not known."""

    def _sensor_depth(self, frame: int) -> Float[np.ndarray, "h w"] | None:
        """Read ``<clip>/Depth/<stem>.png``, which folders of clips may hold."""
        if not isinstance(self._dataset, FileSequenceSet) or self._dataset.name != "frames":
            return None
        image = self._dataset.image_path(self._sequence, frame)
        path = image.parents[1] / _SENSOR_FOLDER / f"{image.stem}.png"
        if not path.is_file():
            return None
        millimetres = read_png_values(path)
        if millimetres.dtype != np.uint16 or millimetres.ndim != 2:
            raise UserError(
                f"{path} has {millimetres.dtype} pixels of {millimetres.ndim - 1} axes; expected "
                "measured depth as a grey 16-bit PNG in millimetres, 0 where there is none."
            )
        return millimetres.astype(np.float32) * np.float32(_METRES)


class FramesClip:
    """A video file, or a folder of images.

    Args:
        path: Where it is.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.parent.name if path.name == JPEG_IMAGES.images else path.stem
        self._source = open_frames(path, on_error="raise")
        self._count = self._source.num_frames
        self._rest: Iterator[Frame] = iter(())
        self._held: list[Frame] = []

    @property
    def num_frames(self) -> int:
        """How many frames it has; a video is decoded once to count them."""
        if self._count is None:
            self._count = sum(1 for _ in self._source)
        return self._count

    def read(self, first: int, last: int) -> list[ClipFrame]:
        """Read frames; see :class:`Clip`. What comes before in the file is decoded, too."""
        if not self._held or first < self._held[0].index:
            self._rest = iter(self._source)
            self._held = []
        frames = [
            frame
            for frame in chain(self._held, self._until(last, self._held))
            if first <= frame.index
        ]
        self._held = frames
        return [
            ClipFrame(
                frame.index,
                frame.image,
                float(frame.index) if frame.time is None else frame.time,
            )
            for frame in frames
        ]

    def known_flow(self, first: int, last: int) -> None:
        """The motion is not known."""

    def _until(self, last: int, held: Sequence[Frame]) -> Iterator[Frame]:
        if held and held[-1].index >= last:
            return
        for frame in self._rest:
            yield frame
            if frame.index >= last:
                return
