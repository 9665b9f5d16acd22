"""Random changes of training samples, the same for all that belongs to a sequence."""

from core.data.augmentation.augment import augment
from core.data.augmentation.options import AugmentationOptions

__all__ = ["AugmentationOptions", "augment"]
