"""Small instances of every data set, for tests and for trying things without a download."""

from typing import TYPE_CHECKING

from core.lazy import offer

if TYPE_CHECKING:
    from core.data.miniature.writing import LAYOUTS, count_clips, write_miniature

__all__ = ["LAYOUTS", "count_clips", "write_miniature"]

__getattr__ = offer(
    __name__, {"core.data.miniature.writing": ["LAYOUTS", "count_clips", "write_miniature"]}
)
