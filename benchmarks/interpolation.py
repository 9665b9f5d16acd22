"""How good reconstructions are: ``python benchmarks/interpolation.py CLIP [CLIP ...]``.

Reconstructs clips (folders of frames, or videos) with a network and prints Markdown tables of PSNR
and SSIM, means over clips last, at the network's size and at 256 x 256 (the published protocol).
Frames between key frames face two baselines in the same run: blending the key frames linearly, and
warping both along optical flow (OpenCV's DIS) before blending. No depth is used unless the weights
of Depth Anything V2 are in ``checkpoints/``.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
import tyro
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from configs.options_inference import EMBEDDED_MODEL
from core.checks import UserError, cli_errors
from core.command_line import parse
from core.depth.source import open_depth
from core.devices import choose_device
from core.geometry.optical_flow import dis_flow, warp
from core.io.frames import open_frames
from core.logging import configure_logging
from core.metrics import compare
from core.models import load_model
from core.streaming import Session
from core.streaming.reconstruct import ClipReconstructor, RenderedFrame

SIZES = {"native": None, "256": (256, 256)}
COLUMNS = ("given", "middle", "blend", "flow")
Images = Float[Tensor, "1 3 h w"]
Scores = dict[str, Float[Tensor, "scores 2"]]


@dataclass(frozen=True)
class Options:
    """Score reconstructions of clips beside linear blending and optical flow."""

    clips: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of frames, or videos."""
    resume: str = str(EMBEDDED_MODEL)
    """Weights: a file, a folder or a hub id."""
    frame_gap: int = 3
    """Distance between key frames."""
    device: str = "auto"
    """cpu, cuda, or auto."""

    def __post_init__(self) -> None:
        if not self.clips:
            raise UserError("no clips were given; name folders of frames or videos.")
        if self.frame_gap < 1:
            raise UserError(f"--frame_gap is {self.frame_gap}; expected at least 1.")


def blend(first: Images, second: Images, time: float) -> Images:
    """Mix two images linearly."""
    return torch.lerp(first, second, time)


def flow_between(first: Images, second: Images) -> Float[Tensor, "1 h w 2"]:
    """Return the displacement of each pixel from ``first`` to ``second``, in pixels, by DIS."""
    return dis_flow(*((image[0] * 255).round().byte() for image in (first, second)))[None]


def interpolate_by_flow(
    first: Images, second: Images, flow: Float[Tensor, "1 h w 2"], time: float
) -> Images:
    """Warp both images to ``time`` along the flow between them and mix them linearly."""
    return blend(warp(first, -time * flow), warp(second, (1 - time) * flow), time)


def intervals(frames: Iterator[RenderedFrame]) -> Iterator[list[RenderedFrame]]:
    """Group frames from key frame to key frame, both included."""
    group: list[RenderedFrame] = []
    for frame in frames:
        group.append(frame)
        if frame.is_key:
            yield group
            group = [frame]


def scores_at_sizes(image: Images, target: Images) -> Float[Tensor, "scores 2"]:
    """Return PSNR and SSIM at each of ``SIZES``."""
    values = [compare(image, target, size) for size in SIZES.values()]
    return torch.stack([torch.cat((value.psnr, value.ssim)) for value in values]).cpu()


@torch.inference_mode()
def score_clip(frames: Iterator[RenderedFrame]) -> Scores:
    """Return the mean scores of a clip by column; NaN where a column has no frames."""
    scores: dict[str, list[Tensor]] = {column: [] for column in COLUMNS}

    def note(column: str, image: Images, target: Images) -> None:
        scores[column].append(scores_at_sizes(image, target))

    for group in intervals(frames):
        first, second = group[0].target, group[-1].target
        note("given", group[-1].rgb, second)
        flow = flow_between(first, second) if len(group) > 2 else None
        for frame in group[1:-1]:
            assert flow is not None
            note("middle", frame.rgb, frame.target)
            note("blend", blend(first, second, frame.time), frame.target)
            by_flow = interpolate_by_flow(first, second, flow, frame.time)
            note("flow", by_flow, frame.target)
    return {
        column: torch.stack(values).mean(0) if values else torch.full((len(SIZES), 2), torch.nan)
        for column, values in scores.items()
    }


def row(name: str, scores: Scores, size: int) -> str:
    """Return a line of the table."""
    cells = [f"{scores[column][size, 0]:.2f} / {scores[column][size, 1]:.3f}" for column in COLUMNS]
    return f"| {name} | {' | '.join(cells)} |"


@cli_errors
def main() -> None:
    """Run from the command line."""
    options = parse(Options)
    configure_logging()
    device = choose_device(options.device)
    model = load_model(options.resume).to(device)
    rows: dict[str, Scores] = {}
    for path in tqdm(options.clips, unit="clip", disable=None):
        source = open_frames(path, on_error="raise")
        depth = open_depth(None, source, device, Path("checkpoints"))
        reconstructor = ClipReconstructor(Session(model, frame_gap=options.frame_gap), depth)
        scores = score_clip(chain.from_iterable(reconstructor.frames(source)))
        rows[path.parent.name if path.name == "JPEGImages" else path.stem] = scores
    rows["mean"] = {
        column: torch.stack([scores[column] for scores in rows.values()]).nanmean(0)
        for column in COLUMNS
    }
    print(f"{datetime.date.today()}, {options.resume}, key frames every {options.frame_gap} frames")
    for index, size in enumerate(SIZES):
        print(f"\n{size}: PSNR (dB) / SSIM\n\n| clip | {' | '.join(COLUMNS)} |")
        print("|---" * (len(COLUMNS) + 1) + "|")
        for name, scores in rows.items():
            print(row(name, scores, index))


if __name__ == "__main__":
    main()
