"""Depth maps of many sequences in one file, beside the chunk of images that they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt16
from safetensors import safe_open
from safetensors.numpy import save_file

from core.checks import UserError
from core.io.atomic import atomic_path
from core.io.reading import one_line_errors

_FORMAT, _VERSION = "streamsplat-depth-chunk", "1"


def depth_chunk_path(chunk: str | Path) -> Path:
    """Return the file of a chunk's depth maps: ``depth_<chunk>.safetensors`` beside it."""
    chunk = Path(chunk)
    return chunk.with_name(f"depth_{chunk.stem}.safetensors")


def write_depth_chunk(path: str | Path, maps: Mapping[str, UInt16[np.ndarray, "f h w"]]) -> None:
    """Write the depth maps of a chunk's sequences; the file appears whole or not at all.

    Args:
        path: See :func:`depth_chunk_path`.
        maps: One array a sequence, by its key: relative inverse depth, 65535 is nearest. A map of
            zeros stands for a frame without depth.

    Raises:
        ValueError: If an array is not uint16 of shape (f, h, w).
        UserError: If the file cannot be written.
    """
    for key, values in maps.items():
        if values.dtype != np.uint16 or values.ndim != 3:
            raise ValueError(
                f"write_depth_chunk: {key} is {values.dtype} of shape {values.shape}; expected "
                "uint16 of shape (f, h, w)."
            )
    whole = {key: np.ascontiguousarray(values) for key, values in maps.items()}
    with atomic_path(path) as partial:
        save_file(whole, partial, metadata={"format": _FORMAT, "version": _VERSION})


def is_whole_depth_chunk(path: str | Path) -> bool:
    """Whether there is such a file, of this version, with as many bytes as it says."""
    try:
        return bool(DepthChunk(path).keys)
    except UserError:
        return False


class DepthChunk:
    """A file of :func:`write_depth_chunk`, of which only what is asked for is read.

    Nothing stays open between calls, so that it can be handed to other processes.

    Args:
        path: The file.

    Raises:
        UserError: If it cannot be read, is cut short, or is not such a file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with one_line_errors(self._damaged), safe_open(self.path, framework="numpy") as file:
            metadata = file.metadata() or {}
            found = metadata.get("format"), metadata.get("version")
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
            self._shapes = {key: tuple(part.get_shape()) for key, part in slices.items()}
            kinds = {part.get_dtype() for part in slices.values()}
        if found != (_FORMAT, _VERSION):
            raise UserError(
                f"{self.path} is no file of depth maps of this version (format {found[0]}, version "
                f"{found[1]}); expected {_FORMAT}, version {_VERSION}. Make it anew with python -m "
                "core.depth.preprocess re10k --overwrite."
            )
        if kinds - {"U16"} or any(len(shape) != 3 for shape in self._shapes.values()):
            raise UserError(self._damaged)

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the sequences that have maps."""
        return tuple(self._shapes)

    def shape(self, key: str) -> tuple[int, int, int]:
        """Return frames, height and width of a sequence's maps."""
        frames, height, width = self._shapes[key]
        return frames, height, width

    def read(self, key: str, frames: Sequence[int]) -> UInt16[np.ndarray, "v h w"]:
        """Read the maps of some frames: relative inverse depth, 65535 is nearest.

        Args:
            key: The sequence; one of ``keys``.
            frames: Which of its frames, from 0.

        Raises:
            UserError: If the file can no longer be read, or has no such frame.
        """
        held = self.shape(key)[0]
        beyond = [frame for frame in frames if not 0 <= frame < held]
        if beyond:
            raise UserError(
                f"{self.path} holds {held} depth maps of {key}, but frame {beyond[0]} (counted "
                "from 0) is asked for; does it belong to another chunk of images?"
            )
        with one_line_errors(self._damaged), safe_open(self.path, framework="numpy") as file:
            maps = file.get_slice(key)
            return np.stack([maps[int(frame)] for frame in frames])

    @property
    def _damaged(self) -> str:
        return (
            f"cannot read the depth maps in {self.path}: the file is missing, cut short or "
            "damaged; make it anew with python -m core.depth.preprocess re10k."
        )
