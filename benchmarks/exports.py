"""What exports cost, and what they lose: ``python benchmarks/exports.py [--scene FILE.ssplat]``.

Prints Markdown tables. Cost: processor seconds and bytes for a million Gaussians in each format,
beside a package that writes the same. Loss, if a scene file is named: the picture from the input
camera of what independent readers read, beside that of the scene itself.
"""

from __future__ import annotations

import datetime
import io
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import fourdgs
import gaussforge
import gsply
import numpy as np
import torch
from export_readers import READERS, picture, state_of_4dgs

from core.checks import UserError, cli_errors
from core.command_line import parse
from core.export.four_dgs import TimedScene, write_4dgs
from core.export.gltf import write_glb
from core.export.placement import Placement
from core.export.ply import write_ply
from core.export.rerun_recording import write_rerun
from core.export.sog import write_sog
from core.export.splat import write_splat
from core.export.splats import Splats
from core.export.spz import write_spz
from core.geometry.cameras import Lens
from core.metrics.psnr import psnr
from core.rendering import render
from core.scene_file import open_scene
from core.types import DynamicGaussians

Writer = Callable[[Path, Splats], None]
WRITERS: dict[str, Writer] = {
    "ply": write_ply,
    "spz": write_spz,
    "spz4": partial(write_spz, version=4),
    "splat": write_splat,
    "sog": write_sog,
    "glb": write_glb,
}


