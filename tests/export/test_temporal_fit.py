from __future__ import annotations

import numpy as np
import pytest
import torch

from core.export.temporal_fit import SAMPLES, TIMES, Segments, fit_segments
from core.geometry.motion import opacities_at

FAINTEST = 1 / 255


def windows(count: int, slope: float, anchor: float) -> np.ndarray:
    """Return opacities of logistic windows of all half-lives."""
    half_lives = torch.linspace(0.02, 0.98, count, dtype=torch.float64)[:, None]
    since_anchor = torch.from_numpy(TIMES)[None] - anchor
    full = torch.full_like(half_lives, 0.95)
    return opacities_at(full, torch.full_like(full, slope), half_lives, since_anchor).numpy()


def replay(segments: Segments, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return opacities and positions at the samples; at a cut, those of the segment before it."""
    opacities, paths = np.zeros((count, SAMPLES)), np.full((count, SAMPLES, 3), np.nan)
    for k in reversed(range(len(segments))):
        inside = slice(segments.first[k], segments.last[k] + 1)
        since = TIMES[inside] - segments.center[k]
        window = segments.peak[k] * np.exp(-0.5 * (since / segments.width[k]) ** 2)
        opacities[segments.gaussian[k], inside] = window
        line = segments.position[k] + since[:, None] * segments.velocity[k]
        paths[segments.gaussian[k], inside] = line
    return opacities, paths


@pytest.mark.parametrize("anchor", [0.0, 1.0])
@pytest.mark.parametrize("slope", [0.0, 1.0, 8.0, 30.0, 200.0])
def test_windows_are_met_within_the_error_that_is_stated(slope: float, anchor: float) -> None:
    curves = windows(50, slope, anchor)
    segments = fit_segments(curves, np.zeros((50, SAMPLES, 3)), FAINTEST)
    opacities, _ = replay(segments, 50)
    error = np.abs(opacities - curves)
    assert error.max() <= max(segments.opacity_error.max(), FAINTEST) + 1e-9
    assert error.max() < 0.12
    assert error.mean() < 0.03
    assert (segments.peak <= 1).all()
    assert len(segments) < 3.5 * 50


def test_what_does_not_change_is_one_constant() -> None:
    segments = fit_segments(np.full((3, SAMPLES), 0.7), np.ones((3, SAMPLES, 3)), FAINTEST)
    assert len(segments) == 3
    np.testing.assert_allclose(segments.peak, 0.7)
    assert np.isinf(segments.width).all()
    np.testing.assert_allclose(segments.position, 1)
    np.testing.assert_allclose(segments.velocity, 0, atol=1e-9)


def test_straight_paths_are_exact_and_curved_ones_near() -> None:
    curves = windows(20, 12.0, 0.0)
    start, velocity = np.random.default_rng(0).normal(size=(2, 20, 1, 3))
    straight = start + velocity * TIMES[:, None]
    _, paths = replay(fit_segments(curves, straight, FAINTEST), 20)
    seen = curves > 0.05
    np.testing.assert_allclose(paths[seen], straight[seen], atol=1e-6)
    curved = straight + 0.1 * TIMES[:, None] ** 2
    segments = fit_segments(curves, curved, FAINTEST)
    _, paths = replay(segments, 20)
    distance = np.linalg.norm(paths - curved, axis=2)[seen] * curves[seen]
    assert distance.max() <= segments.position_error.max() + 1e-9
    assert distance.max() < 0.03


def test_what_is_never_seen_is_left_out() -> None:
    curves = np.zeros((4, SAMPLES))
    curves[2, :5] = 0.5
    segments = fit_segments(curves, np.zeros((4, SAMPLES, 3)), FAINTEST)
    assert set(segments.gaussian) == {2}
    opacities, _ = replay(segments, 4)
    assert opacities[2, 6:].max() < 0.1
    assert len(fit_segments(curves[:0], np.zeros((0, SAMPLES, 3)), FAINTEST)) == 0
