"""Depth maps of many images: decoded on threads, estimated in batches of equal size."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from core.checks import UserError
from core.geometry.canonical import normalize_inverse_depth
from core.io.background import map_ahead

_ROUNDS_IN_WAITING = 8

Estimator = Callable[[Float[Tensor, "b 3 h w"]], Float[Tensor, "b 1 h w"]]
"""RGB in [0, 1] to relative inverse depth, for example ``DepthAnythingV2.infer``."""

_Image = UInt8[np.ndarray, "h w 3"]
T = TypeVar("T")


@dataclass(frozen=True)
class Engine:
    """What estimates depth, and the sizes of its batches."""

    estimate: Estimator
    """The network."""
    device: torch.device
    """Device of the network."""
    batch_size: int = 1
    """Most images in a forward pass."""
    threads: int = 4
    """Threads that decode images, and as many that encode depth maps."""


@dataclass(frozen=True)
class Estimated(Generic[T]):
    """The depth map of one item."""

    item: T
    """What the map belongs to."""
    inverse_depth: Float[np.ndarray, "h w"]
    """Relative inverse depth, normalised to [0, 1] by itself."""


@dataclass(frozen=True)
class Unreadable(Generic[T]):
    """An item without a depth map."""

    item: T
    """The item."""
    reason: str
    """What was wrong, in one line."""


@dataclass(frozen=True)
class _Loaded(Generic[T]):
    item: T
    image: _Image


def estimate_maps(
    items: Iterable[T], load: Callable[[T], _Image], engine: Engine
) -> Generator[Estimated[T] | Unreadable[T], None, None]:
    """Estimate the depth of every item once, each map normalised by itself.

    Args:
        items: Anything; consumed as needed.
        load: Reads the image of an item; called in several threads. A ``UserError`` of it makes the
            item ``Unreadable``.
        engine: What estimates.

    Yields:
        One outcome for each item, nearly in order: images of one size that are not too far apart
        are estimated together.
    """

    def attempt(item: T) -> _Loaded[T] | Unreadable[T]:
        try:
            return _Loaded(item, load(item))
        except UserError as error:
            return Unreadable(item, str(error))

    ahead = 2 * engine.batch_size + engine.threads
    loaded = map_ahead(attempt, items, threads=engine.threads, ahead=ahead)
    try:
        running = None
        for batch in _batches(loaded, engine.batch_size):
            if isinstance(batch, Unreadable):
                yield batch
                continue
            # The device starts this batch before the host waits for the results of the last.
            started = batch, _start(batch, engine)
            if running is not None:
                yield from _finish(*running)
            running = started
        if running is not None:
            yield from _finish(*running)
    finally:
        loaded.close()


def _start(batch: list[_Loaded[T]], engine: Engine) -> Float[Tensor, "b 1 h w"]:
    images = torch.from_numpy(np.stack([loaded.image for loaded in batch])).to(engine.device)
    depths = engine.estimate(rearrange(images, "b h w c -> b c h w").float() / 255)
    finite = torch.isfinite(depths).all(dim=(-2, -1), keepdim=True)
    return torch.where(finite, normalize_inverse_depth(depths.float()), torch.nan)


def _finish(
    batch: list[_Loaded[T]], depths: Float[Tensor, "b 1 h w"]
) -> Iterator[Estimated[T] | Unreadable[T]]:
    for loaded, depth in zip(batch, depths.cpu().numpy(), strict=True):
        if not np.isnan(depth[0, 0, 0]):
            yield Estimated(loaded.item, depth[0])
        else:
            yield Unreadable(loaded.item, f"the network gave no finite depth for {loaded.item}")


def _batches(
    loaded: Iterable[_Loaded[T] | Unreadable[T]], batch_size: int
) -> Iterator[list[_Loaded[T]] | Unreadable[T]]:
    """Collect images of one size, at most ``batch_size``; unreadable items pass at once.

    No image waits for others of its size for more than ``_ROUNDS_IN_WAITING`` batches, which bounds
    memory and how far the order changes.
    """
    waiting: dict[tuple[int, ...], list[_Loaded[T]]] = {}
    since: dict[tuple[int, ...], int] = {}
    for count, item in enumerate(loaded):
        if isinstance(item, Unreadable):
            yield item
            continue
        size = item.image.shape
        since.setdefault(size, count)
        waiting.setdefault(size, []).append(item)
        if len(waiting[size]) == batch_size:
            del since[size]
            yield waiting.pop(size)
        oldest = next(iter(since), None)
        if oldest is not None and count - since[oldest] >= _ROUNDS_IN_WAITING * batch_size:
            del since[oldest]
            yield waiting.pop(oldest)
    yield from waiting.values()
