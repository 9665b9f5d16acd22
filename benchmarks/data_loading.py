"""How fast samples are read, and in how much memory: ``python benchmarks/data_loading.py``.

Writes datasets of random textures at the sizes of the real ones into a temporary folder, and prints
Markdown tables of

- samples a second that a DataLoader of 1 and of 2 workers delivers (6 frames with mask and depth,
  288 x 512), ours beside the plain way on the same files: Pillow decodes every frame, torchvision
  resizes it, and passes floating-point numbers on. Chunks of RealEstate10K are in the plain way's
  memory before the clock starts.
- resident memory of a process that draws samples from a RealEstate10K split of 20 chunks, beside
  one that loads them all.
"""

from __future__ import annotations

import gc
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from plain_loading import NUM_FRAMES, SIZE, PlainDataset, load_plain_chunks
from texture_datasets import QUALITY, SIZES, Texture, jpeg, write_chunks, write_files
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from core.checks import cli_errors
from core.command_line import parse
from core.data.datasets import open_dataset
from core.data.datasets.index import IndexCache
from core.data.datasets.re10k import RealEstate10K
from core.data.sampling.sequence_source import SequenceSource
from core.data.sampling.stored_clips import StoredClips

BATCH = 2


@dataclass(frozen=True)
class Options:
    """Measure how fast samples are read from datasets, and in how much memory."""

    datasets: tuple[Literal["davis", "vos", "co3d", "re10k"], ...] = (
        *("davis", "vos", "co3d", "re10k"),
    )
    """Which ones."""
    samples: int = 24
    """Samples that are timed at a time."""
    rounds: int = 5
    """Times that each of the two ways is timed, in turn; the tables show medians."""
    workers: tuple[int, ...] = (1, 2)
    """Numbers of workers."""
    memory_chunks: int = 20
    """Chunks of the split whose memory is measured; 0 leaves that out."""
    chunk_mib: int = 30
    """Size of each."""


class OurDataset(Dataset[StoredClips]):
    """Samples of a source, by position."""

    def __init__(self, source: SequenceSource) -> None:
        self._source = source

    def __getitem__(self, index: int) -> StoredClips:
        return self._source.sample(index).clips


def measure_rate(dataset: Dataset[Any], collate: Any, workers: int, samples: int) -> float:
    """Return samples a second that a DataLoader delivers, its start not counted."""
    loader = DataLoader(
        dataset,
        batch_size=BATCH,
        sampler=range(samples + BATCH * 2 * workers),
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_start_worker,
    )
    batches = iter(loader)
    for _ in range(workers):
        next(batches)
    started, taken = time.perf_counter(), 0
    while taken < samples:
        next(batches)
        taken += BATCH
    return taken / (time.perf_counter() - started)


def _start_worker(_worker: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def measure_speed(options: Options, folder: Path) -> None:
    """Print the table of samples a second."""
    print("\n| dataset | stored | KB a JPEG | workers | plain | ours | ratio |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for name in options.datasets:
        root = folder / name
        if name == "re10k":
            write_chunks(root, 4, 48, SIZES["re10k"][0])
            plain = load_plain_chunks(root)
        else:
            plain = write_files(name, root)
        sequences = open_dataset(name, root, cache_folder=folder / "cache")
        source = SequenceSource(sequences, SIZE, num_frames=NUM_FRAMES, seed=0, reverse=True)
        size = np.mean([frame.jpeg_bytes for frames in plain for frame in frames]) / 1000
        stored = ", ".join(f"{h} x {w}" for h, w in SIZES[name])
        theirs = PlainDataset(plain, sequences.reach)
        for workers in options.workers:
            rates = np.array(
                [
                    (
                        measure_rate(theirs, None, workers, options.samples),
                        measure_rate(OurDataset(source), _collate, workers, options.samples),
                    )
                    for _ in range(options.rounds)
                ]
            )
            slow, fast = np.median(rates, axis=0)
            ratio = np.median(rates[:, 1] / rates[:, 0])
            print(
                f"| {name} | {stored} | {size:.0f} | {workers} | {slow:.2f} | {fast:.2f} "
                f"| {ratio:.1f}x |",
                flush=True,
            )


def _collate(clips: list[StoredClips]) -> tuple[Tensor, ...]:
    stacked = StoredClips.cat(clips)
    return stacked.frames, stacked.inverse_depths, stacked.masks, stacked.times


def measure_memory(options: Options, folder: Path) -> None:
    """Print the table of resident memory."""
    root = folder / "many"
    height, width = SIZES["re10k"][0]
    size = len(jpeg(Texture(height, width, 0).image(0), QUALITY["re10k"]))
    frames = options.chunk_mib * 2**20 // size // 2
    write_chunks(root, options.memory_chunks, frames, (height // 4, width // 4))
    chunks = list((root / "train").glob("*.torch"))
    total = sum(chunk.stat().st_size for chunk in chunks) / 2**20
    print(
        f"\n{len(chunks)} chunks of {total / len(chunks):.0f} MiB, {total:.0f} MiB in all; "
        f"{20 * len(chunks)} samples; MiB above what the process held before.\n"
    )
    print("| way | open chunks, at most | resident at most | at the end | of it not shared |")
    print("|---|---:|---:|---:|---:|")
    for budget in (256, 128, None):  # MiB; None loads everything
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe()
        process = context.Process(
            target=_watch_memory, args=(root, budget, 20 * len(chunks), sender)
        )
        process.start()
        sender.close()  # so that waiting ends if the process does
        most, last, private = receiver.recv()
        process.join()
        way = "all chunks loaded" if budget is None else "ours"
        limit = f"{total:.0f}" if budget is None else str(budget)
        print(f"| {way} | {limit} | {most:.0f} | {last:.0f} | {private:.0f} |", flush=True)


def _watch_memory(root: Path, budget: int | None, samples: int, pipe: Any) -> None:
    """Draw samples and report MiB of resident memory: the most, the last, that of our own."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    before = _resident()
    draw: Callable[[int], object]
    if budget is None:
        draw = PlainDataset(load_plain_chunks(root), 15).__getitem__
    else:
        cache = IndexCache(f"re10k-{budget}", root, root / "cache")
        sequences = RealEstate10K(root, "train", cache, chunk_cache_mib=budget)
        draw = SequenceSource(sequences, SIZE, num_frames=NUM_FRAMES, seed=0, reverse=True).sample
    most = 0.0
    for index in range(samples):
        draw(index)
        most = max(most, _resident()[0] - before[0])
    gc.collect()
    last = _resident()
    pipe.send((most, last[0] - before[0], last[1] - before[1]))


def _resident() -> tuple[float, float]:
    """Return MiB of resident memory, and of that what no file backs."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return tuple(float(fields[key].split()[0]) / 1024 for key in ("VmRSS", "RssAnon"))  # type: ignore[return-value]


@cli_errors
def main() -> None:
    """Measure and print."""
    options = parse(Options)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as folder:
        measure_speed(options, Path(folder))
        if options.memory_chunks:
            measure_memory(options, Path(folder))


if __name__ == "__main__":
    main()
