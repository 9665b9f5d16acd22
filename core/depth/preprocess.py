"""Depth maps for whole data sets: ``python -m core.depth.preprocess LAYOUT PATH...``.

Of the processes that ``accelerate launch`` starts, each takes its share of the images or chunks;
they need not talk to one another.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import torch
import tyro
from tqdm import tqdm

from core.checks import UserError, cli_errors
from core.command_line import parse
from core.depth.config import Encoder
from core.depth.estimation import Engine
from core.depth.weights import find_depth_weights, how_to_get_weights, load_depth_anything
from core.depth.writing import Advance, Report, write_chunk_maps, write_png_maps
from core.devices import choose_device
from core.io.chunks.depth import depth_chunk_path, is_whole_depth_chunk
from core.io.images import is_whole_png
from core.io.layouts import (
    CO3D_IMAGES,
    JPEG_IMAGES,
    Siblings,
    find_chunks,
    find_co3d_images,
    find_jpeg_images,
)
from core.logging import configure_logging, get_logger

Layout = Literal["davis", "vos", "co3d", "re10k", "frames"]
T = TypeVar("T")
_logger = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class DepthOptions:
    """How depth is estimated, whatever the data set."""

    encoder: Encoder = "vits"
    """Size of the network. vits is Apache-2.0; the larger ones are CC-BY-NC-4.0."""
    checkpoint: Path = Path("checkpoints")
    """Folder with depth_anything_v2_<encoder>.pth, or a weight file, which then tells the size."""
    device: str = "auto"
    """auto (CUDA if there is one, a GPU for each process), cpu, cuda or cuda:N."""
    batch_size: int = 8
    """Images of one size that are estimated together."""
    threads: int = 4
    """Threads that decode images, and as many that write depth maps, in each process."""
    overwrite: bool = False
    """Write maps anew that are there already."""
    autocast: bool = False
    """Run the transformer in float16: faster, CUDA only."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "threads"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least 1.")


@dataclass(frozen=True, kw_only=True)
class PreprocessOptions(DepthOptions):
    """Write relative inverse depth (large is near) of a data set's images, with Depth Anything V2.

    Each map is normalised to [0, 1] by itself and has 16 bits. Maps lie where the readers of the
    data sets expect them: davis, vos and frames have depthImages/.../<stem>_pred.png for
    JPEGImages/.../<stem>.jpg; co3d, whose images are those of its manyview set lists, has
    predict_depths/<stem>_pred.png for images/<stem>.jpg; re10k has depth_<chunk>.safetensors beside
    each chunk. A run that was broken off goes on where it stopped. What cannot be read is passed
    over and listed at the end; the exit status is 1 only if that was all there is.
    """

    layout: tyro.conf.Positional[Layout]
    """How the data set lies on disk; frames is any tree with JPEGImages folders."""
    paths: tyro.conf.Positional[tuple[Path, ...]]
    """Roots of data sets of that layout, or parts of them."""


@dataclass(frozen=True)
class Share:
    """Which part of the work is this process's."""

    index: int
    """Rank of this process."""
    count: int
    """How many processes there are."""

    @staticmethod
    def from_environment() -> Share:
        """Read what ``accelerate launch`` and ``torchrun`` tell each process that they start."""
        return Share(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))

    def of(self, items: Sequence[T]) -> Sequence[T]:
        """Return this process's items; all processes together have each once."""
        return items[self.index :: self.count]


def preprocess(layout: Layout, paths: Sequence[Path], options: DepthOptions) -> int:
    """Write the depth maps of data sets of one layout.

    Args:
        layout: How they lie on disk.
        paths: Their roots; at least one.
        options: How depth is estimated.

    Returns:
        The exit status: 1 if nothing at all could be read by the only process, else 0.

    Raises:
        UserError: If there is nothing to do, or it cannot be done; what was finished is kept.
    """
    if not paths:
        raise UserError(f"no path is given; expected the root of a {layout} data set.")
    recipe, share = _RECIPES[layout], Share.from_environment()
    engine = _build_engine(options)
    sources = share.of(list(dict.fromkeys(s for path in paths for s in recipe.find(path))))
    todo = sources if options.overwrite else _without_depth(sources, recipe, options.threads)
    existing = len(sources) - len(todo)
    try:
        with tqdm(
            total=len(sources),
            initial=existing,
            desc="depth",
            unit=recipe.unit,
            unit_scale=recipe.in_parts,
            disable=share.index > 0,
        ) as bar:
            report = recipe.write(todo, recipe.depth_path, engine, bar.update)
    except torch.cuda.OutOfMemoryError as error:
        raise UserError(
            f"the device's memory is too small for --batch_size {options.batch_size}; lower it. "
            "What was finished so far is kept."
        ) from error
    _tell(report, existing, recipe.unit, share)
    # A launcher would end the other processes for one that failed at a small share.
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
        raise UserError(f"{root} holds no image of its manyview set lists; is it complete?")
    if len(images) < len(listed):
        missing = len(listed) - len(images)
        _logger.warning(
            "%s: %d of the %d images in the set lists are not there.", root, missing, len(listed)
        )
    return images


@dataclass(frozen=True)
class _Recipe:
    """How the depth of one layout is made."""

    unit: str
    """What has one file of depth."""
    in_parts: bool
    """Whether progress within a unit is told."""
    find: Callable[[Path], list[Path]]
    """Lists what shall have depth."""
    depth_path: Callable[[Path], Path]
    """Where that belongs."""
    is_whole: Callable[[Path], bool]
    """Whether it is there."""
    write: Callable[[Sequence[Path], Callable[[Path], Path], Engine, Advance], Report]
    """Makes it."""


def _png_recipe(find: Callable[[Path], list[Path]], folders: Siblings) -> _Recipe:
    return _Recipe("image", False, find, folders.depth_path, is_whole_png, write_png_maps)


_RECIPES: dict[Layout, _Recipe] = {
    **dict.fromkeys(("davis", "vos", "frames"), _png_recipe(find_jpeg_images, JPEG_IMAGES)),
    "co3d": _png_recipe(_find_co3d_images, CO3D_IMAGES),
    "re10k": _Recipe(
        "chunk", True, find_chunks, depth_chunk_path, is_whole_depth_chunk, write_chunk_maps
    ),
}


def _without_depth(sources: Sequence[Path], recipe: _Recipe, threads: int) -> list[Path]:
    with ThreadPoolExecutor(threads) as pool:
        settled = pool.map(recipe.is_whole, map(recipe.depth_path, sources))
        return [source for source, done in zip(sources, settled, strict=True) if not done]


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


def _tell(report: Report, existing: int, unit: str, share: Share) -> None:
    who = f"process {share.index} of {share.count}: " if share.count > 1 else ""
    _logger.info(
        "%sdepth written for %d %s(s); %d had it already.", who, report.written, unit, existing
    )
    if report.failures:
        _logger.warning("%swithout depth, because they cannot be used:", who)
    for failure in report.failures:
        _logger.warning("  %s", failure)


@cli_errors
def main() -> None:
    """Run from the command line."""
    configure_logging()
    options = parse(PreprocessOptions, prog="python -m core.depth.preprocess")
    sys.exit(preprocess(options.layout, options.paths, options))


if __name__ == "__main__":
    main()
