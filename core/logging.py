"""Messages to the user while a program runs."""

from __future__ import annotations

import logging
import sys
from functools import cache

from tqdm import tqdm

from core.text import printable, without_secrets

_ROOT = "streamsplat"


class _StandardError(logging.Handler):
    """Writes lines to standard error, above the progress bars that are there."""

    def emit(self, record: logging.LogRecord) -> None:
        text = printable(without_secrets(self.format(record)))
        tqdm.write(text, file=sys.stderr)


def get_logger(name: str) -> logging.Logger:
    """Return the project's logger for a module.

    Args:
        name: The module's ``__name__``; shown only when a handler asks for it.
    """
    return logging.getLogger(f"{_ROOT}.{name}")


def configure_logging(*, level: int = logging.INFO) -> None:
    """Send the project's messages to standard error, one plain line each.

    Call once, at the start of a program; calling again changes the level only.

    Args:
        level: Lowest level that is shown.
    """
    root = logging.getLogger(_ROOT)
    root.setLevel(level)
    root.propagate = False
    if not root.handlers:
        handler = _StandardError()
        handler.setFormatter(logging.Formatter("%(message)s"))
        root.addHandler(handler)


@cache
def warn_once(logger: logging.Logger, message: str) -> None:
    """Log ``message`` as a warning the first time only; later calls with the same text are silent.

    Args:
        logger: Where it is said.
        message: The full text, which also identifies it.
    """
    logger.warning(message)
