"""Depth maps of whole data sets, as files beside the images or the chunks of images."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8, UInt16

from core.checks import UserError
from core.depth.estimation import Engine, Estimated, estimate_maps
from core.io.chunks.depth import write_depth_chunk
from core.io.chunks.images import ChunkSequence, read_image_chunk
from core.io.stills.depth_maps import quantize_inverse_depth, write_depth_png16
from core.io.stills.images import decode_image, read_image

Advance = Callable[[float], object]
"""Called with the number of images or chunks just finished; a fraction for part of a chunk."""


@dataclass(frozen=True)
class Report:
    """What was written, and what failed."""

    written: int = 0
    """Files of depth maps that were written."""
    failures: tuple[str, ...] = ()
    """Why an image, or a whole chunk, has no depth; one line each, which names it."""


def write_png_maps(
    images: Iterable[Path],
    depth_path: Callable[[Path], Path],
    engine: Engine,
    advance: Advance = lambda _: None,
) -> Report:
    """Write the depth map of every image, normalised to [0, 1] by itself, as a 16-bit PNG.

    Files are written atomically. An image that cannot be read is reported and skipped.

    Args:
        images: The image files.
        depth_path: Where the map of an image belongs.
        engine: What estimates.
        advance: Progress, in images.

    Raises:
        UserError: If a map cannot be written, for example because the disk is full.
    """
    failures: list[str] = []
    written = 0
    with _background_writer(engine.threads, most_waiting=2 * engine.batch_size) as write:
        for outcome in estimate_maps(images, read_image, engine):
            if isinstance(outcome, Estimated):
                write(partial(write_depth_png16, depth_path(outcome.item), outcome.inverse_depth))
                written += 1
            else:
                failures.append(outcome.reason)
            advance(1)
    return Report(written, tuple(failures))


def write_chunk_maps(
    chunks: Iterable[Path],
    depth_path: Callable[[Path], Path],
    engine: Engine,
    advance: Advance = lambda _: None,
) -> Report:
    """Write one file of depth maps for every chunk of images; see :mod:`core.io.chunks.depth`.

    Files are written atomically. A frame that cannot be read is reported and has a map of zeros,
    which stands for "no depth". A sequence without a readable frame has no maps; a chunk without
    such a sequence, or that cannot be read, has no file.

    Args:
        chunks: The chunks.
        depth_path: Where the file of a chunk belongs.
        engine: What estimates.
        advance: Progress, in chunks.

    Raises:
        UserError: If a file cannot be written, for example because the disk is full.
    """
    failures: list[str] = []
    written = 0
    with _background_writer(1, most_waiting=1) as write:
        frames = _chunk_frames(chunks, failures, advance)
        for outcome in estimate_maps(frames, _ChunkFrame.decode, engine):
            frame, maps = outcome.item, outcome.item.maps
            if isinstance(outcome, Estimated):
                failure = frame.put(quantize_inverse_depth(outcome.inverse_depth))
            else:
                failure = outcome.reason
            if failure is not None:
                failures.append(failure)
            maps.pending -= 1
            advance(1 / maps.num_frames)
            if maps.pending == 0 and maps.arrays:
                write(partial(write_depth_chunk, depth_path(maps.chunk), maps.arrays))
                written += 1
    return Report(written, tuple(failures))


@dataclass
class _ChunkMaps:
    """The depth maps of a chunk, as they are estimated."""

    chunk: Path
    num_frames: int
    pending: int
    """Frames that are not estimated yet."""
    arrays: dict[str, UInt16[np.ndarray, "f h w"]] = field(default_factory=dict)
    """Maps of each sequence with at least one; zeros where there is none."""


@dataclass(frozen=True)
class _ChunkFrame:
    """A frame within a chunk."""

    maps: _ChunkMaps
    sequence: ChunkSequence
    index: int

    def __str__(self) -> str:
        return f"frame {self.index} of {self.sequence.key} in {self.maps.chunk}"

    def decode(self) -> UInt8[np.ndarray, "h w 3"]:
        data = self.sequence.images[self.index].numpy().tobytes()
        return decode_image(data, str(self))

    def put(self, depth: UInt16[np.ndarray, "h w"]) -> str | None:
        """Store the frame's map, or return why it does not fit."""
        arrays, key = self.maps.arrays, self.sequence.key
        if key not in arrays:
            arrays[key] = np.zeros((len(self.sequence.images), *depth.shape), np.uint16)
        if arrays[key].shape[1:] != depth.shape:
            sizes = "{}x{} instead of {}x{}".format(*depth.shape, *arrays[key].shape[1:])
            return f"{self} is {sizes}; the frames of a sequence are expected to be of one size."
        arrays[key][self.index] = depth
        return None


def _chunk_frames(
    chunks: Iterable[Path], failures: list[str], advance: Advance
) -> Iterator[_ChunkFrame]:
    for chunk in chunks:
        try:
            sequences = {sequence.key: sequence for sequence in read_image_chunk(chunk)}.values()
        except UserError as error:
            failures.append(str(error))
            advance(1)
            continue
        num_frames = sum(len(sequence.images) for sequence in sequences)
        if not num_frames:
            failures.append(f"{chunk} holds no frame.")
            advance(1)
        maps = _ChunkMaps(chunk, num_frames, pending=num_frames)
        for sequence in sequences:
            for index in range(len(sequence.images)):
                yield _ChunkFrame(maps, sequence, index)


@contextmanager
def _background_writer(
    threads: int, *, most_waiting: int
) -> Iterator[Callable[[Callable[[], None]], None]]:
    """Yield a function that runs jobs in threads, and blocks while too many are waiting.

    An error of a job is raised by a later call, or at the end.
    """
    saving: deque[Future[None]] = deque()

    def write(job: Callable[[], None]) -> None:
        saving.append(pool.submit(job))
        if len(saving) > most_waiting:
            saving.popleft().result()

    with ThreadPoolExecutor(threads) as pool:
        yield write
        while saving:
            saving.popleft().result()
