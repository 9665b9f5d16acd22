"""Pictures a second of the player in software: ``python -m benchmarks.player_speed SCENE``.

Plays a scene file in a headless Chromium that draws by SwiftShader on the processor, as it is and
with each Gaussian split into two side by side, in two sizes.
"""

from __future__ import annotations

import datetime
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro

from benchmarks.player_soak import play
from core.checks import UserError, cli_errors
from core.command_line import parse
from core.scene_file import SceneWriter, open_scene
from core.types import DynamicGaussians
from core.viewer import write_player
from tests.viewer.chromium import EXECUTABLE, Chromium

SIZES = ((560, 315), (1280, 720))
_CONTROLS = 140
"""Pixels of the window's height that the page keeps for itself, about."""


@dataclass(frozen=True)
class Options:
    """Measure pictures a second."""

    scene: tyro.conf.Positional[Path]
    """A scene file."""
    seconds: float = 20.0
    """For which each is played."""


def split(scene: Path, path: Path) -> None:
    """Write a scene with two Gaussians, half as wide, in place of each."""
    with open_scene(scene) as reader:
        rows, columns = reader.header.grid_size
        shift = torch.tensor([-0.5, 0.5]).repeat(2 * rows * columns) / columns
        header = replace(reader.header, grid_size=(rows, 2 * columns))
        with SceneWriter(path, header) as writer:
            for number, part in enumerate(reader.intervals):
                whole = reader.read_interval(number)
                twice = DynamicGaussians(
                    **{k: v.repeat_interleave(2, dim=1) for k, v in vars(whole).items()}
                )
                means, scales = twice.means.clone(), twice.scales.clone()
                means[..., 0] += shift[: means.shape[1]]
                scales[..., 0] /= 2
                moved = replace(twice, means=means, scales=scales)
                writer.append(moved, part.first_time, part.second_time, opens=part.opens)


@cli_errors
@torch.inference_mode()
def main() -> None:
    """Run from the command line."""
    options = parse(Options)
    if EXECUTABLE is None:
        raise UserError("needs chromium on the path.")
    print(f"{datetime.date.today()}, {options.scene.name}\n")
    print("| Gaussians | drawn | pictures a second |\n|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        twice = Path(folder, "twice.ssplat")
        split(options.scene, twice)
        for scene in (options.scene, twice):
            page = Path(folder, f"{scene.stem}.html")
            write_player(page, scene)
            with open_scene(scene) as reader:
                count = 2 * reader.header.num_gaussians
            for number, (width, height) in enumerate(SIZES):
                profile = Path(folder, f"{scene.stem}-{number}")
                with Chromium(profile, (width, height + _CONTROLS)) as browser:
                    play(browser, page, extras=False)
                    time.sleep(options.seconds / 4)
                    before, begin = browser.run("shown"), time.perf_counter()
                    time.sleep(options.seconds)
                    rate = (browser.run("shown") - before) / (time.perf_counter() - begin)
                    drawn = browser.run("picture.width + ' x ' + picture.height")
                print(f"| {count:,} | {drawn} | {rate:.1f} |", flush=True)


if __name__ == "__main__":
    main()
