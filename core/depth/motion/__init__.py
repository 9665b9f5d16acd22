"""Relative inverse depth of a clip from the motion of its own camera."""

from core.depth.motion.stream import MotionDepth

__all__ = ["MotionDepth"]
