"""Endless batches on the training device, from datasets on disk and from scenes made there."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.utils.data import Sampler

from core.data.augmentation.augment import augment
from core.data.augmentation.options import AugmentationOptions
from core.data.sampling.combination import CombinedSource, divide
from core.data.sampling.scene_clips import SceneClips
from core.data.sampling.stored_clips import StoredClips
from core.data.sampling.unreadable_files import UnreadableFiles
from core.training.feeding.workers import LoadedSamples, load_samples
from core.types import ClipBatch

_SCENES_AT_ONCE = 128
_STEPS_AT_ONCE = 4


@dataclass(frozen=True)
class Sources:
    """Where samples come from."""

    files: CombinedSource | None
    """Datasets on disk."""
    scenes: tuple[SceneClips, ...]
    """Scenes of different kinds, made on the training device; at least one where ``files`` is
    None."""
    scene_shares: tuple[float, ...]
    """Share of each kind of scenes in the samples; together 1 where ``files`` is None, less than 1
    where it is not."""
    augmentation: AugmentationOptions
    """Random changes of the samples from disk."""
    seed: int
    """Chooses these changes."""

    @property
    def samples_per_epoch(self) -> int | None:
        """Samples, those of scenes included, of one pass over the datasets; None without any."""
        if self.files is None:
            return None
        return round(self.files.num_items / self._file_share)

    @property
    def _file_share(self) -> float:
        return 0.0 if self.files is None else 1.0 - sum(self.scene_shares)

    def divide(self, positions: range) -> Division:
        """Divide positions of the stream between the sources."""
        files, *scenes = divide(positions, (self._file_share, *self.scene_shares))
        return Division(files, scenes)


class Division(NamedTuple):
    """Indices into each source."""

    files: list[int]
    """Indices of samples from disk."""
    scenes: list[list[int]]
    """Indices of scenes of each kind."""


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
        parts += [drawn.to(device) for drawn in next(scenes)]
        yield ClipBatch.cat(parts)
        first += shard.samples_per_step


def stream_scenes(
    sources: Sources, shard: BatchShard, *, first: int, steps_at_once: int
) -> Generator[list[ClipBatch], None, None]:
    """Yield the scenes of successive steps, kind by kind, without end.

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
        divisions = [sources.divide(shard.positions(start)).scenes for start in starts]
        drawn: list[list[ClipBatch]] = [[] for _ in starts]
        for kind, scenes in enumerate(sources.scenes):
            steps = [division[kind] for division in divisions]
            indices = [index for step in steps for index in step]
            if indices:
                batches = scenes.batch(indices).split([len(step) for step in steps])
                for step, batch in zip(drawn, batches, strict=True):
                    step += [batch] if len(batch.frames) else []
        yield from drawn[done:]
        first, done = first + steps_at_once * shard.samples_per_step, 0


def _steps_at_once(sources: Sources, shard: BatchShard, device: torch.device) -> int:
    """Return for how many steps scenes are drawn together: few, to keep memory low.

    One on the CPU: there are no launches to save, and the first step would wait for the others'.
    """
    scenes = math.ceil(shard.batch_size * sum(sources.scene_shares))
    if device.type == "cpu" or scenes == 0:
        return 1
    return min(max(_SCENES_AT_ONCE // scenes, 1), _STEPS_AT_ONCE)
