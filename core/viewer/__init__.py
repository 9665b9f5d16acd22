"""The player for browsers, as one file or from a server; its source is in ``viewer/``."""

from typing import TYPE_CHECKING

from core.lazy import offer

if TYPE_CHECKING:
    from core.viewer.html import write_player

__all__ = ["write_player"]

__getattr__ = offer(__name__, {"core.viewer.html": ["write_player"]})
