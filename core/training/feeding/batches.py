"""Endless batches on the training device, from datasets on disk, procedural scenes, or both."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.utils.data import Sampler

from core.data.augmentation import AugmentationOptions, augment
from core.data.sampling.combination import CombinedSource, divide
from core.data.sampling.scene_clips import SceneClips
from core.data.sampling.stored_clips import StoredClips
from core.data.sampling.unreadable_files import UnreadableFiles
from core.training.feeding.workers import LoadedSamples, load_samples
from core.types import ClipBatch

_SCENES_AT_ONCE = 32
_STEPS_AT_ONCE = 4


@dataclass(frozen=True)
class Sources:
    """Where samples come from; at least one of the two."""

    files: CombinedSource | None
    """Datasets on disk."""
    procedural: SceneClips | None
    """Procedural scenes, made on the training device."""
    procedural_share: float
    """Share of procedural samples, in [0, 1]; 0 or 1 where there is one source only."""
    augmentation: AugmentationOptions
    """Random changes of the samples from disk."""
    seed: int
    """Chooses these changes."""

    @property
    def samples_per_epoch(self) -> int | None:
        """Samples, procedural ones included, of one pass over the datasets; None without any."""
        if self.files is None:
            return None
        return round(self.files.num_items / (1.0 - self.procedural_share))

    def divide(self, positions: range) -> Division:
        """Divide positions of the stream between the two."""
        shares = (1.0 - self.procedural_share, self.procedural_share)
        return Division(*divide(positions, shares))


class Division(NamedTuple):
    """Indices into each source."""

    files: list[int]
    """Indices of samples from disk."""
    procedural: list[int]
    """Indices of procedural samples."""


@dataclass(frozen=True)
class BatchShard:
    """The positions of the endless stream of samples that one process takes."""

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


class _FileIndices(Sampler[list[int]]):
    """The indices of the samples from disk of each step, without end."""

    def __init__(self, sources: Sources, shard: BatchShard, first: int) -> None:
        self._sources = sources
        self._shard = shard
        self._first = first

    def __iter__(self) -> Iterator[list[int]]:
        first = self._first
        while True:
            yield self._sources.divide(self._shard.positions(first)).files
            first += self._shard.samples_per_step


def stream_batches(
    sources: Sources, shard: BatchShard, *, first: int, workers: int, device: torch.device
) -> Generator[ClipBatch, None, None]:
    """Start the workers, and return a generator of the batches of successive steps, without end.

    What a batch holds depends on the sources' seeds and on its positions in the stream alone, not
    on workers, nor on where the stream was entered.

    Args:
        sources: Where samples come from.
        shard: Which positions this process takes.
        first: Position at which the first step begins: samples that were taken before, by all
            processes.
        workers: Processes that prepare samples from disk.
        device: Where batches are wanted.

    Raises:
        UserError: If workers cannot be started; from the generator, if one is lost or too many
            files cannot be read (:class:`core.data.sampling.unreadable_files.UnreadableFiles`).
    """
    loaded = None
    if sources.files is not None:
        indices = _FileIndices(sources, shard, first)
        loaded = load_samples(sources.files, indices, workers=workers, pin=device.type == "cuda")
    return _stream(sources, shard, loaded, first=first, device=device)


def _stream(
    sources: Sources,
    shard: BatchShard,
    loaded: Iterator[LoadedSamples] | None,
    *,
    first: int,
    device: torch.device,
) -> Generator[ClipBatch, None, None]:
    together = _steps_at_once(sources, shard, device)
    scenes = stream_scenes(sources, shard, first=first, steps_at_once=together)
    unreadable = UnreadableFiles()
    while True:
        division = sources.divide(shard.positions(first))
        parts: list[ClipBatch] = []
        if loaded is not None:
            samples = next(loaded)
            unreadable.note(len(division.files), samples.unreadable)
            if division.files:
                batch = StoredClips(*samples.tensors).unpack(device)
                parts.append(
                    augment(
                        batch,
                        seed=sources.seed,
                        positions=division.files,
                        options=sources.augmentation,
                    )
                )
        drawn = next(scenes)
        if drawn is not None:
            parts.append(drawn.to(device))
        yield ClipBatch.cat(parts)
        first += shard.samples_per_step


def stream_scenes(
    sources: Sources, shard: BatchShard, *, first: int, steps_at_once: int
) -> Generator[ClipBatch | None, None, None]:
    """Yield the procedural samples of successive steps, without end; None for steps without any.

    Those of several steps are drawn together, since drawing takes some 3000 kernels, for one scene
    as for many. Steps are grouped by their number, wherever the stream is entered: a scene's last
    bits may depend on the scenes that it is drawn with.

    Args:
        sources: Where samples come from.
        shard: Which positions this process takes.
        first: Position at which the first step begins.
        steps_at_once: Steps whose samples are drawn together.
    """
    done = first // shard.samples_per_step % steps_at_once
    first -= done * shard.samples_per_step
    while True:
        starts = [first + step * shard.samples_per_step for step in range(steps_at_once)]
        steps = [sources.divide(shard.positions(start)).procedural for start in starts]
        indices = [index for step in steps for index in step]
        parts: list[ClipBatch | None] = [None] * steps_at_once
        if sources.procedural is not None and indices:
            batches = sources.procedural.batch(indices).split([len(step) for step in steps])
            parts = [batch if len(batch.frames) else None for batch in batches]
        yield from parts[done:]
        first, done = first + steps_at_once * shard.samples_per_step, 0


def _steps_at_once(sources: Sources, shard: BatchShard, device: torch.device) -> int:
    """Return for how many steps scenes are drawn together: few, to keep memory low.

    One on the CPU: there are no launches to save, and the first step would wait for the others'.
    """
    scenes = math.ceil(shard.batch_size * sources.procedural_share)
    if device.type == "cpu" or scenes == 0:
        return 1
    return min(max(_SCENES_AT_ONCE // scenes, 1), _STEPS_AT_ONCE)
