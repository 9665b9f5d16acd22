"""What is drawn for a sample: formulas part by part, probabilities, and what it depends on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.checks import UserError
from core.data.augmentation.draws import draw
from core.data.augmentation.options import AugmentationOptions

ASPECT = 0.5
STRENGTHS = {
    name: getattr(AugmentationOptions(), name)
    for name in ("scale", "rotation", "anisotropy", "translation", "brightness", "contrast", "hue")
} | {"saturation": 0.1}
STILL = AugmentationOptions(x_flip=0.0, p=1.0, y_flip=False, **dict.fromkeys(STRENGTHS, 0.0))
COUNT = 4000


def _only(*names, **changes):
    """Return options under which these changes always happen, and no others do."""
    return replace(STILL, **{name: STRENGTHS[name] for name in names}, **changes)


def _draw(options, count=COUNT, seed=0):
    return draw(options, seed=seed, positions=range(count), aspect=ASPECT)


def _output_from_source(options, count=COUNT):
    """Return the maps as (b, 3, 3), in coordinates of one unit, forwards."""
    maps = np.tile(np.eye(3), (count, 1, 1))
    maps[:, :2] = _draw(options, count)[0].source_from_output
    square = np.diag([1.0, ASPECT, 1.0])
    return square @ np.linalg.inv(maps) @ np.linalg.inv(square)


def _assert_normal(values, deviation):
    """Check mean and spread of normal numbers to 4 standard errors, and their tails."""
    error = deviation / np.sqrt(values.size)
    assert abs(values.mean()) < 4 * error
    assert abs(values.std() - deviation) < 4 * error / np.sqrt(2)
    assert 0.61 < (abs(values) < deviation).mean() < 0.75


def test_scale():
    maps = _output_from_source(_only("scale"))
    factors = maps[:, 0, 0]
    np.testing.assert_allclose(
        maps, factors[:, None, None] * np.diag([1, 1, 0]) + np.diag([0, 0, 1]), atol=1e-12
    )
    _assert_normal(np.log2(factors), 0.2)


def test_rotation_keeps_shapes_and_is_uniform():
    maps = _output_from_source(_only("rotation"))[:, :2, :2]
    np.testing.assert_allclose(
        maps @ maps.transpose(0, 2, 1), np.broadcast_to(np.eye(2), maps.shape), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(maps), 1.0)
    angles = np.arctan2(maps[:, 1, 0], maps[:, 0, 0])
    counts = np.histogram(angles, bins=8, range=(-np.pi, np.pi))[0]
    assert counts.sum() == COUNT
    assert abs(counts - COUNT / 8).max() < 4 * np.sqrt(COUNT / 8)
    limited = _output_from_source(replace(_only("rotation"), rotation=20.0))
    limit = np.arctan2(limited[:, 1, 0], limited[:, 0, 0])
    assert np.deg2rad(19) < abs(limit).max() < np.deg2rad(20)


def test_anisotropy_keeps_areas_and_stretches_along_an_axis_or_any_direction():
    maps = _output_from_source(_only("anisotropy"))[:, :2, :2]
    np.testing.assert_allclose(maps, maps.transpose(0, 2, 1), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(maps), 1.0)
    lengths, axes = np.linalg.eigh(maps)
    signs = np.where(np.arange(COUNT) % 2, 1, -1)
    _assert_normal(np.log2(lengths[:, 1]) * signs, 0.2)
    slanted = abs(maps[:, 0, 1]) > 1e-12
    assert abs(slanted.sum() - COUNT / 2) < 4 * np.sqrt(COUNT / 4)
    angles = np.arctan2(axes[slanted, 1, 1], axes[slanted, 0, 1]) % np.pi
    counts = np.histogram(angles, bins=6, range=(0, np.pi))[0]
    expected = slanted.sum() / 6
    assert abs(counts - expected).max() < 4 * np.sqrt(expected)


def test_translation_is_in_parts_of_each_side():
    maps = _output_from_source(_only("translation"))
    np.testing.assert_allclose(
        maps[:, :2, :2], np.broadcast_to(np.eye(2), (COUNT, 2, 2)), atol=1e-12
    )
    _assert_normal(maps[:, 0, 2] / 2.0, 0.125)  # the image is 2 wide
    _assert_normal(maps[:, 1, 2] / (2.0 * ASPECT), 0.125)


def test_the_whole_is_its_parts_in_order():
    parts = [
        replace(STILL, x_flip=0.5),
        replace(STILL, y_flip=True),
        *(_only(name) for name in ("scale", "rotation", "anisotropy", "translation")),
    ]
    expected = np.eye(3)
    for part in parts:
        expected = _output_from_source(part, 50) @ expected
    whole = _output_from_source(AugmentationOptions(p=1.0), 50)
    np.testing.assert_allclose(whole, expected, atol=1e-10)


@pytest.mark.slow
def test_colors_are_those_of_the_formulas():
    color = np.array([0.7, 0.2, 0.4])
    grey = color.mean()

    def apply(name):
        recoloring = _draw(_only(name))[1]
        return recoloring.linear @ color + recoloring.offset[:, None]

    _assert_normal((apply("brightness") - color).mean(axis=1), 0.1)
    np.testing.assert_allclose(np.ptp(apply("brightness") - color, axis=1), 0.0, atol=1e-12)

    contrast = (apply("contrast") - 0.5) / (color - 0.5)
    np.testing.assert_allclose(contrast, contrast[:, :1] * np.ones(3))
    _assert_normal(np.log2(contrast[:, 0]), 0.1)

    saturation = (apply("saturation") - grey) / (color - grey)
    np.testing.assert_allclose(saturation, saturation[:, :1] * np.ones(3))
    _assert_normal(np.log2(saturation[:, 0]), 0.1)

    chroma, turned = color - grey, apply("hue") - grey
    np.testing.assert_allclose(turned.sum(axis=1), 0.0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=1), np.linalg.norm(chroma))
    angles = np.arccos(turned @ chroma / (chroma @ chroma))
    assert 0.049 * np.pi < angles.max() < 0.05 * np.pi
    assert abs(np.median(angles) - 0.025 * np.pi) < 0.01
    sides = np.cross(np.broadcast_to(chroma, turned.shape), turned).sum(axis=1) > 0
    assert 0.45 < sides.mean() < 0.55


def test_colors_together():
    color = np.array([0.1, 0.9, 0.3])
    step = color
    for name in ("brightness", "contrast", "hue", "saturation"):
        recoloring = _draw(_only(name), 1)[1]
        step = recoloring.linear[0] @ step + recoloring.offset[0]
    whole = _draw(_only("brightness", "contrast", "hue", "saturation"), 1)[1]
    np.testing.assert_allclose(whole.linear[0] @ color + whole.offset[0], step)


@pytest.mark.parametrize("name", [*STRENGTHS, "y_flip"])
def test_each_change_happens_with_probability_p(name):
    options = replace(_only(), p=0.12, **{name: STRENGTHS.get(name, True)})
    geometry, recoloring = _draw(options)
    identity = np.eye(2, 3)
    moved = abs(geometry.source_from_output - identity).max(axis=(1, 2)) > 1e-9
    painted = abs(recoloring.linear - np.eye(3)).max(axis=(1, 2)) + abs(recoloring.offset) > 1e-9
    colors = name in ("brightness", "contrast", "hue", "saturation")
    (happens, never), flags = (
        ((painted, moved), recoloring) if colors else ((moved, painted), geometry)
    )
    assert not never.any()
    assert not (happens & ~flags.changes).any()
    assert abs(happens.mean() - 0.12) < 4 * np.sqrt(0.12 * 0.88 / COUNT)


def test_half_of_the_samples_are_mirrored():
    maps = _draw(AugmentationOptions(p=0.0))[0].source_from_output
    mirrored = maps[:, 0, 0] == -1.0
    assert abs(mirrored.mean() - 0.5) < 4 * 0.5 / np.sqrt(COUNT)
    np.testing.assert_array_equal(
        maps[~mirrored], np.broadcast_to(np.eye(2, 3), ((~mirrored).sum(), 2, 3))
    )


def test_draws_depend_on_seed_and_position_alone():
    options = AugmentationOptions(p=0.5)
    positions = [3, 0, 2**40, 7]
    together = draw(options, seed=5, positions=positions, aspect=ASPECT)
    for row, position in enumerate(positions):
        alone = draw(options, seed=5, positions=[position], aspect=ASPECT)
        for one, all_ in zip(alone, together, strict=True):
            for field in vars(one):
                np.testing.assert_array_equal(getattr(one, field)[0], getattr(all_, field)[row])
    other = draw(options, seed=6, positions=positions, aspect=ASPECT)
    assert (other[0].source_from_output != together[0].source_from_output).any()


def test_impossible_options_are_named():
    for change in ({"p": 1.5}, {"x_flip": -0.1}, {"rotation": 270.0}, {"scale": float("nan")}):
        with pytest.raises(UserError, match=f"--augmentation.{next(iter(change))} is"):
            AugmentationOptions(**change)
