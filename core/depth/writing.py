"""Depth maps of whole data sets, as files beside the images or the chunks of images."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8, UInt16

from core.checks import UserError
from core.depth.estimation import Engine, Estimated, estimate_maps
from core.io.depth_chunks import DepthChunk, depth_chunk_path, write_depth_chunk
from core.io.depth_maps import quantize_inverse_depth, write_depth_png16
from core.io.image_chunks import ChunkSequence, read_image_chunk
from core.io.images import decode_bytes, is_whole_png, read_image

Advance = Callable[[float], object]
"""Is told how many images or chunks, and parts of chunks, have just been settled."""


@dataclass(frozen=True)
class Report:
    """What became of the files of depth maps."""

    written: int = 0
    """Files that were written."""
    existing: int = 0
    """Files that were there already, whole, and were left alone."""
    failures: tuple[str, ...] = ()
    """Why an image, or a whole chunk, has no depth; one line each, which names it."""


def write_png_maps(
    images: Sequence[Path],
    depth_path: Callable[[Path], Path],
    engine: Engine,
    *,
    overwrite: bool = False,
    advance: Advance = lambda _: None,
) -> Report:
    """Write the depth map of every image, normalised to [0, 1] by itself, as a 16-bit PNG.

    A map appears whole or not at all, so that a run that was broken off goes on where it stopped.
    An image that cannot be read is noted and passed over.

    Args:
        images: The image files.
        depth_path: Where the map of an image belongs.
        engine: What estimates.
        overwrite: Write maps anew that are there already.
        advance: Is told about progress, in images.

    Raises:
        UserError: If a map cannot be written, for example because the disk is full.
    """
    todo = _unsettled(images, lambda image: is_whole_png(depth_path(image)), engine, overwrite)
    advance(len(images) - len(todo))
    failures: list[str] = []
    with _background_writer(engine.threads, most_waiting=2 * engine.batch_size) as write:
        for outcome in estimate_maps(todo, read_image, engine):
            if isinstance(outcome, Estimated):
                write(partial(write_depth_png16, depth_path(outcome.item), outcome.inverse_depth))
            else:
                failures.append(outcome.reason)
            advance(1)
    return Report(len(todo) - len(failures), len(images) - len(todo), tuple(failures))


def write_chunk_maps(
    chunks: Sequence[Path],
    engine: Engine,
    *,
    overwrite: bool = False,
    advance: Advance = lambda _: None,
) -> Report:
    """Write one file of depth maps for every chunk of images; see :mod:`core.io.depth_chunks`.

    A file appears whole or not at all. A frame that cannot be read is noted and has a map of zeros,
    which stands for "no depth". A sequence without a readable frame has no maps; a chunk without
    such a sequence, or that cannot be read itself, has no file.

    Args:
        chunks: The chunks.
        engine: What estimates.
        overwrite: Write files anew that are there already.
        advance: Is told about progress, in chunks.

    Raises:
        UserError: If a file cannot be written, for example because the disk is full.
    """
    todo = _unsettled(chunks, _has_depth_chunk, engine, overwrite)
    advance(len(chunks) - len(todo))
    failures: list[str] = []
    written = 0
    with _background_writer(1, most_waiting=1) as write:
        frames = _chunk_frames(todo, failures, advance)
        for outcome in estimate_maps(frames, _ChunkFrame.decode, engine):
            frame = outcome.item
            if isinstance(outcome, Estimated):
                failure = frame.put(quantize_inverse_depth(outcome.inverse_depth))
            else:
                failure = outcome.reason
            if failure is not None:
                failures.append(failure)
            maps = frame.maps
            maps.pending -= 1
            advance(1 / maps.num_frames)
            if maps.pending == 0 and maps.arrays:
                write(partial(write_depth_chunk, depth_chunk_path(maps.chunk), maps.arrays))
                written += 1
    return Report(written, len(chunks) - len(todo), tuple(failures))


@dataclass
class _ChunkMaps:
    """The depth maps of a chunk while they come in."""

    chunk: Path
    num_frames: int
    pending: int
    """Frames of which it is not settled yet what becomes of them."""
    arrays: dict[str, UInt16[np.ndarray, "f h w"]] = field(default_factory=dict)
    """Of each sequence with at least one map; zeros where there is none (yet)."""


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
        return cv2.cvtColor(decode_bytes(data, cv2.IMREAD_COLOR, str(self)), cv2.COLOR_BGR2RGB)

    def put(self, depth: UInt16[np.ndarray, "h w"]) -> str | None:
        """Keep the frame's map, or return why it does not fit."""
        arrays, key = self.maps.arrays, self.sequence.key
        if key not in arrays:
            arrays[key] = np.zeros((len(self.sequence.images), *depth.shape), np.uint16)
        if arrays[key].shape[1:] != depth.shape:
            sizes = "{}x{} instead of {}x{}".format(*depth.shape, *arrays[key].shape[1:])
            return f"{self} is {sizes}; the frames of a sequence are expected to be of one size."
        arrays[key][self.index] = depth
        return None


def _chunk_frames(
    chunks: Sequence[Path], failures: list[str], advance: Advance
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


def _has_depth_chunk(chunk: Path) -> bool:
    path = depth_chunk_path(chunk)
    try:
        return path.exists() and bool(DepthChunk(path).keys)
    except UserError:
        return False


def _unsettled(
    sources: Sequence[Path], has_depth: Callable[[Path], bool], engine: Engine, overwrite: bool
) -> list[Path]:
    """Return the sources whose depth is not there yet."""
    if overwrite:
        return list(sources)
    with ThreadPoolExecutor(engine.threads) as pool:
        settled = pool.map(has_depth, sources)
        return [source for source, done in zip(sources, settled, strict=True) if not done]


@contextmanager
def _background_writer(
    threads: int, *, most_waiting: int
) -> Iterator[Callable[[Callable[[], None]], None]]:
    """Give a function that runs others in threads; it waits where too much waits already.

    What these raise is passed on, by a later call or at the end.
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
