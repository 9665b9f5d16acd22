"""Side-by-side pictures of the best and the median moment, and of failures, with error maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import UInt8
from torch import Tensor

from core.evaluation.data.clips import Clip
from core.evaluation.data.images import at_network_size
from core.evaluation.data.pair import read_pair
from core.evaluation.measure import NETWORK, Measurement
from core.io import write_png
from core.io.stills.sheets import Panel, color_inverse_depth, draw_sheet

_LARGEST_ERROR = 0.25
"""Mean absolute error of a pixel that is shown brightest."""
_WORST_CLIPS = 6
"""Clips whose worst frames are shown."""


@dataclass(frozen=True)
class Moment:
    """A frame between key frames that is shown."""

    title: str
    """What is shown."""
    file: str
    """Name of its picture."""
    clip: str
    gap: int
    first: int
    """First frame of its pair."""
    index: int
    """Which frame of the clip."""
    psnr: float
    """Of the network, dB."""


def choose_moments(result: Mapping[str, Any]) -> list[Moment]:
    """Return frames in between, by the network's PSNR at the size of the first protocol.

    The best and the median one of all clips and gaps, then the worst one of each of up to six
    clips, the worst first; of equals the first one in the order of clip, gap and frame. None where
    no frame lies in between.
    """
    protocol = result["protocols"][0]
    scored = [
        (frame["scores"][protocol][NETWORK]["psnr"], clip["name"], int(gap), pair["first"], frame)
        for clip in result["clips"]
        for gap, of_gap in clip["gaps"].items()
        for pair in of_gap["pairs"]
        for frame in pair["frames"]
        if frame["role"] == "middle"
    ]
    scored.sort(key=lambda entry: entry[0])
    if not scored:
        return []
    chosen = [
        ("The best moment", "best.png", scored[-1]),
        ("The median moment", "median.png", scored[len(scored) // 2]),
    ]
    worst = {entry[1]: entry for entry in reversed(scored)}  # the worst of each clip
    failures = sorted(worst.values(), key=lambda entry: entry[0])[:_WORST_CLIPS]
    chosen += [
        (f"The worst moment of {entry[1]}", f"worst_{number}.png", entry)
        for number, entry in enumerate(failures, start=1)
    ]
    return [
        Moment(title, file, name, gap, first, frame["index"], value)
        for title, file, (value, name, gap, first, frame) in chosen
    ]


def write_moments(
    output: Path, moments: Sequence[Moment], clips: Sequence[Clip], measurement: Measurement
) -> None:
    """Reconstruct the pairs of some moments again, and show what each method makes of them.

    Raises:
        UserError: If a frame can no longer be read, or a picture cannot be written.
    """
    by_name = {clip.name: clip for clip in clips}
    for moment in moments:
        write_png(output / moment.file, _draw(moment, by_name[moment.clip], measurement))


def _draw(moment: Moment, clip: Clip, measurement: Measurement) -> UInt8[np.ndarray, "h w 3"]:
    network = measurement.network
    pair = read_pair(
        clip,
        moment.first,
        moment.gap,
        opens=True,
        network_size=network.network_size,
        device=network.device,
    )
    place = moment.index - moment.first
    truth = pair.truth[place]
    images = {
        name: at_network_size(images[place][None], pair.network_size)[0]
        for name, images in measurement.render(pair, network.reconstruct(pair)).items()
        if place in images
    }
    return draw_sheet(
        [
            [
                Panel(f"{moment.clip}: frame {moment.first}, given", _pixels(pair.truth[0])),
                Panel(f"frame {moment.index}, the truth", _pixels(truth)),
                Panel(f"frame {moment.first + moment.gap}, given", _pixels(pair.truth[-1])),
            ],
            [Panel(name, _pixels(image)) for name, image in images.items()],
            [Panel(f"error of {name}", _error_map(image, truth)) for name, image in images.items()],
        ]
    )


def _pixels(image: UInt8[Tensor, "3 h w"]) -> UInt8[np.ndarray, "h w 3"]:
    return rearrange(image, "c h w -> h w c").contiguous().cpu().numpy()


def _error_map(
    image: UInt8[Tensor, "3 h w"], truth: UInt8[Tensor, "3 h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    error = (image.float() - truth.float()).abs().mean(dim=0) / 255
    return color_inverse_depth(torch.clamp(error / _LARGEST_ERROR, 0, 1).cpu().numpy())
