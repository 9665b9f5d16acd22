import pytest

from core.evaluation.protocol import choose_pairs, comparison_size


@pytest.mark.parametrize(
    ("frames", "gap", "most", "expected"),
    [
        (11, 5, None, [0, 5]),
        (10, 5, None, [0]),  # the last four frames belong to no pair
        (5, 5, None, []),
        (0, 1, None, []),
        (61, 5, 3, [0, 20, 40]),
        (61, 5, 5, [0, 10, 20, 35, 45]),
        (11, 5, 9, [0, 5]),
    ],
)
def test_pairs_are_between_multiples_of_the_gap(frames, gap, most, expected):
    assert choose_pairs(frames, gap, most) == expected


def test_sizes():
    assert comparison_size("published", (288, 512)) == (256, 256)
    assert comparison_size("native", (288, 512)) == (288, 512)
