"""Relative inverse depth of a clip from the motion of its own camera."""

from typing import TYPE_CHECKING

from core.lazy import offer

if TYPE_CHECKING:
    from core.depth.motion.stream import MotionDepth

__all__ = ["MotionDepth"]

__getattr__ = offer(__name__, {"core.depth.motion.stream": ["MotionDepth"]})
