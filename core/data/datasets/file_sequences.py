"""Sequences whose frames, masks and depth maps are single files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from core.data.datasets.decoding import (
    decode_image_covering,
    read_inverse_depth,
    read_mask,
    stack_inverse_depths,
)
from core.data.datasets.index import FolderListings
from core.data.datasets.names import DatasetName
from core.data.datasets.resizing import resize
from core.data.datasets.sequence_set import Coverage, Issue, RawClip
from core.io.layouts import DEPTH_SUFFIX
from core.io.reading import read_file
from core.io.stills.images import IMAGE_EXTENSIONS, check_stems

_NUMBER = re.compile(r"(\d+)\D*$")


@dataclass(frozen=True)
class SequenceFiles:
    """The files of one sequence, frame by frame, as paths from the root of the dataset."""

    key: str
    """What it is called."""
    images: tuple[str, ...]
    """Images, in order."""
    depths: tuple[str | None, ...]
    """Relative inverse depth of each frame, where there is one."""
    masks: tuple[str | None, ...]
    """Annotation of each frame, where there is one."""
    times: Float64[np.ndarray, " frames"]
    """The numbers in the frames' names where they rise, and their positions otherwise."""


def collect_files(
    listings: FolderListings,
    key: str,
    images: Path,
    *,
    depths: Path,
    masks: Path | None,
    names: Sequence[str] | None = None,
) -> SequenceFiles:
    """Find the files of a sequence: images, and depth maps and masks of the same stems.

    Args:
        listings: Names in the folders.
        key: What the sequence is called.
        images: Folder of the images; may be missing.
        depths: Folder of the depth maps, ``<stem>_pred.png``; may be missing.
        masks: Folder of the masks, ``<stem>.png``; may be missing, None where there are never any.
        names: Which images, in order; None for all of the folder.

    Raises:
        UserError: If two images are of one name.
    """
    if names is None:
        names = [n for n in listings.files(images) if Path(n).suffix.lower() in IMAGE_EXTENSIONS]
        check_stems(images, names)
    stems = [Path(name).stem for name in names]

    def from_root(folder: Path) -> str:
        return os.path.relpath(folder, listings.root)

    def by_stem(folder: Path | None, suffix: str) -> tuple[str | None, ...]:
        if folder is None or not stems:
            return (None,) * len(stems)
        pngs = (name for name in listings.files(folder) if name.lower().endswith(".png"))
        start = from_root(folder)
        found = {Path(name).stem: f"{start}/{name}" for name in pngs}
        return tuple(found.get(stem + suffix) for stem in stems)

    start = from_root(images)

    return SequenceFiles(
        key=key,
        images=tuple(f"{start}/{name}" for name in names),
        depths=by_stem(depths, DEPTH_SUFFIX),
        masks=by_stem(masks, ""),
        times=_times(stems),
    )


def _times(stems: Sequence[str]) -> Float64[np.ndarray, " frames"]:
    found = [_NUMBER.search(stem) for stem in stems]
    numbers = [float(match[1]) for match in found if match is not None]
    if len(numbers) == len(stems) and all(a < b for a, b in pairwise(numbers)):
        return np.array(numbers, dtype=np.float64)
    return np.arange(len(stems), dtype=np.float64)


class FileSequenceSet:
    """A :class:`~core.data.datasets.sequence_set.SequenceSet` of files.

    Args:
        name: Which layout.
        root: The folder from which the files' paths count.
        sequences: The sequences, in order.
        reach: See :class:`~core.data.datasets.sequence_set.SequenceSet`.
        has_masks: Whether the layout has masks.
        all_moving: Whether every pixel counts as moving, for splits without annotations.
        missing: What lists of the dataset name and what is not there.
    """

    def __init__(
        self,
        name: DatasetName,
        root: Path,
        sequences: Sequence[SequenceFiles],
        *,
        reach: int,
        has_masks: bool,
        all_moving: bool = False,
        missing: Iterable[str] = (),
    ) -> None:
        self.name: DatasetName = name
        self.root = root
        self.reach = reach
        self.keys = [sequence.key for sequence in sequences]
        self.lengths: Int64[np.ndarray, " s"] = np.array(
            [len(sequence.images) for sequence in sequences], dtype=np.int64
        )
        self.files: Int64[np.ndarray, " s"] | None = None
        self._sequences = sequences
        self._has_masks = has_masks
        self._all_moving = all_moving
        self._missing = Issue.of(missing)

    def image_path(self, sequence: int, frame: int) -> Path:
        """Return the file of a frame."""
        return self.root / self._sequences[sequence].images[frame]

    def read(self, sequence: int, frames: Sequence[int], at_least: tuple[int, int]) -> RawClip:
        """Read frames of one sequence; see :class:`~core.data.datasets.sequence_set.SequenceSet`.

        Raises:
            UserError: If a file cannot be read.
        """
        files = self._sequences[sequence]
        images = [self._read_image(files.images[frame], at_least) for frame in frames]
        size = images[0].shape[:2]
        depths = self._read_all(read_inverse_depth, files.depths, frames, size)
        masks = self._read_all(read_mask, files.masks, frames, size)
        if self._all_moving:
            masks = [np.ones(size, np.uint8)] * len(frames)
        return RawClip(
            images=np.stack([resize(image, size) for image in images]),
            inverse_depths=None if depths is None else stack_inverse_depths(depths),
            masks=None if masks is None else np.stack(masks),
            times=files.times[list(frames)],
        )

    def _read_image(self, name: str, at_least: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
        path = self.root / name
        return decode_image_covering(read_file(path, "image"), at_least, path)

    def _read_all(
        self,
        read: Callable[[Path, tuple[int, int]], np.ndarray],
        names: Sequence[str | None],
        frames: Sequence[int],
        size: tuple[int, int],
    ) -> list[np.ndarray] | None:
        """Read one map for each frame; None unless all frames have one."""
        present = [name for frame in frames if (name := names[frame]) is not None]
        if len(present) < len(frames):
            return None
        return [read(self.root / name, size) for name in present]

    def coverage(self) -> Coverage:
        """Describe what the set holds, and what is missing."""
        return Coverage(
            sequences=len(self._sequences),
            frames=int(self.lengths.sum()),
            without_depth=Issue.of(
                image
                for files in self._sequences
                for image, depth in zip(files.images, files.depths, strict=True)
                if depth is None
            ),
            without_mask=Issue.of(
                image
                for files in self._sequences
                for image, mask in zip(files.images, files.masks, strict=True)
                if mask is None and not self._all_moving
            )
            if self._has_masks
            else None,
            empty=Issue.of(files.key for files in self._sequences if not files.images),
            missing=self._missing,
            unreadable=Issue.of(()),
        )
