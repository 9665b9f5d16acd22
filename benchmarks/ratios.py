"""Whether something became slower: ``python benchmarks/ratios.py``, without a GPU.

Each row is processor time of ours over that of a reference that does comparable work beside it, the
median of several turns: a busy or slow machine changes both. The limits are about 2.5 times what
was measured; a row beyond its limit makes the exit status 1. ``tests/benchmarks/test_ratios.py``
runs the same.

* rasteriser: the backend ``cpu`` beside the backend ``reference`` (plain PyTorch);
* key frame: a session's key frame of the embedded network, encoded and decoded, beside convolutions
  of 64 channels at a quarter of its size;
* video: :class:`core.io.video.VideoWriter` beside PyAV's encoder alone;
* help: ``splat_inference.py --help`` beside a process that imports tyro.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from statistics import median

import av
import numpy as np
import torch
import torch.nn.functional as F

from configs.options_inference import EMBEDDED_MODEL
from core.io.video import VideoWriter
from core.models import load_model
from core.rendering import render
from core.streaming import Session
from core.types import DynamicGaussians

ROOT = Path(__file__).parents[1]
_TURNS = 3
_CONVOLUTIONS = 40
Work = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One comparison."""

    name: str
    ours: Work
    reference: Work
    limit: float
    """Most that the ratio may be."""

    def ratio(self) -> float:
        """Return processor time of ours over that of the reference."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # several would spin while they wait for one another
        try:
            for work in (self.ours, self.reference):
                work()
            return median(_seconds(self.ours) / _seconds(self.reference) for _ in range(_TURNS))
        finally:
            torch.set_num_threads(threads)


def _seconds(work: Work) -> float:
    start = os.times()
    work()
    end = os.times()
    return sum(end[:4]) - sum(start[:4])  # user and system, of child processes as well


def rasterizer() -> Row:
    """The CPU backend beside the reference."""
    random = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(1, 1500, *shape, generator=random)

    scene = DynamicGaussians(
        means=draw(3) * torch.tensor([2.0, 1.0, 2.0]) - torch.tensor([1.0, 0.0, 1.0]),
        motion=0.1 * (draw(1, 3) - 0.5),
        scales=0.01 + 0.04 * draw(3),
        quats=torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(1, 1500, 4),
        colors=draw(3),
        opacities=draw(),
        opacity_slopes=draw(),
        opacity_half_lives=0.1 + 0.8 * draw(),
        anchor_times=torch.zeros(1, 1500),
    )
    times = torch.tensor([[0.0, 0.5]])

    def ours() -> None:
        for _ in range(10):
            render(scene, times, (96, 160))

    def reference() -> None:
        render(scene, times, (96, 160), backend="reference")

    return Row("rasteriser", ours, reference, 0.1)


def key_frame() -> Row:
    """A key frame beside convolutions."""
    model = load_model(EMBEDDED_MODEL)
    session = Session(model, detect_cuts=False)
    random = np.random.default_rng(0)
    height, width = session.image_size
    frames = [random.integers(0, 255, (height, width, 3), np.uint8) for _ in range(2)]
    session.push(frames[0])
    maps = torch.rand(1, 64, height // 4, width // 4)
    weights = torch.rand(64, 64, 3, 3)

    def ours() -> None:
        session.push(frames[1])

    @torch.inference_mode()
    def reference() -> None:
        for _ in range(_CONVOLUTIONS):
            F.conv2d(maps, weights, padding=1)

    return Row("key frame", ours, reference, 7)


def video() -> Row:
    """A written video beside the encoder alone."""
    random = np.random.default_rng(0)
    small = random.random((18, 32, 3))
    frames = [
        (np.kron(np.roll(small, i, axis=1), np.ones((16, 16, 1))) * 255).astype(np.uint8)
        for i in range(24)
    ]
    pictures = [
        av.VideoFrame.from_ndarray(f, format="rgb24").reformat(format="yuv420p") for f in frames
    ]
    folder = Path(tempfile.mkdtemp())

    def ours() -> None:
        with VideoWriter(folder / "ours.mp4", (288, 512), 24) as writer:
            for frame in frames:
                writer.write(frame)

    # The writer's, as it says why.
    settings = {
        "preset": "veryfast",
        "partitions": "i8x8",
        "trellis": "1",
        "aq-strength": "0.8",
        "chromaoffset": "-1",
        "crf": "16",
    }

    def reference() -> None:
        with av.open(str(folder / "reference.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=24, options=settings)
            stream.codec_context.thread_type, stream.codec_context.thread_count = "FRAME", 4
            stream.width, stream.height, stream.pix_fmt = 512, 288, "yuv420p"
            for i, picture in enumerate(pictures):
                picture.pts, picture.time_base = i, Fraction(1, 24)
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))

    return Row("video", ours, reference, 3)


def program_help() -> Row:
    """``--help`` beside the import of what reads options."""

    def ours() -> None:
        program = [sys.executable, "splat_inference.py", "--help"]
        subprocess.run(program, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)

    def reference() -> None:
        subprocess.run([sys.executable, "-c", "import tyro"], check=True)

    return Row("help", ours, reference, 6)


def main() -> None:
    """Measure and print."""
    start = time.perf_counter()
    slow = False
    print("| | ratio | limit |\n|---|---:|---:|")
    for row in (rasterizer(), key_frame(), video(), program_help()):
        ratio = row.ratio()
        slow |= ratio > row.limit
        print(f"| {row.name} | {ratio:.3f} | {row.limit:g} |", flush=True)
    print(f"{time.perf_counter() - start:.0f} s")
    sys.exit(int(slow))


if __name__ == "__main__":
    main()
