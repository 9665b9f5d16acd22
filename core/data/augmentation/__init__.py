"""Random changes of training samples, the same for all that belongs to a sequence."""

from core.data.augmentation.augment import augment
from core.data.augmentation.options import AugmentationOptions
from core.data.augmentation.view import MAX_ZOOM, View, covering_size, resize

__all__ = ["MAX_ZOOM", "AugmentationOptions", "View", "augment", "covering_size", "resize"]
