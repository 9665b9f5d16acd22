import pytest
import torch

from core.metrics.depth import align_inverse_depth, depth_errors, row_means


def test_scale_and_shift_are_those_of_least_squares():
    torch.manual_seed(0)
    x, y = torch.rand(2, 50, dtype=torch.float64)
    scale, shift = align_inverse_depth(x, y)
    solution = torch.linalg.lstsq(torch.stack([x, torch.ones_like(x)], dim=1), y[:, None]).solution
    assert (scale, shift) == pytest.approx(tuple(solution.flatten().tolist()), abs=1e-9)


def test_a_constant_prediction_becomes_the_mean():
    y = torch.tensor([1.0, 2.0, 6.0])
    assert align_inverse_depth(torch.full((3,), 0.4), y) == (0.0, pytest.approx(3.0))


def test_errors_are_relative_to_the_true_depth():
    truth = 1 / torch.tensor([1.0, 2.0, 4.0, 4.0])
    errors = depth_errors(1 / torch.tensor([1.2, 2.0, 5.2, 3.0]), truth)
    assert errors.abs_rel == pytest.approx((0.2 + 0 + 0.3 + 0.25) / 4)
    assert errors.delta == pytest.approx(0.5)
    assert depth_errors(torch.tensor([-1.0]), truth[:1]).abs_rel == pytest.approx(99)


def test_rows_are_averaged_over_all_frames_where_depth_is_known():
    truth = torch.tensor([[[1.0, 3.0], [5.0, 0.0]], [[2.0, 0.0], [0.0, 0.0]]])
    rows = row_means(truth, truth > 0)
    assert rows[0].tolist() == rows[1].tolist() == [[2.0, 2.0], [5.0, 5.0]]
