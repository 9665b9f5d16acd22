"""Loss terms of training, one a file, each a plain function of tensors."""

from core.losses.depth import depth_loss
from core.losses.flow import (
    flow_loss,
    flow_of_gaussians,
    hidden_loss,
    pixels_from_displacements,
)
from core.losses.perceptual import Distance, perceptual_loss
from core.losses.photometric import masked_mse, mse

__all__ = [
    "Distance",
    "depth_loss",
    "flow_loss",
    "flow_of_gaussians",
    "hidden_loss",
    "masked_mse",
    "mse",
    "perceptual_loss",
    "pixels_from_displacements",
]
