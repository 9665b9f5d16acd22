from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

linear_silu = pytest.importorskip("core.models.fast.linear_silu", reason="no Triton here")


def test_a_fused_layer_shares_the_weights_of_its_layer() -> None:
    layer = nn.Linear(6, 4)
    fused = linear_silu.LinearSilu.of(layer)
    assert fused.weight is layer.weight
    assert fused.bias is layer.bias
    assert list(fused.state_dict()) == list(layer.state_dict())


@pytest.mark.parametrize(
    ("given", "made", "fits"), [(32, 64, True), (48, 64, False), (32, 20, False)]
)
def test_only_whole_tiles_fit(given: int, made: int, fits: bool) -> None:
    assert linear_silu.fits(nn.Linear(given, made)) is fits


@pytest.mark.gpu
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("given", "made"), [(32, 64), (192, 768), (384, 192)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("compiled", [False, True])
def test_one_kernel_gives_what_two_give(
    given: int, made: int, bias: bool, dtype: torch.dtype, compiled: bool
) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(given, made, bias=bias).to("cuda", dtype)
    fused = linear_silu.LinearSilu.of(layer)
    x = torch.randn(3, 77, 2 * given, device="cuda")[..., :given]  # rows are not contiguous
    with torch.inference_mode():
        offset = layer.bias.double() if bias else None
        expected = F.silu(F.linear(x.to(dtype).double(), layer.weight.double(), offset))
        got = (torch.compile(fused) if compiled else fused)(x)
    assert got.dtype == dtype
    # bfloat16 has 8 bits, TF32 11; the largest values are about 4.
    tolerance = 2**-6 if dtype == torch.bfloat16 else 2**-9
    torch.testing.assert_close(got.double(), expected, atol=tolerance, rtol=tolerance)
