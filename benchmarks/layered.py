"""What samples cost that are made on the device: ``python benchmarks/layered.py <photographs>``.

Prints two Markdown tables: frames a second of :class:`core.data.layered.LayeredSource`, beside
:class:`core.data.procedural.ProceduralSource`, and the motion that they show; and how near labels
by optical flow (:func:`core.data.sampling.motion_labels.label_motion`) come to that motion.
"""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from core.checks import UserError, cli_errors
from core.command_line import parse
from core.data.layered import LayeredOptions, LayeredSource, TextureBank
from core.data.procedural import ProceduralOptions, ProceduralSource
from core.data.sampling.motion_labels import label_motion
from core.data.sampling.scene_clips import SceneClips
from core.devices import choose_device


@dataclass(frozen=True)
class Options:
    """Time layered samples beside procedural ones."""

    photographs: tyro.conf.Positional[Path]
    """Folder of photographs and clips."""
    batch_size: int = 32
    """Samples that are made together."""
    num_frames: tuple[int, ...] = (2, 6)
    """Frames of a sample, one row for each."""
    height: int = 288
    """Height of the frames in pixels."""
    width: int = 512
    """Width of the frames in pixels."""
    batches: int = 20
    """Batches that are timed."""
    labelled: int = 32
    """Samples of each kind that are labelled."""
    device: str = "auto"
    """cpu, cuda, or auto."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "height", "width", "batches", "labelled"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least 1.")
        if min(self.num_frames, default=0) < 2:
            raise UserError("--num_frames: expected numbers of at least 2.")


def measure(clips: SceneClips, options: Options, device: torch.device) -> tuple[float, list[float]]:
    """Return samples a second, and quantiles of the samples' longest motion in pixels."""
    unit = torch.tensor([options.width, options.height], device=device)[:, None, None] / 2.0
    longest: list[torch.Tensor] = []
    start = 0.0
    for batch in range(-1, options.batches):  # the first warms up
        if batch == 0:
            _wait(device)
            start = time.perf_counter()
        first = max(batch, 0) * options.batch_size
        made = clips.batch(range(first, first + options.batch_size))
        longest.append((made.motion * unit).norm(dim=2).amax(dim=(1, 2, 3)))
    _wait(device)
    seconds = time.perf_counter() - start
    quantiles = torch.tensor([0.05, 0.5, 0.95, 1.0], device=device)
    lengths = torch.cat(longest[1:]).quantile(quantiles).tolist()
    return options.batches * options.batch_size / seconds, lengths


def compare_labels(clips: SceneClips, options: Options) -> tuple[float, float, float, float]:
    """Return the labels' milliseconds a sample, share, mean error and share of errors over 3 px."""
    unit = torch.tensor([options.width, options.height])[:, None, None] / 2.0
    seconds, shares, errors = 0.0, [], []
    for index in range(options.labelled):
        made = clips.batch([index]).to("cpu")
        frames = (made.frames[0] * 255.0).round().byte().permute(0, 2, 3, 1).numpy()
        start = time.perf_counter()
        motion, known = label_motion(frames[0], frames[-1])
        seconds += time.perf_counter() - start
        labelled = torch.from_numpy(known)
        error = ((torch.from_numpy(motion) - made.motion[0]) * unit).norm(dim=1)
        errors.append(error[labelled & made.motion_known[0]])
        shares.append(labelled.float().mean().item())
    wrong = torch.cat(errors)
    share = sum(shares) / len(shares)
    milliseconds = 1e3 * seconds / options.labelled
    return milliseconds, share, wrong.mean().item(), (wrong > 3.0).float().mean().item()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@cli_errors
def main() -> None:
    """Measure both, and print the tables."""
    options = parse(Options)
    device = choose_device(options.device)
    size = {"height": options.height, "width": options.width}
    textures = TextureBank(
        options.photographs,
        min_side=min(options.height, options.width),
        budget_mib=1024,
        device=device,
    )
    sources = {
        "procedural": ProceduralSource(ProceduralOptions(**size), seed=0, device=device),
        "layered": LayeredSource(LayeredOptions(**size), textures, seed=0, device=device),
    }
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    print(
        f"{datetime.date.today()}, {where}{threads}, torch {torch.__version__}; batches of "
        f"{options.batch_size} samples of {options.height} x {options.width}, "
        f"{len(textures)} textures.\n"
    )
    print("| | frames a sample | frames a second | longest motion, px: 5 %, half, 95 %, all |")
    print("|---|---:|---:|---|")
    for num_frames in options.num_frames:
        for name, source in sources.items():
            clips = SceneClips(source, num_frames=num_frames, seed=0)
            rate, lengths = measure(clips, options, device)
            shown = ", ".join(f"{length:.1f}" for length in lengths)
            print(f"| {name} | {num_frames} | {rate * num_frames:.0f} | {shown} |")
    print("\n| labels of | ms a sample | share of the frame | error, px | above 3 px |")
    print("|---|---:|---:|---:|---:|")
    for name, source in sources.items():
        clips = SceneClips(source, num_frames=2, seed=0)
        spent, share, error, far = compare_labels(clips, options)
        print(f"| {name} | {spent:.0f} | {share:.0%} | {error:.2f} | {far:.1%} |")


if __name__ == "__main__":
    main()
