from __future__ import annotations

import pytest
import torch

from core.checks import UserError
from core.evaluation.device import check_rasterizer, choose_device


def test_auto_finds_a_device() -> None:
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert choose_device("auto").type == expected


@pytest.mark.parametrize("name", ["warp", "cuda:99", "meta"])
def test_devices_that_are_not_there_are_named(name: str) -> None:
    with pytest.raises(UserError, match=f"--device {name}") as error:
        choose_device(name)
    assert "\n" not in str(error.value)


def test_a_rasterizer_that_cannot_be_used_is_named() -> None:
    check_rasterizer("reference", torch.device("cpu"))
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="--backend cuda"):
            check_rasterizer("cuda", torch.device("cpu"))
