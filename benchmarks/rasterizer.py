"""How fast the rasteriser is: ``python benchmarks/rasterizer.py [--device cuda] [--backend cuda]``.

Prints a Markdown table of milliseconds per image, medians over the repeats, beside a baseline
timed in the same run on the same scenes. On the CPU the baseline is ``naive_rasterizer.py``; it is
fair because it is compiled as well, computes the same image (checked here) and its gradients,
and looks at no pixel outside a Gaussian's box. On CUDA the baseline is the package's cpu backend on
all cores of the same machine, copies not counted.
"""

from __future__ import annotations

import datetime
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numba
import torch
import tyro
from diff_gaussian_rasterization_orth import Rasterization, rasterize
from diff_gaussian_rasterization_orth.inputs import SceneInputs, validate
from naive_rasterizer import rasterize_naively
from torch import Tensor

from core.checks import UserError, cli_errors

HEIGHT, WIDTH = 288, 512
GRID = (144, 256)
NUM_GAUSSIANS = 2 * GRID[0] * GRID[1]
Scene = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """Time the rasteriser on three kinds of scenes of 73,728 Gaussians at 288 x 512."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where the tensors are."""
    backend: Literal["auto", "reference", "cpu", "cuda"] = "auto"
    """What renders them."""
    times: int = 8
    """Images rendered in one call in the columns for several times."""
    repeats: int = 10
    """Measurements of each number, of which the median is printed."""
    baseline_repeats: int = 2
    """The same for the baseline."""

    def __post_init__(self) -> None:
        for name in ("times", "repeats", "baseline_repeats"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name.replace('_', '-')} is {getattr(self, name)}; at least 1.")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise UserError("--device is cuda, but torch sees no CUDA device here; use cpu.")


def make_scene(kind: str, num_times: int, generator: torch.Generator) -> Scene:
    """Draw one scene.

    Args:
        kind: ``"target"``: Gaussians of 1.5 to 3 pixels anywhere; ``"trained-like"``: two pixel
            grids, small scales, opaque, smooth depth; ``"init-like"``: the same grids as an
            untrained network gives them, every Gaussian some 18 by 10 pixels large.
        num_times: Number of times, evenly from 0 to 1.
        generator: Source of randomness.
    """
    n = NUM_GAUSSIANS

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator)

    if kind == "target":
        means = torch.stack([uniform(n, low=-1), uniform(n), uniform(n, low=-1)], dim=-1)
        pixels = uniform(n, 3, low=1.5, high=3.0)
        scales = pixels * torch.tensor([2 / WIDTH, 1 / WIDTH + 1 / HEIGHT, 2 / HEIGHT])
        opacities = uniform(n, low=0.3)
    else:
        means = _grid_means(generator)
        if kind == "trained-like":
            scales, opacities = uniform(n, 3, low=0.003, high=0.012), uniform(n, low=0.3)
        else:
            noise = 0.3 * torch.randn(n, 3, generator=generator)
            scales = 0.1 * torch.nn.functional.softplus(noise)
            opacities = torch.full((n,), 0.5)
    motion_size = torch.tensor([0.02, 0.005, 0.02])
    scene = {
        "means": means,
        "motion": motion_size * torch.randn(n, 1, 3, generator=generator),
        "scales": scales,
        "quats": torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(n, 1),
        "colors": uniform(n, 3),
        "opacities": opacities,
        "opacity_slopes": uniform(n, high=4.0),
        "opacity_half_lives": uniform(n, low=0.3, high=0.7),
        "anchor_times": torch.arange(2).repeat_interleave(n // 2).float(),
        "times": torch.linspace(0, 1, num_times) if num_times > 1 else torch.tensor([0.5]),
    }
    batch = {name: value[None] for name, value in scene.items()}
    return {**batch, "backgrounds": torch.full((3,), 0.5)}


def _grid_means(generator: torch.Generator) -> Tensor:
    """Return the pixel centres of two key frames over a smooth, noisy inverse depth."""
    z, x = torch.meshgrid(
        1 - (2 * torch.arange(GRID[0]) + 1) / GRID[0],
        (2 * torch.arange(GRID[1]) + 1) / GRID[1] - 1,
        indexing="ij",
    )
    inverse_depth = 0.5 + 0.3 * torch.sin(3 * x) * torch.cos(2 * z)
    frames = torch.stack([x, inverse_depth, z], dim=-1).reshape(-1, 3).repeat(2, 1)
    frames[:, 1] += 0.01 * torch.randn(len(frames), generator=generator)
    return frames


def measure(call: Callable[[], object], repeats: int, device: str) -> float:
    """Return the median time of a call in milliseconds, after one that is not counted."""
    seconds = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return 1e3 * statistics.median(seconds[1:])


Renderer = Callable[[Scene], Rasterization]


def time_renderer(
    render: Renderer, scene: Scene, repeats: int, device: str
) -> tuple[float, float, Rasterization]:
    """Return milliseconds forward, milliseconds forward and backward, and the images."""
    with torch.no_grad():
        forward = measure(lambda: render(scene), repeats, device)
        images = render(scene)
    leaves = {name: value.clone().requires_grad_() for name, value in scene.items()}

    def step() -> None:
        for value in leaves.values():
            value.grad = None
        rendered = render(leaves)
        (rendered.rgb.square().mean() + rendered.depth.mean() + rendered.alpha.mean()).backward()

    return forward, measure(step, repeats, device), images


def render_naively(scene: Scene) -> Rasterization:
    """Render with the naive baseline."""
    arguments = {**scene, "quat_rates": None}
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


@cli_errors
def main() -> None:
    """Time all scenes and print the table."""
    options = tyro.cli(Options)
    on_cuda = options.device == "cuda"
    baseline = renderer("cpu") if on_cuda else render_naively
    name = "cpu backend, same machine" if on_cuda else "naive loop, one thread"
    print(describe_machine(options.device))
    many = f"{options.times} times"
    print(f"\nMilliseconds per image; {many}: that many images in one call; baseline: {name}.\n")
    print(f"| scene | forward | + backward | {many} | + backward | baseline | + backward | ratio |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for kind in ("target", "trained-like", "init-like"):
        single, several = (
            make_scene(kind, num_times, torch.Generator().manual_seed(0))
            for num_times in (1, options.times)
        )
        base = time_renderer(baseline, single, options.baseline_repeats, "cpu")
        one, batch = (
            time_renderer(
                renderer(options.backend),
                {key: value.to(options.device) for key, value in scene.items()},
                options.repeats,
                options.device,
            )
            for scene in (single, several)
        )
        check_same(kind, one[2].rgb.cpu(), base[2].rgb)
        numbers = [*one[:2], *(value / options.times for value in batch[:2]), *base[:2]]
        ratios = f"{base[0] / one[0]:.1f}x, {base[1] / one[1]:.1f}x"
        cells = " | ".join(f"{value:.1f}" for value in numbers)
        print(f"| {kind} | {cells} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
