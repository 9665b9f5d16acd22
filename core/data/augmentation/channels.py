"""Linear maps of the channels of images."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def mix_channels(
    matrices: Float[Tensor, "n d c"], images: Float[Tensor, "n v c h w"]
) -> Float[Tensor, "n v d h w"]:
    """Multiply the channels of each image with the matrix of its row.

    Channel by channel rather than as a matrix product, whose precision depends on global settings.
    """
    columns = matrices[:, None, :, :, None, None].unbind(3)  # c of (n, 1, d, 1, 1)
    mixed = columns[0] * images[:, :, :1]
    for channel, column in enumerate(columns[1:], start=1):
        mixed.addcmul_(column, images[:, :, channel : channel + 1])
    return mixed
