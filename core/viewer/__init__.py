"""The player for browsers, as one file or from a server; its source is in ``viewer/``."""

from core.viewer.html import write_player

__all__ = ["write_player"]
