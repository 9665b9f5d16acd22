"""What a whole clip takes, by part: ``python benchmarks/clip.py [--device cuda] [--baseline DIR]``.

Runs ``splat_inference.py`` of this checkout, and of another one if given, on a synthetic clip, in
turn, each in a process of its own. Times are of the wall clock from the first rendered frame to the
end of the program, per frame; what comes before is the start-up. A part is time spent in one of the
project's functions without those of other parts; all parts of a thread, and what it waits for
others, add up; of other processes only the processor time is shown. In the main thread on CUDA it
is the host's time only: the device works on. Beside it stands how long the thread itself computed:
the rest of a part is waiting, for the device, other threads of Python or a core.

The share that a thread waits is what its parts leave of the time: of a decoder or encoder the time
in which there is nothing to do.
"""

from __future__ import annotations

import datetime
import functools
import importlib
import json
import os
import platform
import resource
import runpy
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RASTERIZER = "submodules/diff-gaussian-rasterization-orth/src"

# Part, module, class, method. What a checkout does not have is left out.
PARTS = (
    ("device", "core.devices", "", "choose_device"),
    ("rasteriser", "core.rendering.device", "", "check_rasterizer"),
    ("weights", "core.models", "", "load_model"),
    ("first recordings", "core.recording", "_Recording", "__init__"),
    ("network on its device", "core.models.network", "Network", "to"),
    ("decode", "core.io.video.source", "VideoSource", "_decode"),
    ("wait for a frame", "core.io.frame_source", "FrameSource", "__iter__"),
    ("networks", "core.streaming.session", "Session", "push"),
    ("networks", "core.streaming.session", "Session", "end_shot"),
    ("render", "core.streaming.session", "Session", "render_interval"),
    ("render", "core.streaming.session", "Session", "start_interval"),
    ("pictures", "core.outputs.sinks.frames", "FramesSink", "write"),
    ("orbit", "core.outputs.sinks.frames", "OrbitSink", "write"),
    ("orbit", "core.outputs.sinks.frames", "OrbitSink", "finish"),
    ("overview", "core.outputs.sinks.frames", "OverviewSink", "finish"),
    ("metrics", "core.outputs.sinks.metrics", "MetricsSink", "write"),
    ("scene", "core.outputs.sinks.scene", "SceneSink", "write"),
    ("PLY", "core.outputs.sinks.ply", "PlySink", "_write"),
    ("encode scene", "core.outputs.sinks.scene", "SceneSink", "_append"),
    ("encode {path.stem}", "core.io.video.encoding", "VideoWriter", "write"),
    ("end of {path.stem}", "core.io.video.encoding", "VideoWriter", "__exit__"),
    ("send scene", "core.scene_file.writer_beside", "SceneWriterBeside", "put"),
    ("end of scene", "core.outputs.sinks.scene", "SceneSink", "finish"),
    ("send {path.stem}", "core.io.video.encoding_beside", "VideoBeside", "write_all"),
    ("end of {path.stem}", "core.io.video.encoding_beside", "VideoBeside", "__exit__"),
    ("start of processes", "core.io.processes.beside", "Beside", "__enter__"),
    ("plot", "core.outputs.clip_outputs", "", "plot_psnr"),
    ("plot", "core.outputs.clip_sinks", "", "plot_psnr"),
    ("player", "core.outputs.clip_outputs", "", "_try_player"),
    ("player", "core.outputs.clip_sinks", "", "_try_player"),
    ("page", "core.outputs.clip_outputs", "", "write_page"),
    ("wait for an encoder", "core.io.background", "Worker", "_leave"),
    ("wait for the device", "core.devices", "Download", "result"),
)
_LEAST_SHARE = 0.003
"""Of the time, below which a part is not shown."""


@dataclass(frozen=True)
class Options:
    """Time the whole of splat_inference.py on a synthetic clip."""

    device: str = "auto"
    """cpu, cuda or auto."""
    frames: int = 48
    """Frames of the clip."""
    size: tuple[int, int] = (720, 1280)
    """Height and width of the clip."""
    baseline: Path | None = None
    """Another checkout of the project."""
    rounds: int = 1
    """How often each runs; the fastest one counts."""
    bare: bool = False
    """Run each without orbit and metrics, too."""


