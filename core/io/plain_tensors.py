"""Files of ``torch.save``, of which only tensors and plain values are read."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

_ZIP, _PICKLE = b"PK", b"\x80"
"""How files of today's format begin, and those of the one before."""


class NotPlainError(ValueError):
    """A file holds objects other than tensors and plain values."""


class DamagedFileError(ValueError):
    """A file is missing, cut short, damaged, or none of ``torch.save``."""


def load_plain(path: str | Path, *, mapped: bool) -> Any:
    """Load tensors, lists, dictionaries, text and numbers; nothing else is unpickled.

    Args:
        path: The file.
        mapped: Map it into memory, so that tensors that are not looked at are not read.

    Raises:
        NotPlainError: If it holds anything else.
        DamagedFileError: If it cannot be read.
    """
    begin = b""
    try:
        with Path(path).open("rb") as file:
            begin = file.read(2)
        # Files of the older format, which is no zip archive, cannot be mapped.
        mapped = mapped and begin == _ZIP
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # bytes that are no pickle may be taken for any instruction of one
        if isinstance(error, pickle.UnpicklingError) and begin.startswith((_ZIP, _PICKLE)):
            raise NotPlainError(str(error)) from error
        raise DamagedFileError(str(error)) from error
