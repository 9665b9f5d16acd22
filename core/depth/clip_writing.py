"""Depth from motion of clips, as files beside their images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float
from torch import Tensor

from core.checks import UserError
from core.depth.motion.offline.clip_depth import clip_depth, confidence, normalized
from core.depth.motion.picture import working_picture
from core.depth.writing import Advance, Report
from core.geometry.optical_flow import fine_flow
from core.io.background import map_ahead
from core.io.layouts import Siblings
from core.io.stills.depth_maps import write_depth_png16
from core.io.stills.focal_length import field_of_view_of_image
from core.io.stills.images import read_image, write_png


@dataclass(frozen=True)
class _Outcome:
    images: list[Path]
    failure: str | None


def write_motion_maps(
    images: Iterable[Path], folders: Siblings, *, fov: float | None, threads: int, advance: Advance
) -> Report:
    """Write inverse depth (16 bits) and its confidence (8 bits) of every frame of clips.

    The images of a folder are a clip. Its maps share one unit and are at most 1. A clip with an
    image that cannot be read, with images of several sizes, or without parallax is left out whole
    and reported: half of it would teach nobody.

    Args:
        images: Image files, folder by folder, in order.
        folders: Where maps belong.
        fov: Angle of view along the longer side, degrees; by default that of the focal length that
            a clip's first image notes, else estimated from its matches.
        threads: Clips that are worked on at once.
        advance: Progress, in images.

    Raises:
        UserError: If a file cannot be written.
    """

    def work(clip: list[Path]) -> _Outcome:
        return _Outcome(clip, _write_clip(clip, folders, fov))

    clips = [list(clip) for _, clip in groupby(images, key=lambda image: image.parent)]
    written, failures = 0, []
    for outcome in map_ahead(work, clips, threads=threads, ahead=threads):
        if outcome.failure is None:
            written += len(outcome.images)
        else:
            failures.append(outcome.failure)
        advance(len(outcome.images))
    return Report(written, tuple(failures))


def _write_clip(clip: list[Path], folders: Siblings, fov: float | None) -> str | None:
    """Write the maps of a clip, or return why it has none."""
    pictures, sizes = [], set()
    try:
        for path in clip:
            image = read_image(path)
            sizes.add((image.shape[1], image.shape[0]))
            pictures.append(working_picture(image))
    except UserError as error:
        return str(error)
    if len(sizes) > 1:
        return f"{clip[0].parent} holds images of several sizes; a clip has one."
    fov = fov or field_of_view_of_image(clip[0])
    depths = clip_depth(pictures, fov=fov, flow=fine_flow)
    if depths is None:
        return f"{clip[0].parent}: its camera does not move sideways or forward; no depth from it."
    (size,) = sizes
    for path, values, depth in zip(clip, normalized(depths), depths, strict=True):
        write_depth_png16(folders.depth_path(path), _at_size(values, size))
        sure = np.round(255 * _at_size(confidence(depth), size)).astype(np.uint8)
        write_png(folders.confidence_path(path), sure)
    return None


def _at_size(values: Float[Tensor, "h w"], size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(values.numpy(), size, interpolation=cv2.INTER_LINEAR)
