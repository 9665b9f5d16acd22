"""The player for browsers, as one file or from a server; its source is in ``viewer/``."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.viewer.html import write_player

__all__ = ["write_player"]


def __getattr__(name: str) -> object:
    """Import what takes seconds only when it is asked for: the help of the viewer does without."""
    if name != "write_player":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from core.viewer.html import write_player

    return write_player
