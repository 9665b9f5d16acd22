from __future__ import annotations

import torch
from torch import nn

from core.models.blocks import CrossAttention, RMSNorm, SelfAttention, sinusoidal_table


def torch_twin(ours: SelfAttention | CrossAttention, width: int) -> nn.MultiheadAttention:
    """Torch's own attention, which packs query, key and value in this order too."""
    twin = nn.MultiheadAttention(width, width // ours.head_width, batch_first=True)
    with torch.no_grad():
        nn.init.normal_(ours.qkv.bias)
        twin.in_proj_weight.copy_(ours.qkv.weight)
        twin.in_proj_bias.copy_(ours.qkv.bias)
        twin.out_proj.load_state_dict(ours.out.state_dict())
    return twin


def test_self_attention_is_torchs() -> None:
    torch.manual_seed(0)
    ours = SelfAttention(48, 16)
    x = torch.randn(2, 10, 48)
    expected = torch_twin(ours, 48)(x, x, x, need_weights=False)[0]
    torch.testing.assert_close(ours(x), expected, rtol=1e-5, atol=1e-6)


def test_cross_attention_is_torchs() -> None:
    torch.manual_seed(0)
    ours = CrossAttention(48, 16)
    x, condition = torch.randn(2, 10, 48), torch.randn(2, 7, 48)
    expected = torch_twin(ours, 48)(x, condition, condition, need_weights=False)[0]
    torch.testing.assert_close(ours(x, condition), expected, rtol=1e-5, atol=1e-6)


def test_norm_stays_float32_under_autocast() -> None:
    norm = RMSNorm(8)
    nn.init.normal_(norm.weight)
    x = 100 * torch.randn(4, 8)
    expected = x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = norm(x)
        assert norm(x.bfloat16()).dtype == torch.float32
    torch.testing.assert_close(result, expected)


def test_positional_encoding_is_sine_on_even_and_cosine_on_odd_channels() -> None:
    table = sinusoidal_table(50, 6).double()
    for channel in range(6):
        angle = torch.arange(50).double() / 10000 ** (channel // 2 * 2 / 6)
        wave = angle.sin() if channel % 2 == 0 else angle.cos()
        torch.testing.assert_close(table[:, channel], wave, rtol=0, atol=1e-5)