class Clock:
    """Collects the time of parts by thread, each without the parts inside it."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, defaultdict[str, tuple[float, float]]]
        """By thread and part: of the clock, and of it computing."""
        self.seconds = defaultdict(lambda: defaultdict(lambda: (0.0, 0.0)))
        self.first_frame: float | None = None
        self.start_up: dict[str, float] = {}
        self._own = threading.local()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time a block."""
        inside: list[tuple[float, float]] = self._own.__dict__.setdefault("inside", [])
        inside.append((0.0, 0.0))
        start = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            whole = time.perf_counter() - start[0], time.thread_time() - start[1]
            others, parts = inside.pop(), self.seconds[threading.current_thread().name]
            parts[name] = _sum(parts[name], (whole[0] - others[0], whole[1] - others[1]))
            if inside:
                inside[-1] = _sum(inside[-1], whole)

    def start(self) -> None:
        """Put what came before the first frame apart."""
        if self.first_frame is None:
            self.first_frame = time.time()
            self.start_up = {name: wall for name, (wall, _) in self.seconds["MainThread"].items()}
            self.seconds.clear()


def _sum(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    return a[0] + b[0], a[1] + b[1]


def _timed(clock: Clock, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def timed(*arguments: Any, **options: Any) -> Any:
        if part == "pictures":
            clock.start()
        name = part.format(path=getattr(arguments[0], "path", None)) if arguments else part
        with clock.part(name):
            result = function(*arguments, **options)
        if not isinstance(result, Iterator):
            return result
        return _timed_items(clock, name, result)

    return timed


def _timed_items(clock: Clock, name: str, items: Iterator[Any]) -> Iterator[Any]:
    end = object()
    try:
        while True:
            with clock.part(name):
                item = next(items, end)
            if item is end:
                return
            yield item
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()


def measure(result: Path, bare: bool) -> None:
    """Run ``splat_inference.py`` of the current folder with its parts timed; in a child process."""
    clock = Clock()
    for part, module, kind, name in PARTS:
        with suppress(ImportError, AttributeError):
            owner = importlib.import_module(module)
            owner = getattr(owner, kind) if kind else owner
            setattr(owner, name, _timed(clock, part, getattr(owner, name)))
    if bare:
        metrics = importlib.import_module("core.outputs.sinks.metrics")
        setattr(metrics, "compare", _no_scores)  # noqa: B010 (a name that type checkers know not)
    sys.argv = ["splat_inference.py", *sys.argv[1:]]
    with suppress(SystemExit):
        runpy.run_path("splat_inference.py", run_name="__main__")
    assert clock.first_frame is not None, "not one frame came"
    usage = resource.getrusage(resource.RUSAGE_SELF)
    beside = resource.getrusage(resource.RUSAGE_CHILDREN)
    measured = {
        "start": clock.first_frame - float(os.environ["CLIP_BENCHMARK_START"]),
        "seconds": time.time() - clock.first_frame,
        "processor": usage.ru_utime + usage.ru_stime,
        "processor_beside": beside.ru_utime + beside.ru_stime,
        "mib": usage.ru_maxrss / 1024,
        "parts": clock.seconds,
        "start_up": clock.start_up,
    }
    result.write_text(json.dumps(measured))


def _no_scores(images: Any, targets: Any, size: Any = None) -> Any:
    from core.metrics import Similarity

    zeros = images.new_zeros(len(images))
    return Similarity(zeros, zeros)


def make_clip(path: Path, frames: int, size: tuple[int, int]) -> None:
    """Write a clip: a smooth texture that a camera pans over, and discs that move in front."""
    import cv2
    import numpy as np

    from core.io.video import VideoWriter

    height, width = size
    random = np.random.default_rng(0)
    texture = np.zeros((height + 64, width + 4 * frames, 3), np.float32)
    rows, columns = texture.shape[:2]
    for cell in (4, 16, 64):
        grid = random.random((rows // cell, columns // cell, 3), np.float32)
        texture += cell * cv2.resize(grid, (columns, rows), interpolation=cv2.INTER_CUBIC)
    low, high = texture.min(), texture.max()
    picture = ((texture - low) / (high - low) * 255).astype(np.uint8)
    with VideoWriter(path, size, 24) as writer:
        for index in range(frames):
            image = picture[32 : 32 + height, 4 * index : 4 * index + width].copy()
            for i in range(5):
                x = (width * (i + 1) // 6 + (5 + 3 * i) * index) % width
                color = (40 * i, 200 - 30 * i, 90 + 30 * i)
                cv2.circle(image, (x, height * (i + 1) // 6), height // 12, color, -1)
            writer.write(image)


def run(
    checkout: Path, clip: Path, folder: Path, *, device: str, bare: bool = False
) -> dict[str, Any]:
    """Measure one run of a checkout; see :func:`measure` for what it returns."""
    result = folder / "result.json"
    paths = [str(checkout), str(checkout / RASTERIZER), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "CLIP_BENCHMARK_START": repr(time.time()),
    }
    # Depth from motion would come on top, on the CPU: docs/depth.md.
    arguments = ["--input_frames_path", clip, "--output_dir", folder / "out", "--depth", "none"]
    arguments += ["--device", device, *(["--orbit_frames", "0"] if bare else [])]
    child = [sys.executable, Path(__file__).resolve(), "--measure", result, str(bare)]
    subprocess.run([*child, *arguments], cwd=checkout, env=environment, check=True)
    scores = json.loads((folder / "out" / "metrics.json").read_text())["mean"]["all"]
    return {**json.loads(result.read_text()), "psnr": scores["native"]["psnr"]}


def _table(name: str, measured: dict[str, Any], frames: int) -> None:
    seconds = measured["seconds"]
    print(f"\n{name}: milliseconds a frame\n\n| thread | part | ms | share | computing |")
    print("|---|---|---:|---:|---:|")
    threads: dict[str, dict[str, tuple[float, float]]] = measured["parts"]
    busy = {thread: sum(wall for wall, _ in parts.values()) for thread, parts in threads.items()}
    for thread in sorted(threads, key=lambda thread: -busy[thread]):
        waits = "the rest" if thread == "MainThread" else "waits"
        spent = {**threads[thread], waits: (seconds - busy[thread], 0.0)}
        for part, (wall, computing) in sorted(spent.items(), key=lambda item: -item[1][0]):
            share = wall / seconds
            if share > _LEAST_SHARE:
                print(
                    f"| {thread} | {part} | {1000 * wall / frames:.2f} | {share:.0%} "
                    f"| {1000 * computing / frames:.2f} |"
                )


def main(options: Options) -> None:
    """Measure and print."""
    checkouts = {"this version": ROOT}
    if options.baseline is not None:
        checkouts = {"baseline": options.baseline.resolve(), **checkouts}
    kinds = (False, True) if options.bare else (False,)
    best: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clip = folder / "clip.mp4"
        make_clip(clip, options.frames, options.size)
        for bare, _, (name, checkout) in product(kinds, range(options.rounds), checkouts.items()):
            row = f"{name}, bare" if bare else name
            measured = run(checkout, clip, folder, device=options.device, bare=bare)
            if row not in best or measured["seconds"] < best[row]["seconds"]:
                best[row] = measured
    print(f"{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores, {options}")
    print(
        "\n| | ms a frame | ratio | start-up, s | processor, s | of others, s | memory, MiB "
        "| PSNR, dB |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    baseline = next(iter(best.values()))["seconds"]
    for name, measured in best.items():
        seconds = measured["seconds"]
        print(
            f"| {name} | {1000 * seconds / options.frames:.1f} | {baseline / seconds:.2f}x "
            f"| {measured['start']:.1f} | {measured['processor']:.1f} "
            f"| {measured['processor_beside']:.1f} | {measured['mib']:.0f} "
            f"| {measured['psnr']:.3f} |"
        )
    for name, measured in best.items():
        _table(name, measured, options.frames)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        result, bare = Path(sys.argv[2]), sys.argv[3] == "True"
        del sys.argv[1:4]
        measure(result, bare)
    else:
        from core.command_line import parse

        main(parse(Options))
