"""The planes from which layers are cut: their size, and look-ups at points of views."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from core.data.layered.motion import Points

_MARGIN = 1.25
"""Size of a plane beside that of the frame."""


@dataclass(frozen=True)
class Planes:
    """Size of frames and planes, and the coordinates of what is looked up, on the device."""

    image_size: tuple[int, int]
    """Height and width of the frames in pixels."""
    size: tuple[int, int]
    """Height and width of the planes in texels, which are as large as pixels."""
    grid: tuple[Float[Tensor, " w"], Float[Tensor, "h 1"]]
    """View coordinates x and y of the pixels."""
    half_grid: tuple[Float[Tensor, " g_w"], Float[Tensor, "g_h 1"]]
    """Those of the centres of blocks of 2 by 2 pixels."""
    scale: Float[Tensor, "2"]
    """Maps view coordinates to [-1, 1] of a plane."""

    @staticmethod
    def around(image_size: tuple[int, int], device: torch.device) -> Planes:
        """Return planes that reach beyond frames of this size."""
        height, width = image_size
        # Even margins: a layer that does not move shows its texels as they are.
        rows, columns = (side + 2 * round((_MARGIN - 1.0) * side / 2.0) for side in image_size)
        return Planes(
            image_size,
            (rows, columns),
            _view_coordinates(image_size, height / width, device),
            _view_coordinates((height // 2, width // 2), height / width, device),
            torch.tensor([width / columns, width / rows], device=device),
        )

    def normalize(self, points: Points) -> Float[Tensor, "*batch h w 2"]:
        """Map view coordinates to [-1, 1] of the planes."""
        return torch.stack(points, dim=-1).mul_(self.scale)


def look_up(
    texture: Float[Tensor, "b c th tw"], where: Float[Tensor, "b v h w 2"]
) -> Float[Tensor, "b c v h w"]:
    """Interpolate bilinearly at normalised points; outside there is the texture's reflection."""
    found = F.grid_sample(
        texture, where.flatten(1, 2), padding_mode="reflection", align_corners=False
    )
    return found.unflatten(2, where.shape[1:3])


def _view_coordinates(
    grid: tuple[int, int], aspect: float, device: torch.device
) -> tuple[Float[Tensor, " w"], Float[Tensor, "h 1"]]:
    x = (2.0 * torch.arange(grid[1], device=device) + 1.0) / grid[1] - 1.0
    y = ((2.0 * torch.arange(grid[0], device=device) + 1.0) / grid[0] - 1.0) * aspect
    return x, y[:, None]
