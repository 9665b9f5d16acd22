"""How small scene files are, and what they lose: ``python benchmarks/scene_file.py``.

Reconstructs clips with a network, writes their scene files with steps of quantisation that are 1,
2, 4 and 8 times those of the grade ``fine`` (4 times is ``small``), reads them back and renders
every frame. A second set of rows has *lively* attributes in place of those that the embedded
network hardly uses: smooth fields with white noise for centres, scales, opacities, rotations about
the view axis, windows, and the motion of two regions.

Columns, means over clips:

* bytes: of the file, for each Gaussian of a key frame, both of its intervals included.
* PSNR: between the pictures of what was read and of what was written, dB; all frames of the clip.
* loss: PSNR against the input frames, before less after, dB. Of lively attributes, which resemble
  no input, that of a reconstruction of 35 dB.
* write, read: milliseconds of one core a key frame.
"""

from __future__ import annotations

import datetime
import math
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
import tyro
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from configs.options_inference import EMBEDDED_MODEL
from core.checks import UserError, cli_errors
from core.command_line import parse
from core.depth.source import open_depth
from core.geometry.canonical import pixel_centers
from core.io.frames import open_frames
from core.logging import configure_logging
from core.models import load_model
from core.scene_file import GRADES, Grade, SceneHeader, SceneWriter, grid_of, open_scene
from core.streaming import Interval, Session, StoredScene, render_interval
from core.streaming.reconstruct import ClipReconstructor
from core.types import DynamicGaussians

DEMO_CLIP = EMBEDDED_MODEL.parent / "demo_clip" / "clip.mp4"
FACTORS = (1, 2, 4, 8)
_TYPICAL_PSNR = 35.0


@dataclass(frozen=True)
class Options:
    """Measure bytes, loss and speed of scene files."""

    clips: tyro.conf.Positional[tuple[Path, ...]] = (DEMO_CLIP,)
    """Folders of frames, or videos. Depth is used where a folder named depth lies beside a clip."""
    resume: str = str(EMBEDDED_MODEL)
    """Weights: a file, a folder or a hub id."""
    frame_gap: int = 3
    """Distance between key frames."""
    key_frames: int = 7
    """Key frames of a clip that are taken at most, at least 2."""

    def __post_init__(self) -> None:
        if self.frame_gap < 1 or self.key_frames < 2:
            raise UserError("give at least 1 for --frame_gap and at least 2 for --key_frames.")


@dataclass(frozen=True)
class Row:
    """What one file measures."""

    bytes: float
    psnr: float
    loss: float
    write_ms: float
    read_ms: float


def clip_intervals(path: Path, options: Options) -> tuple[Interval, ...]:
    """Reconstruct a clip."""
    source, device = open_frames(path, on_error="raise"), torch.device("cpu")
    maps = path.parent / "depth"
    depth = open_depth(maps if maps.is_dir() else None, source, device, Path("checkpoints"))
    model = load_model(options.resume)
    with Session(model, frame_gap=options.frame_gap) as session:
        count = options.frame_gap * (options.key_frames - 1) + 1
        return tuple(ClipReconstructor(session, depth, count).intervals(source))


def lively(intervals: tuple[Interval, ...], size: tuple[int, int]) -> tuple[Interval, ...]:
    """Replace attributes by fields that vary; colours and depth stay."""
    random = torch.Generator().manual_seed(0)
    made: list[Interval] = []
    for interval in intervals:
        count = interval.num_first
        grid = grid_of(count, size)
        halves = [
            interval.gaussians.select(slice(i * count, (i + 1) * count), dim=1)
            for i in range(1 if interval.is_static else 2)
        ]
        shapes = [_with_shape(half, grid, random) for half in halves]
        ended = None
        if not interval.opens:
            before = made[-1].gaussians
            shapes[0] = replace(
                before.select(slice(count, 2 * count), dim=1),
                anchor_times=halves[0].anchor_times,
            )
            ended = before.select(slice(count), dim=1)
        if not interval.is_static:
            shapes = [_with_dynamics(shape, grid, random) for shape in shapes]
        gaussians = DynamicGaussians.cat(shapes, dim=1)
        made.append(replace(interval, gaussians=gaussians, ended=ended))
    return tuple(made)


