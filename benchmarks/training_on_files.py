"""Training steps that readers feed from files, and how long they wait for them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from texture_datasets import SIZES, write_chunks, write_files
from tqdm import tqdm
from training_steps import counted, synchronize

from core.data.procedural import ProceduralOptions
from core.training import DataOptions
from core.training.feeding.batches import BatchShard, stream_batches
from core.training.feeding.options import DatasetOptions
from core.training.feeding.prefetch import Prefetcher
from core.training.feeding.sources import open_sources
from core.training.loop import Trainer
from core.training.stages.stage import Stage

LAYOUTS = ("davis", "vos", "co3d", "re10k")


@dataclass(frozen=True)
class FedTiming:
    """What steps on samples from files took."""

    seconds: float
    """A step."""
    waiting: float
    """Seconds of it in which the step waited for its data."""


def write_datasets(accelerator: Accelerator, folder: Path) -> tuple[DatasetOptions, ...]:
    """Write small datasets of large frames in the main process; return where they are."""
    shared = [folder]
    broadcast_object_list(shared)
    if accelerator.is_main_process:
        for name in tqdm(LAYOUTS, desc="writing datasets", leave=False, disable=None):
            if name == "re10k":
                write_chunks(folder / name, 4, 48, SIZES[name][0])
            else:
                write_files(name, folder / name)
    accelerator.wait_for_everyone()
    return tuple(DatasetOptions(name=name, path=shared[0] / name) for name in LAYOUTS)


def mix(datasets: tuple[DatasetOptions, ...], procedural_share: float, workers: int) -> DataOptions:
    """Return data of which every frame is decoded anew, with procedural scenes among it."""
    return DataOptions(
        datasets=datasets,
        cache_mib=0,
        workers=workers,
        procedural=ProceduralOptions() if procedural_share else None,
        procedural_share=procedural_share or 0.5,
    )


def time_steps_on_files(
    accelerator: Accelerator,
    trainer: Trainer,
    stage: Stage,
    data: DataOptions,
    *,
    batch_size: int,
    warmup: int,
    steps: int,
) -> FedTiming:
    """Take steps on samples that readers bring from files."""
    device = accelerator.device
    sources = open_sources(data, stage, seed=0, device=device)
    shard = BatchShard(batch_size, accelerator.process_index, accelerator.num_processes)
    feed = Prefetcher(
        stream_batches(sources, shard, first=0, workers=data.workers, device=device), device
    )
    try:
        feed.start()
        for _ in range(warmup):
            trainer.train_step(feed.next())
        synchronize(device)
        started, waited = time.perf_counter(), 0.0
        for _ in counted(steps, f"{stage.name}: from files"):
            batch = feed.next()
            waited += feed.waited
            trainer.train_step(batch)
        synchronize(device)
        seconds = time.perf_counter() - started
    finally:
        feed.close()
    return FedTiming(seconds / steps, waited / steps)
