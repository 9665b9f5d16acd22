"""Procedural scenes look like pictures in the statistics that networks learn first."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from core.data.procedural import ProceduralOptions, ProceduralSource
from core.data.randomness.hashing import hash_int32, white_noise
from core.data.randomness.scene_random import SceneRandom
from core.data.randomness.spectral import spectral_fields


def spectral_slope(image: torch.Tensor) -> float:
    """Fit the exponent of the radially averaged power spectrum of a square image."""
    n = image.shape[-1]
    window = torch.hann_window(n, periodic=False)
    power = torch.fft.fft2((image - image.mean()) * window * window[:, None]).abs() ** 2
    frequency = torch.hypot(torch.fft.fftfreq(n)[:, None], torch.fft.fftfreq(n))
    edges = torch.logspace(math.log10(3 / n), math.log10(0.4), 12)
    bands = [(frequency >= a) & (frequency < b) for a, b in pairwise(edges)]
    x = (edges[:-1] * edges[1:]).sqrt().log()
    y = torch.stack([power[band].mean() for band in bands]).log()
    x = x - x.mean()
    return float((x * (y - y.mean())).sum() / (x * x).sum())


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_scenes_have_natural_statistics(share: float) -> None:
    options = ProceduralOptions(height=160, width=256, perspective_share=share)
    source = ProceduralSource(options, seed=0)
    frames = torch.cat(
        [source.clip([index], torch.tensor([[0.5]])).frames[:, 0] for index in range(14)]
    )
    grey = frames.mean(dim=1)
    slopes = torch.tensor([spectral_slope(image[:, :160]) for image in grey])
    # Real frames at 288x512: -3.1 to -2.3 (5% to 95%), median -2.6; an indoor walk: -3.9 to -2.0.
    assert ((slopes > -4.0) & (slopes < -1.2)).all()
    assert -3.1 < slopes.median() < -2.0
    contrast, brightness = grey.std(dim=(1, 2)), grey.mean(dim=(1, 2))
    assert contrast.median() > 0.1
    assert contrast.max() > 2.0 * contrast.min()
    assert brightness.max() - brightness.min() > 0.3
    chroma = (frames.amax(dim=1) - frames.amin(dim=1)).mean(dim=(1, 2))
    assert chroma.max() > 2.0 * chroma.min()


def test_spectral_fields_fall_as_asked() -> None:
    keys = torch.arange(3, dtype=torch.int32)
    exponents = torch.tensor([[1.5, 3.0]]).expand(3, -1)
    fields = spectral_fields(keys, exponents, torch.full((3,), 10.0), 256, 256)
    assert fields.shape == (3, 4, 256, 256)
    torch.testing.assert_close(fields.std(dim=(-2, -1)), torch.ones(3, 4))
    for row in fields:
        for field, wanted in zip(row, (1.5, 1.5, 3.0, 3.0), strict=True):
            assert abs(spectral_slope(field) + wanted) < 0.35
    flat = fields.flatten(2)
    correlation = (flat[:, :1] * flat[:, 1:2]).mean(dim=-1)
    assert correlation.abs().max() < 0.3


def test_hashed_noise_is_uniform_and_uncorrelated() -> None:
    noise = white_noise(torch.tensor([1, 2], dtype=torch.int32), 2, 64, 64).reshape(8, -1)
    assert noise.abs().max() <= 0.5
    assert noise.mean(dim=1).abs().max() < 0.02
    assert (noise.std(dim=1) - 1.0 / math.sqrt(12.0)).abs().max() < 0.01
    correlation = torch.corrcoef(noise) - torch.eye(8)
    assert correlation.abs().max() < 0.06
    assert len(hash_int32(torch.arange(100_000, dtype=torch.int32)).unique()) == 100_000


def test_dice_weigh_their_choices() -> None:
    choices = SceneRandom(0, [0]).choose([1.0, 0.0, 3.0], 4000)[0]
    shares = choices.bincount(minlength=3) / 4000
    torch.testing.assert_close(shares, torch.tensor([0.25, 0.0, 0.75]), atol=0.03, rtol=0)
