"""Numbers drawn on the host, brought to the device without waiting for it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def upload(values: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array to ``device``; floating-point numbers become float32.

    From pinned memory the copy is in order with the work that follows there, and the host goes on.
    """
    tensor = torch.from_numpy(values)
    tensor = tensor.float() if tensor.is_floating_point() else tensor
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
