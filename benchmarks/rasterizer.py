"""How fast the rasteriser is: ``python benchmarks/rasterizer.py [--device cuda]``.

Prints a Markdown table of medians over the repeats, beside baselines timed in the same run on the
same scenes.

On the CPU: milliseconds per image. The baseline is ``naive_rasterizer.py``; it is fair because it
is compiled as well, computes the same image (checked here) and its gradients, and looks at no pixel
outside a Gaussian's box.

On CUDA: milliseconds per call, by events on the device with the device idle before each call, so
that what the host does counts. The baselines are gsplat, all images in one call, where it is
installed (``pip install gsplat==1.5.3``), and a loop over images with this package.
"""

from __future__ import annotations

import datetime
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import gsplat_rasterizer
import numba
import torch
from diff_gaussian_rasterization_orth import Rasterization, rasterize
from diff_gaussian_rasterization_orth.inputs import SceneInputs, validate
from naive_rasterizer import rasterize_naively
from rasterizer_scenes import HEIGHT, KINDS, WIDTH, Scene, make_batch
from torch import Tensor

from core.checks import UserError, cli_errors
from core.command_line import parse


@dataclass(frozen=True)
class Options:
    """Time the rasteriser on three kinds of scenes of 73,728 Gaussians at 288 x 512."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where the tensors are."""
    backend: Literal["auto", "reference", "cpu", "cuda"] = "auto"
    """What renders them, on the CPU."""
    times: int = 8
    """Images rendered in one call in the columns for several times, on the CPU."""
    repeats: int = 10
    """Measurements of each number, of which the median is printed."""
    baseline_repeats: int = 2
    """The same for the baselines."""

    def __post_init__(self) -> None:
        for name in ("times", "repeats", "baseline_repeats"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name.replace('_', '-')} is {getattr(self, name)}; at least 1.")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise UserError("--device is cuda, but torch sees no CUDA device here; use cpu.")


def measure(call: Callable[[], object], repeats: int, device: str) -> float:
    """Return the median time of a call in milliseconds, after some that are not counted."""
    timed = measure_on_cuda if device == "cuda" else measure_on_cpu
    for _ in range(3 if device == "cuda" else 1):
        call()
    return statistics.median(timed(call) for _ in range(repeats))


def measure_on_cpu(call: Callable[[], object]) -> float:
    """Return the time of one call in milliseconds."""
    started = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - started)


def measure_on_cuda(call: Callable[[], object]) -> float:
    """Return the time of one call in milliseconds, from an idle device to an idle device."""
    events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
    torch.cuda.synchronize()
    events[0].record()
    call()
    events[1].record()
    torch.cuda.synchronize()
    return events[0].elapsed_time(events[1])


Renderer = Callable[[Scene], Rasterization]


@dataclass(frozen=True)
class Timing:
    """What one renderer takes for one scene."""

    forward: float
    """Milliseconds a call without gradients."""
    both: float
    """Milliseconds forward and backward, with gradients of everything but times and backgrounds."""
    gib: float
    """Most memory on the device that forward and backward take at once, GiB; 0 on the CPU."""
    images: Rasterization


def time_renderer(render: Renderer, scene: Scene, repeats: int, device: str) -> Timing:
    """Time a renderer on a scene."""
    with torch.no_grad():
        forward = measure(lambda: render(scene), repeats, device)
        images = render(scene)
    fixed = ("times", "backgrounds")
    leaves = {name: value.clone() for name, value in scene.items()}
    asking = [value.requires_grad_() for name, value in leaves.items() if name not in fixed]
    v_images = [torch.randn_like(image) for image in images]

    def step() -> None:
        torch.autograd.backward(list(render(leaves)), v_images)
        for value in asking:
            value.grad = None

    if device == "cpu":
        return Timing(forward, measure(step, repeats, device), 0.0, images)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    both = measure(step, repeats, device)
    gib = (torch.cuda.max_memory_allocated() - before) / 2**30
    return Timing(forward, both, gib, images)


def render_naively(scene: Scene) -> Rasterization:
    """Render with the naive baseline."""
    arguments = dict(scene)
    backgrounds = arguments.pop("backgrounds")
    return rasterize_naively(*validate(SceneInputs(**arguments), (HEIGHT, WIDTH), backgrounds))


def renderer(backend: str) -> Renderer:
    """Return a function that renders with one backend of the package."""
    return lambda scene: rasterize(**scene, image_size=(HEIGHT, WIDTH), backend=backend)


def check_same(kind: str, found: Tensor, expected: Tensor) -> None:
    """Stop if what was timed did not compute the same.

    Single pixels may differ: by a contribution that is just above or below 1/255, or by two
    Gaussians whose depths are equal but for rounding and who change places.
    """
    error = (found - expected).abs()
    different = (error > 1e-4).double().mean().item()
    if error.mean() > 1e-5 or different > 1e-3:
        raise RuntimeError(
            f"{kind}: {different:.2%} of the values differ from the baseline's, by "
            f"{error.mean():.1e} in the mean over all"
        )


