"""Quantised values of a grid, in groups of up to three channels that share images."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Callable, Container, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from jaxtyping import Float, Int

from core.scene_file.planes import decode_image, encode_image
from core.scene_file.records import Fields, damaged

MAX_LEVEL = 0xFFFF
"""Largest integer of a channel."""
MAX_VALUE = 1e4
"""Largest magnitude of a channel's value."""
_ENCODERS = min(max(4, (os.cpu_count() or 1) // 2), 8)
"""Threads that encode images; an interval has about 13, which take about 3 ms each."""
_GROUP = struct.Struct("<BBB")
_CHANNEL = struct.Struct("<2f")
_LENGTH = struct.Struct("<I")
_COUNT = struct.Struct("<B")


@dataclass(frozen=True)
class Channel:
    """One value for each Gaussian of a grid: ``low + level * step`` in float32."""

    levels: Int[np.ndarray, " n"]
    """Integers in [0, 65535]; row-major."""
    low: float
    """Value of level 0; representable in float32."""
    step: float
    """Distance of two levels, at least 0; representable in float32."""

    @property
    def values(self) -> Float[np.ndarray, " n"]:
        """The values: the product is rounded to float32, then the sum."""
        return np.float32(self.low) + self.levels.astype(np.float32) * np.float32(self.step)


@dataclass(frozen=True)
class Group:
    """Channels that are stored together."""

    kind: int
    """What they are, see docs/format.md."""
    channels: tuple[Channel, ...]
    """One to three."""
    is_fast: tuple[bool, bool] = (False, False)
    """Whether images of their low and of their high bytes are encoded fast, a matter of the writer:
    where more effort saves few bytes."""


def quantize(values: Float[np.ndarray, " n"], step: float, *, room: int = 0) -> Channel:
    """Round values to multiples of ``step`` above their minimum.

    Where the values span more levels than there are, the step grows.

    Args:
        values: Finite.
        step: Above 0.
        room: How many levels to leave free below and above.
    """
    values = values.clip(-MAX_VALUE / 4, MAX_VALUE / 4).astype(np.float64, copy=False)
    low, high = float(values.min()), float(values.max())
    step = float(np.float32(max(step, (high - low) / (MAX_LEVEL - 2 * room - 1))))
    low = float(np.float32(low - room * step))
    # In place: new arrays take longer than the arithmetic.
    values -= low
    values /= step
    np.rint(values, out=values)
    return Channel(values.clip(0, MAX_LEVEL, out=values).astype(np.int32), low, step)


def constant(value: float, count: int) -> Channel:
    """Return a channel of one value."""
    return Channel(np.zeros(count, np.int32), float(np.float32(value)), 0.0)


def shift(channel: Channel, where: Int[np.ndarray, " m"], by: Int[np.ndarray, " m"]) -> Channel:
    """Return the channel with the levels in some places changed by some levels."""
    levels = channel.levels.copy()
    levels[where] = (levels[where] + by).clip(0, MAX_LEVEL)
    return Channel(levels, channel.low, channel.step)


def start_packing(groups: Sequence[Group], grid_size: tuple[int, int]) -> Callable[[], bytes]:
    """Start to encode the images of a block of groups in several threads.

    Returns:
        What waits for them and gives the bytes of the block.
    """
    threads = _encoders()
    encoded: list[list[Future[bytes]]] = []
    for group in groups:
        levels = [channel.levels.reshape(grid_size) for channel in group.channels]
        count = _byte_count(max(int(plane.max()) for plane in levels))
        encoded.append(
            [
                threads.submit(_encode_part, levels, part, group.is_fast[part])
                for part in range(count)
            ]
        )
    return partial(_assemble, groups, encoded)


def _assemble(groups: Sequence[Group], encoded: Sequence[Sequence[Future[bytes]]]) -> bytes:
    parts = [_COUNT.pack(len(groups))]
    for group, futures in zip(groups, encoded, strict=True):
        images = [future.result() for future in futures]
        parts.append(_GROUP.pack(group.kind, len(group.channels), len(images)))
        parts += [_CHANNEL.pack(channel.low, channel.step) for channel in group.channels]
        for image in images:
            parts += [_LENGTH.pack(len(image)), image]
    return b"".join(parts)


def unpack_groups(
    fields: Fields, grid_size: tuple[int, int], kinds: Container[int]
) -> dict[int, Group]:
    """Read a block of groups, by kind.

    Args:
        fields: At the beginning of the block.
        grid_size: Rows and columns.
        kinds: What to read; groups of other kinds are skipped without being decoded.

    Raises:
        UserError: If it breaks the format.
    """
    groups: dict[int, Group] = {}
    (count,) = fields.unpack(_COUNT)
    for _ in range(count):
        kind, num_channels, num_images = fields.unpack(_GROUP)
        if not 1 <= num_channels <= 3 or num_images > 2 or kind in groups:
            raise damaged(fields.where, f"group {kind} cannot be as it is announced")
        ranges = [fields.unpack(_CHANNEL) for _ in range(num_channels)]
        images: list[memoryview] = []
        for _ in range(num_images):
            (length,) = fields.unpack(_LENGTH)
            images.append(fields.take(length))
        if kind not in kinds:
            continue
        # By channel, whose levels are then side by side in memory.
        levels = [np.zeros(grid_size[0] * grid_size[1], np.int32) for _ in ranges]
        for part, image in enumerate(images):
            planes = decode_image(image, grid_size, fields.where).reshape(-1, 3)
            for i, channel in enumerate(levels):
                channel += planes[:, i].astype(np.int32) << 8 * part
        channels = [Channel(ls, *r) for ls, r in zip(levels, ranges, strict=True)]
        if not all(_is_possible(channel) for channel in channels):
            raise damaged(fields.where, f"a channel of group {kind} has impossible values")
        groups[kind] = Group(kind, tuple(channels))
    return groups


@cache
def _encoders() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_ENCODERS, "scene_images")


def _encode_part(levels: list[np.ndarray], part: int, is_fast: bool) -> bytes:
    return encode_image(_planes(levels, part), is_fast=is_fast)


def _planes(levels: list[np.ndarray], part: int) -> np.ndarray:
    """Return the low (0) or high (1) bytes of up to three planes as those of an image.

    A single one is stored as grey, which WebP codes best; the third plane of two is 0.
    """
    planes = [(plane >> 8 * part).astype(np.uint8) for plane in levels]
    if len(planes) == 1:
        return planes[0]
    image = np.zeros((*planes[0].shape, 3), np.uint8)
    for i, plane in enumerate(planes):
        image[..., i] = plane
    return image


def _byte_count(largest: int) -> int:
    return (largest.bit_length() + 7) // 8


def _is_possible(channel: Channel) -> bool:
    reach = abs(channel.low) + int(channel.levels.max()) * channel.step
    return math.isfinite(channel.step) and channel.step >= 0 and reach <= MAX_VALUE
