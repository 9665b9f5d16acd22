"""What augmentation costs: ``python benchmarks/augmentation.py``.

Prints a Markdown table of milliseconds a batch: :func:`core.data.augmentation.augment` beside the
plain way, sample by sample and frame by frame with torchvision's functional transforms, with the
same draws, on the same tensors, in the same run.
"""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

from core.checks import UserError, cli_errors
from core.command_line import parse
from core.data.augmentation.augment import augment
from core.data.augmentation.options import AugmentationOptions
from core.devices import choose_device
from core.geometry.canonical import normalize_inverse_depth
from core.types import ClipBatch


@dataclass(frozen=True)
class Options:
    """Time augmentation beside sample by sample, frame by frame transforms."""

    batch_size: int = 4
    """Samples in a batch."""
    num_frames: int = 6
    """Frames of a sample."""
    height: int = 288
    """Height of the frames in pixels."""
    width: int = 512
    """Width of the frames in pixels."""
    batches: int = 12
    """Batches that are timed, each with other draws."""
    device: str = "auto"
    """cpu, cuda, or auto."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "num_frames", "height", "width", "batches"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least 1.")


def make_batch(options: Options, device: torch.device) -> ClipBatch:
    """Return random clips; what they show does not matter here."""
    rng = torch.Generator().manual_seed(0)
    b, v, h, w = options.batch_size, options.num_frames, options.height, options.width
    yes = torch.ones(b, dtype=torch.bool)
    return ClipBatch(
        frames=torch.rand(b, v, 3, h, w, generator=rng),
        inverse_depths=torch.rand(b, v, 1, h, w, generator=rng),
        masks=(torch.rand(b, v, 1, h, w, generator=rng) > 0.5).float(),
        times=torch.linspace(0, 1, v).expand(b, -1),
        motion=torch.zeros(b, 2, 2, h // 2, w // 2),
        motion_known=torch.zeros(b, 2, h // 2, w // 2, dtype=torch.bool),
        has_depth=yes,
        has_mask=yes,
    ).to(device)


def augment_plainly(batch: ClipBatch, seed: int, options: AugmentationOptions) -> ClipBatch:
    """Do each change where its random numbers say so, one after the other, to each frame by itself.

    Motion is left alone. Beyond its borders an image is black: torchvision's affine map knows no
    reflection.
    """
    rng = np.random.default_rng(seed)
    height, width = batch.frames.shape[-2:]
    frames, depths, masks = (
        tensor.clone() for tensor in (batch.frames, batch.inverse_depths, batch.masks)
    )
    for sample in range(len(frames)):
        mirrored = rng.random() < options.x_flip
        gates = rng.random(9) < options.p
        turn, tone = rng.uniform(-1, 1, 2)
        normals = rng.standard_normal(7)
        geometry = {
            "angle": options.rotation * turn * gates[1],
            "translate": [
                options.translation * normals[0] * width * gates[3],
                options.translation * normals[1] * height * gates[3],
            ],
            "scale": 2.0 ** (options.scale * normals[2] * gates[0]),
            # torchvision stretches by shearing; the work is the same.
            "shear": [math.degrees(options.anisotropy * normals[3] * gates[2])],
        }
        for view in range(frames.shape[1]):
            for stack, mode in (
                (frames, InterpolationMode.BILINEAR),
                (depths, InterpolationMode.BILINEAR),
                (masks, InterpolationMode.NEAREST),
            ):
                image = stack[sample, view]
                if mirrored:
                    image = transforms.horizontal_flip(image)
                if gates[4]:
                    image = transforms.vertical_flip(image)
                if gates[:4].any():
                    image = transforms.affine(image, interpolation=mode, **geometry)
                stack[sample, view] = image
            image = frames[sample, view]
            if gates[5]:
                image = transforms.adjust_brightness(image, 1.0 + abs(0.1 * normals[4]))
            if gates[6]:
                image = transforms.adjust_contrast(image, 2.0 ** (0.1 * normals[5]))
            if gates[7]:
                image = transforms.adjust_hue(image, 0.5 * options.hue * tone)
            if gates[8]:
                image = transforms.adjust_saturation(image, 2.0 ** (0.1 * normals[6]))
            frames[sample, view] = image
    return replace(
        batch, frames=frames, inverse_depths=normalize_inverse_depth(depths), masks=masks
    )


def milliseconds(
    run: Callable[[int], ClipBatch], batches: int, device: torch.device
) -> tuple[float, float]:
    """Return the median and the largest time of a batch."""
    times: list[float] = []
    for batch in range(-1, batches):  # the first warms up
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        start = time.perf_counter()
        run(max(batch, 0))
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times[1:])), max(times[1:])


@cli_errors
def main() -> None:
    """Time both, and print the table."""
    options = parse(Options)
    device = choose_device(options.device)
    batch = make_batch(options, device)
    draws = AugmentationOptions()
    size = options.batch_size

    def ours(step: int) -> ClipBatch:
        positions = range(step * size, (step + 1) * size)
        return augment(batch, seed=0, positions=positions, options=draws)

    def plain(step: int) -> ClipBatch:
        return augment_plainly(batch, step, draws)

    rows = {"sample by sample": plain, "augment": ours}
    found = {name: milliseconds(run, options.batches, device) for name, run in rows.items()}
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    print(
        f"{datetime.date.today()}, {where}{threads}, torch {torch.__version__}; batches of "
        f"{size} x {options.num_frames} frames of {options.height} x {options.width}.\n"
    )
    print("| | median, ms a batch | largest | faster than sample by sample |")
    print("|---|---|---|---|")
    for name, (median, largest) in found.items():
        ratio = found["sample by sample"][0] / median
        print(f"| {name} | {median:.1f} | {largest:.1f} | {ratio:.1f} x |")


if __name__ == "__main__":
    main()
