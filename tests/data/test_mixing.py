import pytest

from core.data.mixing import divide


@pytest.mark.parametrize("share", [0.0, 0.25, 0.37, 0.5, 1.0])
def test_both_sources_are_walked_without_gaps_and_in_proportion(share):
    division = divide(range(1000), share)
    assert division.procedural == tuple(range(len(division.procedural)))
    assert division.clips == tuple(range(len(division.clips)))
    assert len(division.procedural) + len(division.clips) == 1000
    assert abs(len(division.procedural) - 1000 * share) < 1


def test_the_share_holds_in_every_stretch():
    for start in range(0, 200, 7):
        assert 3 <= len(divide(range(start, start + 16), 0.25).procedural) <= 5


def test_positions_are_divided_alike_in_one_piece_or_in_several():
    whole = divide(range(60), 0.4)
    parts = [divide(range(start, start + 12), 0.4) for start in range(0, 60, 12)]
    assert whole.clips == sum((part.clips for part in parts), ())
    assert whole.procedural == sum((part.procedural for part in parts), ())
