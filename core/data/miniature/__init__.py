"""Small instances of every data set, for tests and for trying things without a download."""

from core.data.miniature.writing import LAYOUTS, count_clips, write_miniature

__all__ = ["LAYOUTS", "count_clips", "write_miniature"]
