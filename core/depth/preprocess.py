"""Depth maps for whole data sets, written beside the images."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from core.checks import UserError
from core.geometry.canonical import normalize_inverse_depth
from core.io.depth_maps import write_depth_png16
from core.io.images import IMAGE_EXTENSIONS, list_files, natural_key, read_image
from core.io.prefetch import prefetch

_IMAGES, _DEPTHS = "JPEGImages", "depthImages"
_WRITERS = 4

Estimator = Callable[[Float[Tensor, "b 3 h w"]], Float[Tensor, "b 1 h w"]]
"""RGB in [0, 1] to relative inverse depth, for example ``DepthAnythingV2.infer``."""


@dataclass(frozen=True)
class DepthJob:
    """One image, and where its depth map belongs."""

    image: Path
    """The image file."""
    depth: Path
    """The 16-bit PNG to write."""


@dataclass(frozen=True)
class Failure:
    """An image that got no depth map."""

    image: Path
    """The image file."""
    reason: str
    """What was wrong, in one line."""


@dataclass(frozen=True)
class PreprocessReport:
    """What became of the jobs."""

    written: int
    """Maps that were written."""
    existing: int
    """Maps that were there already and were left alone."""
    failures: tuple[Failure, ...]
    """Images that could not be read."""


def davis_jobs(root: str | Path) -> list[DepthJob]:
    """List the images of a DAVIS or YouTube-VOS tree, in natural order.

    Every image anywhere below a folder ``JPEGImages`` has its map at the same path with
    ``depthImages`` in its place, under the name ``<stem>_pred.png``.

    Args:
        root: A folder that holds ``JPEGImages`` folders at any depth, or lies in one.

    Raises:
        UserError: If there is no such folder, or no image in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root} is no folder; give the root of a data set with {_IMAGES}/.")
    jobs = [
        DepthJob(image, _depth_path(image))
        for folder in _folders(root)
        if _IMAGES in folder.parts
        for image in list_files(folder, IMAGE_EXTENSIONS)
    ]
    if not jobs:
        raise UserError(
            f"{root} holds no images below a folder {_IMAGES}; expected for example "
            f"{root}/{_IMAGES}/Full-Resolution/<sequence>/00000.jpg."
        )
    return jobs


def write_depths(
    jobs: Sequence[DepthJob],
    estimate: Estimator,
    *,
    device: torch.device | str = "cpu",
    batch_size: int = 1,
    overwrite: bool = False,
    on_progress: Callable[[int], object] | None = None,
) -> PreprocessReport:
    """Write the depth map of every image, each normalised to [0, 1] by itself.

    A map appears whole or not at all, so that a run that was broken off goes on where it stopped.
    An image that cannot be read is noted and passed over.

    Args:
        jobs: What to do; neighbours of one size are estimated together.
        estimate: The network.
        device: Where it runs.
        batch_size: Most images in one pass.
        overwrite: Write maps anew that are there already.
        on_progress: Is told how many jobs have just been settled, one way or the other.

    Raises:
        UserError: If a map cannot be written, for example because the disk is full.
    """
    todo = [job for job in jobs if overwrite or not job.depth.exists()]
    advance = on_progress or (lambda count: None)
    advance(len(jobs) - len(todo))
    failures: list[Failure] = []
    written = 0
    saving: list[Future[None]] = []
    with ThreadPoolExecutor(_WRITERS) as pool:
        for batch in _batches(prefetch(_read(todo), 2 * batch_size), batch_size):
            if isinstance(batch, Failure):
                failures.append(batch)
                advance(1)
                continue
            images = torch.from_numpy(np.stack([image for _, image in batch])).to(device)
            depths = estimate(rearrange(images, "b h w c -> b c h w").float() / 255)
            depths = normalize_inverse_depth(depths.float()).cpu()
            # Waiting for the batch before keeps the maps in memory to two batches.
            for future in saving:
                future.result()
            saving = [
                pool.submit(write_depth_png16, job.depth, depth[0])
                for (job, _), depth in zip(batch, depths, strict=True)
            ]
            written += len(batch)
            advance(len(batch))
        for future in saving:
            future.result()
    return PreprocessReport(written, len(jobs) - len(todo), tuple(failures))


def _depth_path(image: Path) -> Path:
    parts = list(image.parts)
    last = len(parts) - 1 - parts[::-1].index(_IMAGES)
    parts[last] = _DEPTHS
    return Path(*parts).with_name(f"{image.stem}_pred.png")


def _folders(root: Path) -> Iterator[Path]:
    """Walk through ``root`` in natural order, through links too, but into no folder twice."""
    seen: set[Path] = set()
    for folder, inner, _ in os.walk(root, followlinks=True):
        inner.sort(key=lambda name: natural_key(Path(name)))
        if (real := Path(folder).resolve()) in seen:
            inner.clear()
            continue
        seen.add(real)
        yield Path(folder)


_Loaded = tuple[DepthJob, UInt8[np.ndarray, "h w 3"]]


def _read(jobs: Sequence[DepthJob]) -> Generator[_Loaded | Failure, None, None]:
    for job in jobs:
        try:
            yield job, read_image(job.image)
        except UserError as error:
            yield Failure(job.image, str(error))


def _batches(
    loaded: Iterator[_Loaded | Failure], batch_size: int
) -> Iterator[list[_Loaded] | Failure]:
    """Group neighbours of one size, at most ``batch_size``; failures pass between them."""

    def size(item: _Loaded | Failure) -> tuple[int, ...] | None:
        return None if isinstance(item, Failure) else item[1].shape

    for _, group in groupby(loaded, key=size):
        batch: list[_Loaded] = []
        for item in group:
            if isinstance(item, Failure):
                yield item
                continue
            batch.append(item)
            if len(batch) == batch_size:
                yield batch
                batch = []
        if batch:
            yield batch
