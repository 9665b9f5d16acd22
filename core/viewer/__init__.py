"""The player of scene files for browsers; its source is in ``viewer/``."""

from core.viewer.html import write_player

__all__ = ["write_player"]
