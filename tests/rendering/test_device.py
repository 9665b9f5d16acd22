from __future__ import annotations

import pytest
import torch

from core.checks import UserError
from core.rendering.device import check_rasterizer


def test_a_rasterizer_that_cannot_be_used_is_named() -> None:
    check_rasterizer("reference", torch.device("cpu"))
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="backend cuda"):
            check_rasterizer("cuda", torch.device("cpu"))
