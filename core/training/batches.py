"""Endless batches on the training device, from clips, procedural scenes, or both."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, fields

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from core.checks import UserError
from core.data.clips import ClipFolderSource
from core.data.mixing import divide
from core.data.scene_clips import SceneClips
from core.types import ClipBatch

_PREFETCHED_BATCHES = 4


@dataclass(frozen=True)
class Sources:
    """Where samples come from; at least one of the two."""

    clips: ClipFolderSource | None
    """Clips on disk."""
    procedural: SceneClips | None
    """Procedural scenes, made on the training device."""
    procedural_share: float
    """Share of procedural samples, in [0, 1]; 0 or 1 where there is one source only."""


@dataclass(frozen=True)
class Stride:
    """Which positions of the endless stream of samples a process takes."""

    batch_size: int
    """Samples a step and process."""
    process: int = 0
    """Rank of this process."""
    num_processes: int = 1
    """How many processes train together."""

    @property
    def samples_per_step(self) -> int:
        """Samples that all processes take together."""
        return self.batch_size * self.num_processes

    def positions(self, first: int) -> range:
        """Return this process's positions of the step that begins at position ``first``."""
        start = first + self.process * self.batch_size
        return range(start, start + self.batch_size)


class _ClipDataset(Dataset[ClipBatch | UserError]):
    """Samples of clips by index; what the user can mend is handed on rather than raised.

    Raised in a worker, it would reach the user wrapped into that worker's traceback.
    """

    def __init__(self, source: ClipFolderSource) -> None:
        self._source = source

    def __getitem__(self, index: int) -> ClipBatch | UserError:
        try:
            return self._source.sample(index)
        except UserError as error:
            return error


class _ClipIndices(Sampler[list[int]]):
    """The indices of clip samples of each step, without end."""

    def __init__(self, stride: Stride, procedural_share: float, first: int) -> None:
        self._stride = stride
        self._share = procedural_share
        self._first = first

    def __iter__(self) -> Iterator[list[int]]:
        first = self._first
        while True:
            yield list(divide(self._stride.positions(first), self._share).clips)
            first += self._stride.samples_per_step


def stream_batches(
    sources: Sources, stride: Stride, *, first: int, workers: int, device: torch.device
) -> Generator[ClipBatch, None, None]:
    """Yield the batches of successive steps, without end.

    What a batch holds depends on the sources' seeds and on its positions in the stream alone, not
    on workers, nor on where the stream was entered.

    Args:
        sources: Where samples come from.
        stride: Which positions this process takes.
        first: Position at which the first step begins: samples that were taken before, by all
            processes.
        workers: Processes that prepare samples of clips.
        device: Where batches are wanted.

    Raises:
        UserError: If a file of a clip cannot be read.
    """
    clips = iter(_clip_loader(sources, stride, first, workers, device)) if sources.clips else None
    while True:
        parts: list[ClipBatch] = []
        if clips is not None:
            loaded = next(clips)
            if isinstance(loaded, UserError):
                raise loaded
            if loaded is not None:
                parts.append(ClipBatch(*loaded).to(device, non_blocking=True))
        if sources.procedural is not None:
            division = divide(stride.positions(first), sources.procedural_share)
            if division.procedural:
                parts.append(sources.procedural.batch(division.procedural).to(device))
        yield parts[0] if len(parts) == 1 else ClipBatch.collate(parts)
        first += stride.samples_per_step


def _clip_loader(
    sources: Sources, stride: Stride, first: int, workers: int, device: torch.device
) -> DataLoader[ClipBatch | UserError]:
    assert sources.clips is not None
    return DataLoader(
        _ClipDataset(sources.clips),
        batch_sampler=_ClipIndices(stride, sources.procedural_share, first),
        collate_fn=_collate,
        num_workers=workers,
        worker_init_fn=_start_worker,
        prefetch_factor=_PREFETCHED_BATCHES if workers else None,
        pin_memory=device.type == "cuda",
    )


def _collate(samples: list[ClipBatch | UserError]) -> tuple[Tensor, ...] | UserError | None:
    """Stack samples into the tuple of a ClipBatch's tensors, which a DataLoader knows to pin."""
    clips: list[ClipBatch] = []
    for sample in samples:
        if isinstance(sample, UserError):
            return sample
        clips.append(sample)
    if not clips:
        return None
    batch = ClipBatch.collate(clips)
    return tuple(getattr(batch, field.name) for field in fields(batch))


def _start_worker(_worker: int) -> None:
    # Workers are the parallelism; threads within them only fight for the same cores.
    cv2.setNumThreads(0)
