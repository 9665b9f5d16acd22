"""What identifies the content of a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from core.checks import UserError

_BLOCK = 1 << 20


def file_digest(path: str | Path) -> str:
    """Return the SHA-256 of a file, as ``sha256sum`` prints it.

    Raises:
        UserError: If it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error
    return digest.hexdigest()
