"""Distances between runs, against values by hand."""

import json

import pytest
import torch
from safetensors.torch import save_file

from core.checks import UserError


@pytest.fixture
def differences():
    import run_differences

    return run_differences


def _write(workspace, losses, weights, rate=1.0):
    """Write what a run leaves: two trained tensors and a frozen one."""
    folder = workspace / "checkpoint_latest"
    folder.mkdir(parents=True)
    tensors = {**weights, "frozen": torch.ones(3)}
    save_file(tensors, folder / "model.safetensors")
    save_file(
        {f"{name}.exp_avg": torch.zeros(2) for name in weights}, folder / "optimizer.safetensors"
    )
    lines = [
        {"step": step, "kind": "train", "loss": loss, "samples_per_second": rate * step}
        for step, loss in enumerate(losses, 1)
    ]
    lines.append({"step": len(losses), "kind": "eval", "procedural/psnr_given": 20.0})
    (workspace / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return workspace


WEIGHTS = {"a": torch.tensor([3.0, 4.0]), "b": torch.zeros(2)}


def test_how_fast_a_run_was_is_no_difference(differences, tmp_path):
    one = _write(tmp_path / "one", [0.5, 0.25], WEIGHTS)
    two = _write(tmp_path / "two", [0.5, 0.25], WEIGHTS, rate=2.0)
    assert differences.compare_runs(one, two) == differences.Difference(0, 0, 0, 0, same_bits=True)


def test_differences_are_relative(differences, tmp_path):
    one = _write(tmp_path / "one", [1.0, 1.0, 1.0], WEIGHTS)
    moved = {"a": torch.tensor([3.0, 4.5]), "b": torch.tensor([0.0, 2.0])}
    two = _write(tmp_path / "two", [1.0, 0.9, 0.5], moved)
    found = differences.compare_runs(one, two)
    norm = torch.tensor([3.0, 4.5]).norm().item()
    assert found.loss_median == pytest.approx(0.1)
    assert found.loss_largest == pytest.approx(0.5)
    assert found.weights_median == pytest.approx((0.5 / norm + 1.0) / 2)  # of the two trained ones
    assert found.weights_largest == pytest.approx(1.0)
    assert not found.same_bits
    merged = differences.largest([found, differences.compare_runs(one, one)])
    assert merged == found


def test_a_line_too_many_is_an_error(differences, tmp_path):
    one = _write(tmp_path / "one", [1.0, 1.0], WEIGHTS)
    two = _write(tmp_path / "two", [1.0, 1.0, 1.0], WEIGHTS)
    with pytest.raises(UserError, match=r"has 3 lines, .* 4; expected the same steps"):
        differences.compare_runs(one, two)
