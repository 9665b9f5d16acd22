from itertools import chain

import pytest

from core.data.sampling.combination import divide, locate


@pytest.mark.parametrize(
    "weights", [(1.0, 0.0), (3.0, 1.0), (0.63, 0.37), (0.0, 1.0), (5.0, 2.0, 0.0, 3.0), (2.0,)]
)
def test_sources_are_walked_without_gaps_and_in_proportion(weights):
    divided = divide(range(1000), weights)
    assert sum(map(len, divided)) == 1000
    for indices, weight in zip(divided, weights, strict=True):
        assert indices == list(range(len(indices)))
        assert abs(len(indices) - 1000 * weight / sum(weights)) < len(weights)


def test_the_shares_hold_in_every_stretch():
    for start in range(0, 200, 7):
        parts = divide(range(start, start + 16), (2.0, 1.0, 1.0))
        assert 3 <= len(parts[2]) <= 5
        assert 3 <= len(parts[1]) <= 5


def test_positions_are_divided_alike_in_one_piece_or_in_several():
    weights = (0.5, 0.2, 0.3)
    whole = divide(range(60), weights)
    pieces = [divide(range(start, start + 12), weights) for start in range(0, 60, 12)]
    assert whole == [list(chain(*parts)) for parts in zip(*pieces, strict=True)]
    assert all(locate(p, weights)[1] in whole[locate(p, weights)[0]] for p in range(60))


@pytest.mark.parametrize("weights", [(), (0.0, 0.0), (1.0, -1.0), (float("inf"), 1.0)])
def test_weights_that_divide_nothing_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        divide(range(3), weights)
