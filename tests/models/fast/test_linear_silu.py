from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from core.models.fast.linear_silu import LinearSilu


@pytest.mark.parametrize("bias", [False, True])
def test_it_is_a_layer_and_a_silu_that_share_the_layers_weights(bias: bool) -> None:
    layer = nn.Linear(6, 4, bias=bias)
    both = LinearSilu.of(layer)
    x = torch.randn(2, 5, 6)
    assert torch.equal(both(x), F.silu(layer(x)))
    assert both.weight is layer.weight
    assert list(both.state_dict()) == list(layer.state_dict())


@pytest.mark.gpu
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("given", "made"), [(32, 64), (192, 768), (384, 192)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("compiled", [False, True])
def test_one_kernel_gives_what_two_give(
    given: int, made: int, bias: bool, dtype: torch.dtype, compiled: bool
) -> None:
    torch.manual_seed(0)
    layer = LinearSilu(given, made, bias=bias).to("cuda", dtype)
    x = torch.randn(3, 77, 2 * given, device="cuda")[..., :given]  # rows are not contiguous
    with torch.inference_mode():
        expected = layer.double()(x.to(dtype).double())
        layer.to(dtype).fuse()
        got = (torch.compile(layer) if compiled else layer)(x)
    assert got.dtype == dtype
    # bfloat16 has 8 bits, TF32 11; the largest values are about 4.
    tolerance = 2**-6 if dtype == torch.bfloat16 else 2**-9
    torch.testing.assert_close(got.double(), expected, atol=tolerance, rtol=tolerance)


@pytest.mark.gpu
def test_shapes_that_the_kernel_does_not_take_stay_two() -> None:
    layer = LinearSilu(48, 20).cuda()
    x = torch.randn(7, 48, device="cuda")
    before = layer(x)
    layer.fuse()
    assert torch.equal(layer(x), before)
