from __future__ import annotations

import torch

from core.models.matching.matcher import look_up
from core.models.matching.sampling import cell_centers, double_convex, follow

SIZE = (32, 64)


def test_centres_of_cells_are_in_pixels_of_the_frame() -> None:
    centers = cell_centers((2, 4), SIZE, torch.device("cpu"))
    assert centers[0, 0].tolist() == [8, 24, 40, 56]
    assert centers[1, :, 0].tolist() == [8, 24]


def test_following_a_flow_of_whole_cells_shifts_by_cells() -> None:
    values = torch.rand(1, 5, 8, 16)
    flow = torch.zeros(1, 2, 8, 16)
    flow[:, 0], flow[:, 1] = 8, -4  # two cells to the right, one up
    found = follow(values, flow, SIZE)
    torch.testing.assert_close(found[..., 1:, :-2], values[..., :-1, 2:])
    torch.testing.assert_close(found[..., 1:, -1], values[..., :-1, -1], msg="the border")


def test_half_precision_moves_what_is_read_by_no_pixel() -> None:
    ramp = torch.arange(64.0).expand(1, 1, 32, 64)
    flow = torch.full((1, 2, 32, 64), 0.5)
    exact = follow(ramp, flow, SIZE)
    half = follow(ramp.bfloat16(), flow, SIZE).float()
    assert (half - exact).abs().max() <= 0.25, "rounding of values up to 64"


def test_convex_weights_choose_neighbours() -> None:
    flow = torch.rand(1, 2, 3, 4)
    weights = torch.full((1, 9, 4, 3, 4), -100.0)
    weights[:, 4] = 0  # the cell itself
    fine = double_convex(flow, weights.flatten(1, 2))
    torch.testing.assert_close(fine, flow.repeat_interleave(2, -1).repeat_interleave(2, -2))
    weights[:, 4], weights[:, 5] = -100, 0  # its right neighbour
    fine = double_convex(flow, weights.flatten(1, 2))
    shifted = torch.cat((flow[..., 1:], flow[..., -1:]), dim=-1)
    torch.testing.assert_close(fine, shifted.repeat_interleave(2, -1).repeat_interleave(2, -2))


def test_look_ups_read_the_correlation_around_the_landing() -> None:
    torch.manual_seed(0)
    volume = torch.rand(4 * 8, 1, 4, 8)
    flow = torch.zeros(1, 2, 4, 8)
    flow[0, :, 1, 2] = torch.tensor([16.0, 8.0])  # two cells right, one down
    found = look_up([volume], flow, SIZE)[0, :, 1, 2].view(7, 7)
    expected = torch.zeros(7, 7)
    for row in range(7):
        for column in range(7):
            y, x = 1 + 1 + row - 3, 2 + 2 + column - 3
            if 0 <= y < 4 and 0 <= x < 8:
                expected[row, column] = volume[1 * 8 + 2, 0, y, x]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
