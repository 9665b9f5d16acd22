"""Drawn grids of lines."""

from __future__ import annotations

import torch

from core.data.line_grids import draw_line_grids
from core.data.randomness.scene_random import SceneRandom


def test_grids_cover_part_of_pictures_that_stay_what_they_are_elsewhere() -> None:
    count = 64
    pictures = torch.full((count, 3, 48, 64), 2.0)  # no drawn colour
    images = draw_line_grids(SceneRandom(0, range(count)), pictures)
    over_picture = (images == 2.0).all(dim=1).flatten(1).float().mean(dim=1)
    assert 0.1 < (over_picture > 0).float().mean() < 0.5
    assert over_picture.max() < 1
    grounds = images[over_picture == 0]
    assert grounds.min() >= 0
    assert grounds.max() <= 1
    assert (grounds.flatten(2).std(dim=2).amax(dim=1) > 0.01).float().mean() > 0.9


def test_grids_along_rows_and_columns_have_two_colors_and_repeat() -> None:
    count, farthest = 128, 32
    images = draw_line_grids(SceneRandom(1, range(count)), torch.zeros(count, 3, 80, 80))
    two_colors = [image for image in images if image.flatten(1).unique(dim=1).shape[1] == 2]
    assert count / 4 < len(two_colors) < 3 * count / 4
    for image in two_colors:
        repeats = [
            distance
            for distance in range(3, farthest + 1)
            if torch.equal(image[:, distance:, distance:], image[:, :-distance, :-distance])
        ]
        assert repeats


def test_samples_depend_on_their_index_alone() -> None:
    pictures = torch.rand(3, 3, 32, 32)
    together = draw_line_grids(SceneRandom(0, [4, 5, 6]), pictures)
    alone = draw_line_grids(SceneRandom(0, [5]), pictures[1:2])
    assert torch.equal(together[1:2], alone)
