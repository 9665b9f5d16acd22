import numpy as np
import pytest

from core.evaluation.report.bootstrap import paired_difference


def test_a_constant_difference_is_certain():
    scores = np.array([20.0, 25.0, 31.0])
    difference = paired_difference(scores + 0.5, scores)
    assert difference.mean == difference.low == difference.high == 0.5
    assert difference.clips == 3


def test_the_interval_is_about_two_standard_errors():
    rng = np.random.default_rng(1)
    scores = rng.normal(1.0, 2.0, 100)
    difference = paired_difference(scores, np.zeros(100))
    error = scores.std() / 10
    assert difference.low == pytest.approx(scores.mean() - 1.96 * error, abs=0.1 * error)
    assert difference.high == pytest.approx(scores.mean() + 1.96 * error, abs=0.1 * error)
    assert paired_difference(scores, np.zeros(100)) == difference
