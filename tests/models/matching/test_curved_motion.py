from __future__ import annotations

import pytest
import torch
from torch import Tensor

from core.geometry.motion import displace_means
from core.models.matching.curved_motion import curve_motion
from core.recording import Recorded

SIZE = (32, 64)
GRID = (16, 32)
VELOCITY, ACCELERATION = torch.tensor((6.0, 2.0)), torch.tensor((2.0, -1.0))
"""Pixels per unit of time, and its square, at time 0 of a picture that moves as a whole."""


def displacement(start: float, end: float) -> Tensor:
    return VELOCITY * (end - start) + ACCELERATION / 2 * (end**2 - start**2)


def straight_pair(start: float, end: float) -> Tensor:
    """Return the straight motion of all Gaussians of a pair, per unit of the pair's time."""
    canonical = displacement(start, end) * torch.tensor((2 / SIZE[1], -2 / SIZE[0]))
    motion = torch.zeros(1, 2 * GRID[0] * GRID[1], 2, 3)
    motion[:, :, 0, ::2] = canonical
    motion[:, :, 0, 1] = 0.1
    return motion


def moved(motion: Tensor, time: float) -> Tensor:
    """Return by how many pixels all Gaussians have moved at a pair time, (2, h, w, xz)."""
    first, second = motion.chunk(2, dim=1)
    parts = []
    for gaussians, since in ((first, time), (second, time - 1)):
        zeros = gaussians.new_zeros(*gaussians.shape[:2], 3)
        there = displace_means(zeros, gaussians, zeros[..., 0] + since)[0]
        parts.append(there[:, ::2] * torch.tensor((SIZE[1] / 2, -SIZE[0] / 2)))
    return torch.stack(parts).unflatten(1, GRID)


@pytest.mark.parametrize(
    ("before", "after", "share"),
    [(1.0, 1.0, 0.9), (0.5, 2.0, 0.9), (1.5, 0.0, 0.7), (0.0, 1.0, 0.7)],
)
def test_paths_bend_by_a_steady_acceleration(before: float, after: float, share: float) -> None:
    pair = straight_pair(0.0, 1.0)
    bent = curve_motion(
        pair,
        straight_pair(-before, 0.0) if before else pair,
        straight_pair(1.0, 1.0 + after) if after else pair,
        torch.tensor([[before, after]]),
        GRID,
        SIZE,
    )
    inner = (slice(None), slice(6, 10), slice(11, 21))  # elsewhere paths leave the frame
    for time in (0.0, 1.0):  # the ends stay
        torch.testing.assert_close(moved(bent, time), moved(pair, time), atol=1e-5, rtol=0)
    away = (moved(bent, 0.5) - moved(pair, 0.5))[inner]
    expected = -share * ACCELERATION / 8
    torch.testing.assert_close(away, expected.expand_as(away), atol=0.02, rtol=0)
    torch.testing.assert_close(bent[..., 1], pair[..., 1])  # inverse depth goes straight


def test_nothing_bends_without_other_key_frames_or_where_flows_disagree() -> None:
    pair, last = straight_pair(0.0, 1.0), straight_pair(-1.0, 0.0)
    alone = curve_motion(pair, pair, pair, torch.zeros(1, 2), GRID, SIZE)
    torch.testing.assert_close(alone, pair)
    half = pair.shape[1] // 2
    astray = last.clone()
    astray[:, half:, 0, 0] += 2.0  # leads a whole frame away from where it came from
    bent = curve_motion(pair, astray, pair, torch.tensor([[1.0, 0.0]]), GRID, SIZE)
    torch.testing.assert_close(bent, pair, atol=1e-4, rtol=0)


def test_a_shaking_camera_bends_nothing() -> None:
    pair, back = straight_pair(0.0, 1.0), straight_pair(0.0, 1.0)
    back[..., 0, ::2] *= -1  # the picture moves to and fro, as fast each time
    to_and_fro = curve_motion(pair, back, back, torch.ones(1, 2), GRID, SIZE)
    inner = (slice(None), slice(7, 9), slice(12, 20))
    away = (moved(to_and_fro, 0.5) - moved(pair, 0.5))[inner]
    torch.testing.assert_close(away, torch.zeros_like(away), atol=0.02, rtol=0)


def test_a_picture_that_stands_still_stays() -> None:
    still = torch.zeros(2, 2 * GRID[0] * GRID[1], 2, 3)
    bent = curve_motion(still, still, still, torch.ones(2, 2), GRID, SIZE)
    torch.testing.assert_close(bent, still)


@pytest.mark.gpu
def test_bending_is_recorded() -> None:
    arguments = [straight_pair(0.0, 1.0), straight_pair(-1.0, 0.0), straight_pair(1.0, 2.0)]
    arguments.append(torch.ones(1, 2))

    def bend(*values: Tensor) -> Tensor:
        motion, before, after, durations = values
        return curve_motion(motion, before, after, durations, GRID, SIZE)

    recorded = Recorded(bend)(*(value.cuda() for value in arguments))
    torch.testing.assert_close(recorded.cpu(), bend(*arguments), atol=1e-5, rtol=1e-4)
