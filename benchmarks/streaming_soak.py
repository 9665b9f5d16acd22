"""Whether a session's memory stays where it is: ``python benchmarks/streaming_soak.py``.

Pushes thousands of frames, with a cut now and then, and renders each interval. On the CPU the
resident memory of the process may grow by less than 1 % after frame 500. It is read every ten
frames, after the C library has given back what it keeps of freed memory (where it is glibc): that
goes up and down by more, whatever the program holds. Means over ``--every`` frames are compared.

On a GPU the program must hold the same to the byte at every reading: what it has asked PyTorch's
allocator for and not given back. What the allocator hands out for it goes up and down by up to a
mebibyte a tensor, as larger blocks than are needed happen to be free; what it has taken of the GPU
may grow by less than 1 % as well. Exit status 1 if not.

``--size 64 128`` takes an untrained network of the same kind for smaller frames, which shows the
same in minutes.
"""

from __future__ import annotations

import ctypes
import datetime
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from configs.options_inference import EMBEDDED_MODEL
from core.checks import UserError, cli_errors
from core.command_line import parse
from core.devices import choose_device
from core.models import PRESETS, Network, build_model, load_model
from core.models.fast.acceleration import Acceleration, FastModel
from core.streaming import Session

_SETTLED = 500
"""Frame from which on nothing may grow: allocators and thread pools have what they need."""
_MOST_GROWTH = 0.01
_READ_EVERY = 10
"""Frames between two readings."""
_SHOT = 240
"""Frames between two cuts."""


@dataclass(frozen=True)
class Options:
    """Push many frames through a session and watch its memory."""

    frames: int = 10_000
    """How many."""
    every: int = 500
    """Frames over which readings of the memory are averaged, from frame 500 on."""
    size: tuple[int, int] | None = None
    """Height and width of an untrained network; by default the embedded one at its own size."""
    max_persistent: int = 0
    """Size of the pool of survivors."""
    device: str = "cpu"
    """cpu or cuda."""
    acceleration: Acceleration | None = None
    """By default graphs on CUDA, none on the CPU."""

    def __post_init__(self) -> None:
        if self.every < 100 or self.frames < _SETTLED + 2 * self.every:
            raise UserError(
                f"--frames is {self.frames} and --every {self.every}; expected at least 100 for "
                f"the second, and for the first {_SETTLED} and twice the second."
            )


def build(size: tuple[int, int] | None) -> Network:
    """Load the embedded network, or make one of its kind for smaller frames."""
    if size is None:
        return load_model(EMBEDDED_MODEL)
    torch.manual_seed(0)
    config = replace(PRESETS["tiny"], image_height=size[0], image_width=size[1])
    return build_model(config).eval()


def picture(index: int, size: tuple[int, int]) -> np.ndarray:
    """Draw frame ``index``: a texture that drifts, another one after each cut."""
    rng = np.random.default_rng(index // _SHOT)
    tint = rng.integers(0, 150, 3)
    blocks = tint + rng.integers(0, 105, (size[0] // 8, size[1] // 8, 3))
    base = blocks.astype(np.uint8).repeat(8, 0).repeat(8, 1)
    return np.ascontiguousarray(np.roll(base, 2 * index, 1))


def memory_bytes(device: torch.device) -> int:
    """Return what the program holds on a GPU, or the process of the computer's memory."""
    if device.type == "cuda":
        return torch.cuda.memory_stats(device)["requested_bytes.all.current"]
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    command = ["ps", "-o", "rss=", "-p", str(os.getpid())]
    return 1024 * int(subprocess.run(command, capture_output=True, check=True).stdout)


@cli_errors
def main() -> None:
    """Run from the command line."""
    options = parse(Options)
    device = choose_device(options.device)
    on_gpu = device.type == "cuda"
    acceleration = options.acceleration or ("graphs" if on_gpu else "none")
    model = FastModel(build(options.size).to(device), acceleration=acceleration)
    size = model.config.image_height, model.config.image_width
    windows: dict[int, list[int]] = {}
    reserved: list[int] = []
    begin = time.perf_counter()
    with Session(model, device=device, max_persistent=options.max_persistent) as session:
        for index in tqdm(range(options.frames), unit="frame", disable=None):
            for interval in session.push(picture(index, size)):
                session.render([interval.first_time, interval.second_time])
            # Some frames after a cut the state has its whole size again.
            if index >= _SETTLED and index % _READ_EVERY == 0 and index % _SHOT > 3:
                start = index - (index - _SETTLED) % options.every
                windows.setdefault(start, []).append(memory_bytes(device))
                if on_gpu:
                    reserved.append(torch.cuda.memory_reserved(device))
    seconds = time.perf_counter() - begin
    print(
        f"{datetime.date.today()}; {options.frames} frames of {size[0]} x {size[1]} on {device}, "
        f"acceleration {acceleration}, max_persistent {options.max_persistent}, "
        f"{1000 * seconds / options.frames:.0f} ms a frame"
    )
    print("\n| from frame | mean, MiB | least | most |\n|---:|---:|---:|---:|")
    for start, held in windows.items():
        values = np.array([np.mean(held), min(held), max(held)]) / 2**20
        print(f"| {start} | {values[0]:.2f} | {values[1]:.2f} | {values[2]:.2f} |")
    means = [float(np.mean(held)) for held in windows.values()]
    growth = max(means) / means[0] - 1
    print(f"\nlargest growth of the mean after frame {_SETTLED}: {100 * growth:.3f} %")
    flat = growth < _MOST_GROWTH
    if on_gpu:
        print(
            f"taken of the GPU: {reserved[0] / 2**20:.0f} MiB, at most {max(reserved) / 2**20:.0f}"
        )
        same = len({value for held in windows.values() for value in held}) == 1
        flat = same and max(reserved) < (1 + _MOST_GROWTH) * reserved[0]
    if not flat:
        sys.exit("the memory grows")


if __name__ == "__main__":
    main()