def _field(
    grid: tuple[int, int], channels: int, cells: int, noise: float, random: torch.Generator
) -> Float[Tensor, "1 n c"]:
    """Draw a field of deviation 1 that varies over ``cells`` cells, with white noise."""
    coarse = [max(2, side // cells) for side in grid]
    smooth = F.interpolate(
        torch.randn(1, channels, *coarse, generator=random), grid, mode="bicubic"
    )
    return rearrange(
        smooth + noise * torch.randn(smooth.shape, generator=random), "1 c h w -> 1 (h w) c"
    )


def _with_shape(
    gaussians: DynamicGaussians, grid: tuple[int, int], random: torch.Generator
) -> DynamicGaussians:
    x, z = (plane.flatten() for plane in pixel_centers(*grid))
    offset = (0.3 * _field(grid, 3, 6, 0.2, random)).clamp(-1, 1)[0]
    depth = (gaussians.means[0, :, 1] + 0.02 * offset[:, 1]).clamp(0.001, 0.999)
    means = torch.stack([x + offset[:, 0] / grid[1], depth, z + offset[:, 2] / grid[0]], dim=-1)
    factor = (0.25 * _field(grid, 2, 10, 0.15, random)).exp()
    sx, sz = (gaussians.scales[..., [0, 2]] * factor).unbind(-1)
    half = 0.5 * _field(grid, 1, 12, 0.05, random)[..., 0]
    return replace(
        gaussians,
        means=means[None],
        scales=torch.stack([sx, (sx + sz) / 2, sz], dim=-1),
        quats=torch.stack([half.cos(), 0 * half, half.sin(), 0 * half], dim=-1),
        opacities=0.05 + 0.95 * (2 + _field(grid, 1, 8, 0.2, random)[..., 0]).sigmoid(),
    )


def _with_dynamics(
    gaussians: DynamicGaussians, grid: tuple[int, int], random: torch.Generator
) -> DynamicGaussians:
    """Move two regions by up to a tenth of the picture, with a noise of an eighth of a pixel."""
    region = (_field(grid, 1, 36, 0.0, random) > 0.3).float()
    motion = region * torch.tensor([0.08, 0.02, -0.03])
    motion = motion + torch.tensor([0.04, 0.01, 0.01]) * _field(grid, 3, 60, 0.0, random)
    motion = motion + torch.tensor([5e-4, 6e-4, 5e-4]) * _field(grid, 3, 2, 1.0, random)
    windows = _field(grid, 2, 9, 0.1, random)
    return replace(
        gaussians,
        motion=motion[:, :, None] * (1 - 2 * gaussians.anchor_times[..., None, None]),
        opacity_slopes=(6 + 4 * windows[..., 0]).relu(),
        opacity_half_lives=(0.5 * windows[..., 1]).sigmoid(),
    )


@torch.inference_mode()
def pictures(intervals: Iterator[Interval], frames: tuple[Interval, ...]) -> list[Tensor]:
    """Render all frames of a clip from its intervals, in [0, 1]."""
    rendered = []
    for interval, with_frames in zip(intervals, frames, strict=True):
        times = [with_frames.pair_time(frame.time) for frame in with_frames.frames]
        size = with_frames.frames[0].image.shape[-2:]
        rendered += render_interval(interval, times, (size[0], size[1])).rgb[0].clamp(0, 1)
    return rendered


def mean_psnr(images: list[Tensor], targets: list[Tensor]) -> float:
    """Return the mean over frames."""
    errors = [(a - b).square().mean().item() for a, b in zip(images, targets, strict=True)]
    return sum(-10 * math.log10(max(error, 1e-10)) for error in errors) / len(errors)


def measure(
    intervals: tuple[Interval, ...], grade: Grade, folder: Path, *, resembles_input: bool
) -> Row:
    """Write and read a file, and compare pictures."""
    size = intervals[0].frames[0].image.shape[-2:]
    grid = grid_of(intervals[0].num_first, (size[0], size[1]))
    header = SceneHeader((size[0], size[1]), grid, (size[0], size[1]))
    path = folder / "scene.ssplat"
    begin = time.process_time()
    with SceneWriter(path, header, grade) as writer:
        for part in intervals:
            writer.append(part.gaussians, part.first_time, part.second_time, opens=part.opens)
    written = time.process_time()
    with open_scene(path) as reader:
        for number in range(len(intervals)):
            reader.read_interval(number)
        read = time.process_time()
        scene = StoredScene(reader)
        after = pictures((scene.interval(i) for i in range(len(intervals))), intervals)
    before = pictures(iter(intervals), intervals)
    psnr = mean_psnr(after, before)
    loss = 10 * math.log10(1 + 10 ** ((_TYPICAL_PSNR - psnr) / 10))
    if resembles_input:
        targets = [frame.image[0] for part in intervals for frame in part.frames]
        loss = mean_psnr(before, targets) - mean_psnr(after, targets)
    keys = sum(1 + part.opens - part.is_static for part in intervals)
    return Row(
        bytes=path.stat().st_size / (keys * header.num_gaussians),
        psnr=psnr,
        loss=loss,
        write_ms=1e3 * (written - begin) / keys,
        read_ms=1e3 * (read - written) / keys,
    )


@cli_errors
def main() -> None:
    """Run from the command line."""
    options = parse(Options)
    configure_logging()
    torch.set_num_threads(1)
    rows: dict[tuple[str, int], list[Row]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for path in options.clips:
            intervals = clip_intervals(path, options)
            size = intervals[0].frames[0].image.shape[-2:]
            scenes = {"network": intervals, "lively": lively(intervals, (size[0], size[1]))}
            for name, scene in scenes.items():
                for factor in FACTORS:
                    grade = GRADES["fine"].coarser(factor)
                    row = measure(scene, grade, Path(folder), resembles_input=name == "network")
                    rows.setdefault((name, factor), []).append(row)
    print(f"{datetime.date.today()}, {options.resume}, {len(options.clips)} clips")
    columns = ("attributes, steps", "bytes", "PSNR", "loss", "write", "read")
    print(f"\n| {' | '.join(columns)} |\n|---{'|---:' * 5}|")
    for (name, factor), values in rows.items():
        mean = [
            sum(column) / len(values)
            for column in zip(*(vars(v).values() for v in values), strict=True)
        ]
        print(
            f"| {name}, {factor} x | {mean[0]:.2f} | {mean[1]:.1f} | {mean[2]:.3f} | "
            f"{mean[3]:.0f} | {mean[4]:.0f} |"
        )


if __name__ == "__main__":
    main()
