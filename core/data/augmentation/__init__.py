"""Random changes of training samples, the same for all that belongs to a sequence."""

from core.data.augmentation.view import MAX_ZOOM, View, covering_size, resize

__all__ = ["MAX_ZOOM", "View", "covering_size", "resize"]
