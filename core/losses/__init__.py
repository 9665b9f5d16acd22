"""Loss terms of training, one a file, each a plain function of tensors."""

from core.losses.depth import depth_loss
from core.losses.motion import motion_loss
from core.losses.perceptual import Distance, perceptual_loss
from core.losses.photometric import masked_mse, mse

__all__ = ["Distance", "depth_loss", "masked_mse", "motion_loss", "mse", "perceptual_loss"]
