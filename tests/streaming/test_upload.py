from __future__ import annotations

import pytest
import torch

from core.streaming.upload import Uploader, is_alike


def test_a_buffer_is_used_for_values_of_its_shape_and_type_only() -> None:
    pixels = torch.zeros(4, 6, 3, dtype=torch.uint8)
    assert is_alike(pixels, torch.ones_like(pixels))
    assert not is_alike(pixels, pixels.float())
    assert not is_alike(pixels, pixels[:3])


def test_nothing_is_copied_where_the_values_are_already() -> None:
    values = torch.rand(3)
    assert Uploader(torch.device("cpu"))(values) is values


@pytest.mark.gpu
def test_values_of_every_kind_arrive_on_the_gpu() -> None:
    upload = Uploader(torch.device("cuda"))
    pixels = torch.randint(0, 255, (4, 6, 3), dtype=torch.uint8)
    halves = pixels.float() / 255
    for values in (pixels, halves, halves.bfloat16(), pixels, pixels[:2], halves, halves):
        sent = upload(values.clone())
        assert sent.device.type == "cuda"
        assert torch.equal(sent.cpu(), values)
