from __future__ import annotations

import pytest
import torch
from torch import Tensor

from configs.options_inference import EMBEDDED_MODEL
from core.losses import flow_of_gaussians
from core.models import MatchingConfig, MatchingNetwork, build_model, load_model
from core.models.matching.network import MatchableFrame
from core.rendering import render

HEIGHT, WIDTH = 32, 48
GRID = (HEIGHT // 2, WIDTH // 2)
CONFIG = MatchingConfig(
    image_height=HEIGHT,
    image_width=WIDTH,
    pixel_width=16,
    pixel_blocks=1,
    feature_widths=(16, 16, 32),
    encoder_layers=1,
    matcher_layers=1,
    updates=(1, 2),
    refinement_widths=(16, 16),
    dynamics_width=16,
)


@pytest.fixture
def network() -> MatchingNetwork:
    torch.manual_seed(0)
    model = build_model(CONFIG)
    assert isinstance(model, MatchingNetwork)
    return model


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.rand(2, 2, 3, HEIGHT, WIDTH), torch.zeros(2, 2, 1, HEIGHT, WIDTH)


def test_gaussians_arrive_where_the_flow_leads(
    network: MatchingNetwork, pair: tuple[Tensor, Tensor]
) -> None:
    found = network(*pair)
    arrived = flow_of_gaussians(found.gaussians, GRID, (HEIGHT, WIDTH))
    assert found.flows[-1].abs().mean() > 1
    # Heads may correct the flow by 1.5 pixels along each axis.
    assert (arrived - found.flows[-1]).abs().max() <= 1.5 + 1e-3


def test_frames_are_encoded_by_themselves_and_pairs_decoded_alike(
    network: MatchingNetwork, pair: tuple[Tensor, Tensor]
) -> None:
    images, depths = pair
    network.eval()
    with torch.no_grad():
        together = network(images, depths).gaussians
        first, second = (network.encode(images[1:, i], depths[1:, i]) for i in range(2))
        alone = network.decode(first, second)
    torch.testing.assert_close(
        vars(alone), vars(together.select(slice(1, 2))), rtol=1e-4, atol=1e-4
    )
    cells = GRID[0] * GRID[1]
    assert alone.num_gaussians == 2 * cells
    assert alone.anchor_times[0].tolist() == [0.0] * cells + [1.0] * cells


def test_exchanged_frames_exchange_the_motion(
    network: MatchingNetwork, pair: tuple[Tensor, Tensor]
) -> None:
    there = network(*pair)
    back = network(*(value.flip(1) for value in pair))
    for flow, other in zip(there.flows, back.flows, strict=True):
        torch.testing.assert_close(flow, other.flip(1), rtol=1e-3, atol=1e-3)


def test_inverse_depth_stays_valid_all_along(
    network: MatchingNetwork, pair: tuple[Tensor, Tensor]
) -> None:
    torch.nn.init.normal_(network.dynamic.heads.values.weight)
    gaussians = network(*pair).gaussians
    start = gaussians.means[..., 1]
    until_other = 1 - 2 * gaussians.anchor_times
    end = start + until_other * gaussians.motion[..., 0, 1]
    for depths in (start, end):
        assert depths.min() > 0
        assert depths.max() < 1


def test_a_depth_map_is_taken_as_it_is(network: MatchingNetwork) -> None:
    images = torch.rand(2, 3, HEIGHT, WIDTH)
    depths = torch.zeros(2, 1, HEIGHT, WIDTH)
    depths[0] = torch.linspace(0.2, 0.8, WIDTH)
    given, predicted = network.static_gaussians(network.encode(images, depths)).means[..., 1]
    cells = depths[0, 0].unflatten(0, (-1, 2)).unflatten(2, (-1, 2)).mean(dim=(1, 3)).flatten()
    assert (given - cells).abs().max() <= 0.02, "the pixels order Gaussians within 0.02"
    torch.testing.assert_close(predicted, torch.full_like(predicted, 0.5), rtol=0, atol=0.1)


def test_every_parameter_learns_and_frozen_pixel_heads_do_not(
    network: MatchingNetwork, pair: tuple[Tensor, Tensor]
) -> None:
    # The corrections of the last head are zero at first, and would hide what lies behind them.
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.normal_(module.weight, std=0.05)

    def backward() -> set[str]:
        network.zero_grad(set_to_none=True)
        found = network(*pair)
        times = torch.tensor([[0.0, 0.4, 1.0]]).expand(2, 3)
        picture = render(found.gaussians, times, (HEIGHT, WIDTH))
        depth = found.gaussians.means[..., 1].square().mean()
        flow = torch.stack([flow.abs().mean() for flow in found.flows]).sum()
        (picture.rgb.square().mean() + depth + flow + found.hidden.mean()).backward()
        return {name for name, p in network.named_parameters() if p.grad is not None}

    everything = {name for name, _ in network.named_parameters()}
    assert backward() == everything
    network.freeze_static()
    pixel_heads = {
        n for n in everything if n.startswith(("static.heads.first", "static.heads.cor"))
    }
    assert everything - backward() == pixel_heads


def test_state_of_a_key_frame_does_not_depend_on_the_batch(network: MatchingNetwork) -> None:
    images, depths = torch.rand(3, 3, HEIGHT, WIDTH), torch.zeros(3, 1, HEIGHT, WIDTH)
    with torch.no_grad():
        together: MatchableFrame = network.encode(images, depths)
        alone: MatchableFrame = network.encode(images[1:2], depths[1:2])
    for one, many in zip(alone.tensors(), together.tensors(), strict=True):
        torch.testing.assert_close(one, many[1:2], rtol=1e-4, atol=1e-4)


def textured(height: int, width: int) -> Tensor:
    """Smooth noise at several scales, (1, 3, height, width)."""
    generator = torch.Generator().manual_seed(3)
    layers = [
        torch.nn.functional.interpolate(
            torch.rand(1, 3, height // cell, width // cell, generator=generator),
            (height, width),
            mode="bicubic",
        )
        for cell in (4, 8, 32)
    ]
    return torch.stack(layers).mean(0).clamp(0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_embedded_network_moves_what_moves(precision: torch.dtype) -> None:
    model = load_model(EMBEDDED_MODEL)
    assert isinstance(model, MatchingNetwork)
    canvas = textured(352, 576)
    shift = (14, 10)  # right and down, pixels
    frames = [canvas[..., 32 - k * 5 : 320 - k * 5, 32 - k * 7 : 544 - k * 7] for k in range(3)]
    pair = torch.stack((frames[0], frames[2]), dim=1)
    with torch.no_grad(), torch.autocast("cpu", precision, enabled=precision != torch.float32):
        found = model(pair, torch.zeros(1, 2, 1, 288, 512))
    target = torch.tensor(shift, dtype=torch.float32)[:, None, None]
    errors = (found.flows[-1][0, 0] - target).norm(dim=0)[16:-16, 16:-16]
    assert errors.median() < 1
    picture = render(found.gaussians, torch.tensor([[0.0, 0.5]]), (288, 512)).rgb[0]
    given, middle = (
        -10 * (picture[i] - frames[i][0])[:, 32:-32, 32:-32].square().mean().log10()
        for i in range(2)
    )
    blended = (frames[0] + frames[2]) / 2 - frames[1]
    blend = -10 * blended[..., 32:-32, 32:-32].square().mean().log10()
    assert given > 34
    assert middle > blend + 5
