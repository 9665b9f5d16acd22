"""Depth maps of a chunk in the published form, ``depth_<chunk>.pt``, which is a pickle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from core.checks import UserError
from core.io.plain_tensors import DamagedFileError, NotPlainError, load_plain


class PickleRefusedError(UserError):
    """A file can only be read by running what it brings, which was not allowed."""


class PickledDepthChunk:
    """A file that holds {"key": [...], "predicted_depth_norm": [uint8 (f, h, w), ...]}.

    Tensors and plain values are read without unpickling anything else (``weights_only``).

    Args:
        path: The file.
        allow_pickle: Unpickle a file that holds more than that, such as NumPy arrays. Unpickling
            runs whatever code the file brings: only for files from people you trust.

    Raises:
        PickleRefusedError: If the file needs ``allow_pickle``.
        UserError: If it cannot be read, or is not such a file.
    """

    def __init__(self, path: str | Path, *, allow_pickle: bool = False) -> None:
        self.path = Path(path)
        content = self._load(allow_pickle)
        try:
            names, maps = content["key"], content["predicted_depth_norm"]
            self._maps = {str(n): np.asarray(m) for n, m in zip(names, maps, strict=True)}
        except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
            raise self._damaged() from error
        for values in self._maps.values():
            if values.dtype != np.uint8 or values.ndim != 3:
                raise self._damaged()

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the sequences that have maps."""
        return tuple(self._maps)

    def shape(self, key: str) -> tuple[int, int, int]:
        """Return frames, height and width of a sequence's maps."""
        frames, height, width = self._maps[key].shape
        return frames, height, width

    def read(self, key: str, frames: Sequence[int]) -> UInt8[np.ndarray, "v h w"]:
        """Return the maps of some frames of a sequence: relative inverse depth, 255 is nearest."""
        return self._maps[key][list(frames)]

    def _load(self, allow_pickle: bool) -> Any:
        try:
            return load_plain(self.path, mapped=True)
        except NotPlainError as error:
            if not allow_pickle:
                raise PickleRefusedError(
                    f"{self.path} holds pickled objects beside tensors, and unpickling runs code "
                    "that the file brings; if you trust its origin give --allow_pickle_depth, or "
                    "make the maps anew with python -m core.depth.preprocess re10k."
                ) from error
        except DamagedFileError as error:
            raise self._damaged() from error
        try:
            return torch.load(self.path, map_location="cpu", weights_only=False)
        except Exception as error:  # a pickle may raise anything at all
            raise self._damaged() from error

    def _damaged(self) -> UserError:
        return UserError(
            f"cannot read the depth maps in {self.path}: the file is cut short or damaged, or "
            "holds something else than keys and uint8 maps of shape (f, h, w); make it anew with "
            "python -m core.depth.preprocess re10k."
        )