@dataclass(frozen=True)
class Options:
    """Time exports, and compare pictures of what is read back."""

    count: int = 1_000_000
    """Gaussians."""
    repeats: int = 3
    """Times that each writer runs; the median counts. Baselines run once."""
    scene: Path | None = None
    """A scene file whose exports are read back."""

    def __post_init__(self) -> None:
        for name in ("count", "repeats"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least 1.")


def make_scene(count: int) -> DynamicGaussians:
    """Return Gaussians that are turned about the view axis, and move and fade over an interval."""
    draw = torch.Generator().manual_seed(0)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(1, count, *shape, generator=draw)

    x, z = 2 * uniform() - 1, 2 * uniform() - 1
    inverse_depth = 0.5 + 0.3 * torch.sin(5 * x) * torch.cos(4 * z)
    waves = torch.stack([x, inverse_depth, z], dim=-1) * 7
    angle, zero = 3 * uniform(), torch.zeros(1, count)
    return DynamicGaussians(
        means=torch.stack([x, inverse_depth, z], dim=-1),
        motion=0.02 * torch.randn(1, count, 1, 3, generator=draw),
        scales=0.004 * torch.exp(0.5 * torch.randn(1, count, 3, generator=draw)),
        quats=torch.stack([angle.cos(), zero, angle.sin(), zero], dim=-1),
        colors=(0.5 + 0.4 * torch.sin(waves) + 0.1 * uniform(3)).clamp(0, 1),
        opacities=0.05 + 0.95 * uniform(),
        opacity_slopes=12 * uniform(),
        opacity_half_lives=uniform().clamp(0.01, 0.99),
        anchor_times=(uniform() > 0.5).float(),
    )


def timed(function: Callable[[], object], repeats: int = 1) -> float:
    """Return the median of seconds of processor time, which other programs do not change much."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


def baselines(folder: Path, splats: Splats) -> dict[str, tuple[str, Callable[[], int]]]:
    """Return packages that write the same formats; each function returns how many bytes."""
    ply = (folder / "scene.ply").read_bytes()
    logits = np.log(splats.opacities / (1 - splats.opacities).clip(1e-6))
    values = [splats.means, np.log(splats.scales), splats.quats, logits, splats.harmonics]

    def by_gaussforge(kind: str, version: int = 3) -> int:
        forge = gaussforge.GaussForge()
        return len(forge.convert(ply, "ply", kind, spz_version=version)["data"])

    def by_gsply() -> int:
        gsply.plywrite(folder / "gsply.ply", gsply.GSData.from_arrays(*values, format="ply"))
        return (folder / "gsply.ply").stat().st_size

    def by_fourdgs() -> int:
        return fourdgs.write(io.BytesIO(), scene.gaussians, scene.header.duration_sec)

    by_gsply()  # it compiles at first
    scene = fourdgs.read(str(folder / "scene.4dgs"))
    return {
        "ply": ("gsply", by_gsply),
        "spz": ("gaussforge", partial(by_gaussforge, "spz")),
        "spz4": ("gaussforge", partial(by_gaussforge, "spz", 4)),
        "splat": ("gaussforge", partial(by_gaussforge, "splat")),
        "sog": ("gaussforge", partial(by_gaussforge, "sog")),
        "4dgs": ("fourdgs, without fitting", by_fourdgs),
    }


def cost_table(options: Options, folder: Path) -> list[str]:
    """Write all formats; return the table's rows."""
    scene, placement = make_scene(options.count), Placement(Lens())
    splats = placement.splats(scene, 0.5)
    timed_scene = TimedScene(scene, 0.0, 0.125, 0.125)
    runs: dict[str, Callable[[Path], object]] = {
        name: lambda path, write=write: write(path, splats) for name, write in WRITERS.items()
    }
    runs["4dgs"] = lambda path: write_4dgs(path, [timed_scene], placement)
    if find_spec("rerun") is None:
        print("no rerun: its row is left out", file=sys.stderr)
    else:
        runs["rrd"] = lambda path: write_rerun(path, [(0.0, splats)])
    ours: dict[str, tuple[float, int]] = {}
    for name, run in runs.items():
        path = folder / f"scene.{name}"
        ours[name] = timed(partial(run, path), options.repeats), path.stat().st_size
    others = baselines(folder, splats)
    rows = [
        f"{len(splats):,} Gaussians are visible; lifting them took "
        f"{timed(lambda: placement.splats(scene, 0.5)):.1f} s.",
        "",
        "| format | s | MB | baseline | s | MB | ratio |",
        "|---|---:|---:|---|---:|---:|---:|",
    ]
    for name, (seconds, size) in ours.items():
        row = f"| {name} | {seconds:.2f} | {size / 1e6:.1f} |"
        if name in others:
            package, write = others[name]
            sizes: list[int] = []
            other = timed(lambda write=write, sizes=sizes: sizes.append(write()))
            row += f" {package} | {other:.2f} | {sizes[0] / 1e6:.1f} | {other / seconds:.1f}x |"
        else:
            row += " | | | |"
        rows.append(row)
    return rows


def loss_table(path: Path, folder: Path) -> list[str]:
    """Read exports of a scene back; return the table's rows."""
    with open_scene(path) as reader:
        part, scene, header = reader.intervals[0], reader.read_interval(0), reader.header
    lens = Lens(60.0, header.fit.aspect)
    placement = Placement(lens, header.fit.shows)
    rows = [
        "| format | reader | bytes a Gaussian | beside our picture, dB | beside no loss, dB |",
        "|---|---|---:|---:|---:|",
    ]

    def add(name: str, reader: str, size: float, read: Splats, exact: Splats, at: float) -> None:
        ours = render(scene, torch.tensor([[at]]), header.image_size).rgb[0]
        seen, best = (picture(splats, lens, header.image_size) for splats in (read, exact))
        decibels = [psnr(seen, other).item() for other in (ours, best)]
        rows.append(f"| {name} | {reader} | {size:.1f} | {decibels[0]:.1f} | {decibels[1]:.1f} |")

    splats = placement.splats(scene, 0.5)
    for name, write in WRITERS.items():
        file = folder / f"back.{name.rstrip('4')}"
        write(file, splats)
        for reader, read in READERS[name].items():
            if reader != "splat-transform" or shutil.which(reader):
                size = file.stat().st_size / len(splats)
                add(name, reader, size, read(file), splats, 0.5)
    file = folder / "back.4dgs"
    write_4dgs(file, [TimedScene(scene, 0.0, 1.0, 1.0)], placement)
    stored = fourdgs.read(str(file))
    duration = part.second_time - part.first_time
    print(f"{path.name}: an interval of {duration:.3f} s", file=sys.stderr)
    for at in (0.0, 0.25, 0.5, 0.75, 0.99):
        exact = placement.splats(scene, at)
        size = file.stat().st_size / scene.num_gaussians
        add("4dgs", f"fourdgs, pair time {at}", size, state_of_4dgs(stored, at), exact, at)
    return rows


@cli_errors
def main() -> None:
    """Print the tables."""
    options = parse(Options)
    print(f"{datetime.date.today()}, torch {torch.__version__}, numpy {np.__version__}\n")
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        print("\n".join(cost_table(options, Path(name))))
        if options.scene is not None:
            print("\n" + "\n".join(loss_table(options.scene, Path(name))))


if __name__ == "__main__":
    main()
