"""Depth maps for whole data sets.

Each process that ``accelerate launch`` starts takes its share of the images or chunks; they do not
communicate.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from tqdm import tqdm

from core.checks import UserError
from core.depth.clip_writing import write_motion_maps
from core.depth.estimation import Engine
from core.depth.options import DepthOptions, Layout
from core.depth.weights import find_depth_weights, how_to_get_weights, load_depth_anything
from core.depth.writing import Advance, Report, write_chunk_maps, write_png_maps
from core.devices import choose_device
from core.io.chunks.depth import depth_chunk_path, is_whole_depth_chunk
from core.io.collisions import refuse_overwriting
from core.io.layouts import (
    CO3D_IMAGES,
    JPEG_IMAGES,
    Siblings,
    find_chunks,
    find_co3d_images,
    find_jpeg_images,
)
from core.io.stills.images import is_whole_png
from core.logging import get_logger

T = TypeVar("T")
_logger = get_logger(__name__)


@dataclass(frozen=True)
class Share:
    """The part of the work of one process."""

    index: int
    """Rank of this process."""
    count: int
    """How many processes there are."""

    @staticmethod
    def from_environment() -> Share:
        """Read the variables that ``accelerate launch`` and ``torchrun`` set for each process."""
        return Share(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))

    def of(self, items: Sequence[T]) -> Sequence[T]:
        """Return the items of this process; each item belongs to one process."""
        return items[self.index :: self.count]


def preprocess(layout: Layout, paths: Sequence[Path], options: DepthOptions) -> int:
    """Write the depth maps of data sets of one layout.

    Args:
        layout: Their layout.
        paths: Their roots; at least one.
        options: How depth is estimated.

    Returns:
        The exit status: 1 if there is one process and it could read nothing, else 0.

    Raises:
        UserError: If there is nothing to do, or a file cannot be written; finished files are kept.
    """
    if not paths:
        raise UserError(f"no path is given; expected the root of a {layout} data set.")
    files, share = _LAYOUTS[layout], Share.from_environment()
    write = _writer(layout, files, options)
    found = list(dict.fromkeys(s for path in paths for s in files.find(path)))
    by_clip = options.source == "motion"
    sources = [s for clip in share.of(_clips(found)) for s in clip] if by_clip else share.of(found)
    for images, maps in {(s.parent, files.depth_path(s).parent) for s in sources}:
        if images != maps:  # beside chunks, maps have names that no chunk has
            refuse_overwriting(maps, (), [("PATH", images)])
    todo = sources if options.overwrite else _without_depth(sources, files, options.threads)
    if by_clip:  # all maps of a clip are made together
        folders = {source.parent for source in todo}
        todo = [source for source in sources if source.parent in folders]
    existing = len(sources) - len(todo)
    try:
        with tqdm(
            total=len(sources),
            initial=existing,
            desc="depth",
            unit=files.unit,
            unit_scale=files.in_parts,
            disable=share.index > 0,
        ) as bar:
            report = write(todo, bar.update)
    except torch.cuda.OutOfMemoryError as error:
        raise UserError(
            f"the device's memory is too small for --batch_size {options.batch_size}; lower it. "
            "Finished files are kept."
        ) from error
    _log(report, existing, files.unit, share)
    # A launcher ends all processes if one of them fails.
    alone = share.count == 1
    return int(alone and bool(report.failures) and not report.written and not existing)


def _find_co3d_images(root: Path) -> list[Path]:
    listed = [
        image
        for split in ("train", "test")
        for images in find_co3d_images(root, split).values()
        for image in images
    ]
    images = [image for image in listed if image.exists()]
    if not images:
        raise UserError(
            f"{root} holds no image of its manyview set lists; is the download complete?"
        )
    if len(images) < len(listed):
        missing = len(listed) - len(images)
        _logger.warning(
            "%s: %d of the %d images in the set lists are not there.", root, missing, len(listed)
        )
    return images


@dataclass(frozen=True)
class _DepthFiles:
    """The depth files of one layout, and how they are written."""

    unit: str
    """What one file of depth belongs to: an image or a chunk."""
    in_parts: bool
    """Whether progress is reported within a unit."""
    find: Callable[[Path], list[Path]]
    """List the units below a root."""
    depth_path: Callable[[Path], Path]
    """Path of the depth of a unit."""
    is_whole: Callable[[Path], bool]
    """Whether that file is complete."""
    write: Callable[[Sequence[Path], Callable[[Path], Path], Engine, Advance], Report]
    """Write the depth of units."""
    folders: Siblings | None = None
    """The folders of images and maps; None for chunks."""


def _png_maps(find: Callable[[Path], list[Path]], folders: Siblings) -> _DepthFiles:
    return _DepthFiles(
        "image", False, find, folders.depth_path, is_whole_png, write_png_maps, folders
    )


_LAYOUTS: dict[Layout, _DepthFiles] = {
    **dict.fromkeys(("davis", "vos", "frames"), _png_maps(find_jpeg_images, JPEG_IMAGES)),
    "co3d": _png_maps(_find_co3d_images, CO3D_IMAGES),
    "re10k": _DepthFiles(
        "chunk", True, find_chunks, depth_chunk_path, is_whole_depth_chunk, write_chunk_maps
    ),
}


def _without_depth(sources: Sequence[Path], files: _DepthFiles, threads: int) -> list[Path]:
    with ThreadPoolExecutor(threads) as pool:
        complete = pool.map(files.is_whole, map(files.depth_path, sources))
        return [source for source, done in zip(sources, complete, strict=True) if not done]


def _clips(images: Sequence[Path]) -> list[list[Path]]:
    """Return the images folder by folder."""
    clips: dict[Path, list[Path]] = {}
    for image in images:
        clips.setdefault(image.parent, []).append(image)
    return list(clips.values())


def _writer(
    layout: Layout, files: _DepthFiles, options: DepthOptions
) -> Callable[[Sequence[Path], Advance], Report]:
    """Return what writes the maps of units by the chosen source."""
    if options.source == "model":
        engine = _build_engine(options)
        return lambda units, advance: files.write(units, files.depth_path, engine, advance)
    folders = files.folders
    if folders is None:
        raise UserError(f"--source motion knows no {layout} chunks; expected folders of images.")
    return lambda units, advance: write_motion_maps(
        units, folders, fov=options.fov, threads=options.threads, advance=advance
    )


def _build_engine(options: DepthOptions) -> Engine:
    device = choose_device(options.device)
    if options.autocast and device.type != "cuda":
        raise UserError(f"--autocast needs a CUDA device; this is {device}.")
    weights = options.checkpoint
    if not weights.is_file():
        found = find_depth_weights(weights, options.encoder)
        if found is None:
            raise UserError(
                f"no weights in {weights}: {how_to_get_weights(weights, options.encoder)}."
            )
        weights = found
    network = load_depth_anything(weights, device)
    infer = partial(network.infer, autocast=options.autocast)
    return Engine(infer, device, options.batch_size, options.threads)


def _log(report: Report, existing: int, unit: str, share: Share) -> None:
    who = f"process {share.index} of {share.count}: " if share.count > 1 else ""
    _logger.info(
        "%sdepth written for %d %s(s); %d had it already.", who, report.written, unit, existing
    )
    if report.failures:
        _logger.warning("%swithout depth, because they cannot be used:", who)
    for failure in report.failures:
        _logger.warning("  %s", failure)
