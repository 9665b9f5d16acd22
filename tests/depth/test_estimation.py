from __future__ import annotations

import numpy as np
import pytest
import torch

from core.checks import UserError
from core.depth.estimation import Engine, Estimated, Unreadable, estimate_maps


def _engine(estimate, batch_size=3):
    return Engine(estimate, torch.device("cpu"), batch_size, threads=2)


def _image(item):
    """An image of size (h, w) whose first pixel tells which one it is."""
    index, size = item
    image = np.full((*size, 3), 100, np.uint8)
    image[0, 0] = index
    return image


class Recorder:
    """Returns the red channel, and notes the shapes that it was given."""

    def __init__(self):
        self.shapes = []

    def __call__(self, images):
        self.shapes.append(tuple(images.shape))
        return images[:, :1] * 7 + 3


def test_images_of_one_size_go_together_wherever_they_lie():
    estimate = Recorder()
    sizes = [(4, 6), (5, 5), (4, 6), (4, 6), (5, 5), (4, 6)]
    outcomes = list(estimate_maps(enumerate(sizes), _image, _engine(estimate)))
    assert sorted(outcome.item[0] for outcome in outcomes) == list(range(6))
    assert estimate.shapes == [(3, 3, 4, 6), (2, 3, 5, 5), (1, 3, 4, 6)]
    for outcome in outcomes:
        assert isinstance(outcome, Estimated)
        assert outcome.inverse_depth.shape == outcome.item[1]
        expected = np.ones(outcome.item[1])
        expected[0, 0] = 0
        np.testing.assert_array_equal(outcome.inverse_depth, expected)


def test_an_odd_size_does_not_wait_for_its_like_for_ever():
    items = [(0, (5, 5)), *((index, (4, 6)) for index in range(1, 200))]
    order = [o.item[0] for o in estimate_maps(items, _image, _engine(Recorder()))]
    assert sorted(order) == list(range(200))
    assert order.index(0) < 40


def test_items_are_asked_for_as_they_are_needed():
    asked = []

    def items():
        for index in range(1000):
            asked.append(index)
            yield index, (4, 6)

    outcomes = estimate_maps(items(), _image, _engine(Recorder()))
    for _ in range(6):
        next(outcomes)
    assert len(asked) < 40
    outcomes.close()


def test_what_cannot_be_read_is_told_and_the_rest_goes_on():
    def load(item):
        if item[0] == 2:
            raise UserError("cannot decode the image 2")
        return _image(item)

    outcomes = list(estimate_maps(((i, (4, 6)) for i in range(5)), load, _engine(Recorder())))
    unreadable = [outcome for outcome in outcomes if isinstance(outcome, Unreadable)]
    assert [(u.item[0], u.reason) for u in unreadable] == [(2, "cannot decode the image 2")]
    assert len(outcomes) == 5


def test_a_constant_map_becomes_zero_and_a_broken_one_is_told():
    def estimate(images):
        depths = torch.full_like(images[:, :1], 5)
        depths[1] = torch.nan
        return depths

    first, second = estimate_maps(((i, (4, 6)) for i in range(2)), _image, _engine(estimate))
    assert isinstance(first, Estimated)
    assert not first.inverse_depth.any()
    assert isinstance(second, Unreadable)
    assert "no finite depth" in second.reason


def test_errors_of_our_own_are_not_swallowed():
    def load(item):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(estimate_maps([0], load, _engine(Recorder())))
