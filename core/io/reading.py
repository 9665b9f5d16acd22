"""What all readers of files have in common: how they open them, and how they fail."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.checks import UserError


def read_file(path: str | Path, what: str = "file") -> bytes:
    """Read a whole file.

    Args:
        path: The file. A named pipe or a device, which may never end, is refused.
        what: What messages call it, for example "image".

    Raises:
        UserError: If it cannot be read.
    """
    try:
        require_regular(path, what)
        return Path(path).read_bytes()
    except (OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or "it does not fit into memory"
        raise UserError(f"cannot read the {what} {path}: {reason}.") from error


def require_regular(path: str | Path, what: str = "file") -> None:
    """Refuse a pipe, a device or a socket in place of a file; opening one may block for ever.

    Raises:
        UserError: If ``path`` is there and neither a file nor a folder.
        OSError: If it cannot be looked at, for example because it is not there.
    """
    mode = Path(path).stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UserError(
            f"the {what} {path} is a pipe or a device; give a regular file, for example a copy."
        )


@contextmanager
def one_line_errors(message: str) -> Iterator[None]:
    """Turn whatever a library raises at a file that it cannot read into a ``UserError``.

    Decoders raise nearly every exception there is at damaged content, from ``MemoryError`` to
    ``RecursionError``, and others in other versions.

    Args:
        message: What the user reads: which file, what is wrong, how to mend it.

    Raises:
        UserError: In place of any other exception of the block; one of the block's own passes.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(message) from error