def describe_machine(device: str) -> str:
    """Return one line: date, hardware, threads and versions."""
    processor = platform.processor() or platform.machine()
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        names = [
            line for line in cpu_info.read_text().splitlines() if line.startswith("model name")
        ]
        processor = names[0].split(":")[1].strip() if names else processor
    parts = [
        datetime.date.today().isoformat(),
        f"{processor}, {torch.get_num_threads()} threads",
        f"torch {torch.__version__}, numba {numba.__version__}",
    ]
    if device == "cuda":
        parts.insert(1, torch.cuda.get_device_name())
    return "; ".join(parts)


def compare_on_cpu(options: Options) -> None:
    """Print the table of milliseconds per image."""
    many = f"{options.times} times"
    print(
        f"\nMilliseconds per image; {many}: that many images in one call; baseline: naive loop, "
        "one thread.\n"
    )
    print(f"| scene | forward | + backward | {many} | + backward | baseline | + backward | ratio |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for kind in KINDS:
        single, several = (make_batch(kind, 1, times, "cpu") for times in (1, options.times))
        base = time_renderer(render_naively, single, options.baseline_repeats, "cpu")
        one, batch = (
            time_renderer(renderer(options.backend), scene, options.repeats, "cpu")
            for scene in (single, several)
        )
        check_same(kind, one.images.rgb, base.images.rgb)
        numbers = [one.forward, one.both, batch.forward / options.times, batch.both / options.times]
        ratios = f"{base.forward / one.forward:.1f}x, {base.both / one.both:.1f}x"
        cells = " | ".join(f"{value:.1f}" for value in (*numbers, base.forward, base.both))
        print(f"| {kind} | {cells} | {ratios} |", flush=True)


def render_one_by_one(scene: Scene) -> Rasterization:
    """Render every image by a call of its own."""
    scenes, times = scene["times"].shape
    images = []
    for b in range(scenes):
        one = {name: value[b : b + 1] for name, value in scene.items() if name != "backgrounds"}
        for t in range(times):
            arguments = {**one, "times": one["times"][:, t : t + 1]}
            images.append(renderer("cuda")({**arguments, "backgrounds": scene["backgrounds"]}))
    stacked = (
        torch.cat(parts).unflatten(0, (scenes, times)) for parts in zip(*images, strict=True)
    )
    return Rasterization(*(image.squeeze(2) for image in stacked))


def compare_on_cuda(options: Options) -> None:
    """Print the table of milliseconds per call, and of memory."""
    reason = gsplat_rasterizer.unavailable_reason()
    print(
        f"\n73,728 Gaussians a scene, {HEIGHT} x {WIDTH}; milliseconds a call, forward / forward "
    )
    print("and backward; GiB: most memory that forward and backward take.")
    if reason:
        print(f"gsplat is left out: {reason}")
    print("\n| scene | B, T | ours | gsplat | ratio | loop | ratio | GiB, ours | gsplat |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for kind in ("trained-like", "init-like"):
        for num_scenes, num_times in ((1, 4), (8, 4), (16, 6)):
            scene = make_batch(kind, num_scenes, num_times, "cuda")
            ours = time_renderer(renderer("cuda"), scene, options.repeats, "cuda")
            loop = time_renderer(render_one_by_one, scene, options.baseline_repeats, "cuda")
            check_same(kind, ours.images.rgb, loop.images.rgb)
            other = None
            if not reason:
                other = time_renderer(
                    gsplat_rasterizer.render, scene, options.baseline_repeats, "cuda"
                )
                check_alike(kind, ours.images, other.images)
            cells = [
                f"{ours.forward:.2f} / {ours.both:.2f}",
                f"{other.forward:.2f} / {other.both:.2f}" if other else "",
                _ratios(other, ours),
                f"{loop.forward:.1f} / {loop.both:.1f}",
                _ratios(loop, ours),
                f"{ours.gib:.2f}",
                f"{other.gib:.2f}" if other else "",
            ]
            print(f"| {kind} | {num_scenes}, {num_times} | {' | '.join(cells)} |", flush=True)


def _ratios(base: Timing | None, ours: Timing) -> str:
    return f"{base.forward / ours.forward:.1f}x, {base.both / ours.both:.1f}x" if base else ""


def check_alike(kind: str, found: Rasterization, expected: Rasterization) -> None:
    """Stop if another renderer, which cuts its Gaussians off elsewhere, shows another scene."""
    for name, tolerance in (("rgb", 3e-3), ("depth", 6e-3), ("alpha", 3e-3)):
        error = (getattr(found, name) - getattr(expected, name)).abs().mean().item()
        if error > tolerance:
            raise RuntimeError(f"{kind}: {name} differs from gsplat's by {error:.1e} in the mean")


@cli_errors
def main() -> None:
    """Time all scenes and print the table."""
    options = parse(Options)
    print(describe_machine(options.device))
    if options.device == "cuda":
        compare_on_cuda(options)
    else:
        compare_on_cpu(options)


if __name__ == "__main__":
    main()
