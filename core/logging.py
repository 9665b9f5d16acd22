"""One way to speak to the user while a program works."""

from __future__ import annotations

import logging
import sys

_ROOT = "streamsplat"


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
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        root.addHandler(handler)


def warn_once(logger: logging.Logger, message: str, _said: set[str] = set()) -> None:  # noqa: B006
    """Log ``message`` as a warning the first time only; later calls with the same text are silent.

    Args:
        logger: Where it is said.
        message: The full text, which also identifies it.
    """
    if message not in _said:
        _said.add(message)
        logger.warning(message)
