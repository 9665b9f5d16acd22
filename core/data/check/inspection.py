"""Opens the files of a dataset, all of them or some of each sequence."""

from __future__ import annotations

import copy
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np

from core.checks import UserError
from core.data.datasets.sequence_set import SequenceSet

_FULL_SIZE = (1 << 20, 1 << 20)
_SMALL = (16, 16)
"""Large enough to detect damage; a JPEG is decoded at an eighth of its size."""
_QUICK_SEQUENCES, _QUICK_FRAMES = 200, 3
_MAX_THREADS = 16


@dataclass(frozen=True)
class Inspection:
    """Results of opening files."""

    frames: int
    """Frames whose files were opened."""
    sizes: dict[tuple[int, int], int]
    """How many sequences have their first frame in each size (height, width), the most first."""
    unreadable: tuple[str, ...]
    """One message for each frame whose image, mask or depth map cannot be read."""
    flat_depths: tuple[str, ...]
    """Frames whose depth map has one value everywhere, by sequence and number."""


def plan_frames(dataset: SequenceSet, *, quick: bool) -> dict[int, Sequence[int]]:
    """Choose the frames of each sequence that are opened: all, or a few of some sequences.

    Args:
        dataset: The dataset.
        quick: Take the first, the middle and the last frame of at most 200 sequences.
    """
    present = np.flatnonzero(dataset.lengths)
    if not quick:
        return {int(s): range(int(dataset.lengths[s])) for s in present}
    places = np.linspace(0, len(present) - 1, min(len(present), _QUICK_SEQUENCES)).round()
    return {
        int(s): np.unique(
            np.linspace(0, dataset.lengths[s] - 1, _QUICK_FRAMES).astype(int)
        ).tolist()
        for s in present[places.astype(int)]
    }


def inspect(
    dataset: SequenceSet,
    frames: dict[int, Sequence[int]],
    *,
    threads: int | None = None,
    on_progress: Callable[[int], object] | None = None,
) -> Inspection:
    """Open the image, the mask and the depth map of frames.

    Args:
        dataset: The dataset.
        frames: Which frames of which sequences; see :func:`plan_frames`.
        threads: How many read at once; None for one a processor, at most 16.
        on_progress: Called with the number of frames just opened, from any thread.
    """
    threads = threads or min(os.cpu_count() or 1, _MAX_THREADS)
    readers: SimpleQueue[SequenceSet] = SimpleQueue()
    for _ in range(threads):
        # Chunks that a dataset holds open are not for several threads; copies begin with none.
        readers.put(dataset if dataset.files is None else copy.deepcopy(dataset))

    def look(sequences: Sequence[int]) -> list[_Look]:
        reader = readers.get()
        try:
            return [_look(reader, s, frames[s], on_progress or _ignore) for s in sequences]
        finally:
            readers.put(reader)

    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(look, group) for group in _group_by_file(dataset, frames)]
        try:
            looks = [one for future in futures for one in future.result()]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    sizes = Counter(one.size for one in looks if one.size is not None)
    return Inspection(
        frames=sum(map(len, frames.values())),
        sizes=dict(sizes.most_common()),
        unreadable=tuple(reason for one in looks for reason in one.unreadable),
        flat_depths=tuple(name for one in looks for name in one.flat_depths),
    )


@dataclass(frozen=True)
class _Look:
    """Results of one sequence."""

    size: tuple[int, int] | None
    unreadable: list[str]
    flat_depths: list[str]


def _look(
    dataset: SequenceSet, sequence: int, frames: Sequence[int], on_progress: Callable[[int], object]
) -> _Look:
    size: tuple[int, int] | None = None
    unreadable: list[str] = []
    flat_depths: list[str] = []
    for frame in frames:
        try:
            clip = dataset.read(sequence, [frame], _SMALL if size else _FULL_SIZE)
        except UserError as error:
            unreadable.append(str(error))
        else:
            size = size or (clip.images.shape[1], clip.images.shape[2])
            if clip.inverse_depths is not None and not np.ptp(clip.inverse_depths):
                flat_depths.append(f"{dataset.keys[sequence]}, frame {frame}")
        on_progress(1)
    return _Look(size, unreadable, flat_depths)


def _group_by_file(dataset: SequenceSet, sequences: Iterable[int]) -> list[list[int]]:
    """Put sequences of one large file together, so that it is opened once."""
    if dataset.files is None:
        return [[sequence] for sequence in sequences]
    groups: dict[int, list[int]] = defaultdict(list)
    for sequence in sequences:
        groups[int(dataset.files[sequence])].append(sequence)
    return list(groups.values())


def _ignore(_count: int) -> None:
    """Report no progress."""
