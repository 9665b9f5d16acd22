import pytest
import torch
from torch import nn

from core.checks import UserError
from core.training.compute.optimizer import OptimizerOptions, build_optimizer, learning_rate


def test_warm_up_is_linear_and_its_first_step_moves():
    options = OptimizerOptions(lr=1.0, warmup_steps=4)
    rates = [learning_rate(step, 100, options) for step in range(5)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_cosine_ends_at_the_final_fraction_and_is_halfway_in_the_middle():
    options = OptimizerOptions(lr=2.0, warmup_steps=0, final_lr_fraction=0.1)
    assert learning_rate(0, 101, options) == pytest.approx(2.0)
    assert learning_rate(50, 101, options) == pytest.approx(2.0 * 0.55)
    assert learning_rate(100, 101, options) == pytest.approx(0.2)
    assert learning_rate(500, 101, options) == pytest.approx(0.2)


def test_the_warm_up_counts_steps_and_the_cosine_what_they_have_seen():
    options = OptimizerOptions(lr=1.0, warmup_steps=10)
    assert learning_rate(4, 101, options, ahead=30) == learning_rate(4, 101, options)
    assert learning_rate(20, 101, options, ahead=30) == learning_rate(50, 101, options)
    assert learning_rate(20, 101, options, ahead=-15) == 1.0


def test_only_matrices_decay_and_frozen_weights_are_left_alone():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.positional_embedding = nn.Parameter(torch.zeros(1, 4, 8))
            self.patch_embedding = nn.Conv2d(3, 8, 2)
            self.frozen = nn.Linear(2, 2).requires_grad_(False)

    model = Model()
    decayed, exempt = build_optimizer(model, OptimizerOptions()).param_groups
    assert (decayed["weight_decay"], exempt["weight_decay"]) == (0.05, 0.0)
    assert [p.shape for p in decayed["params"]] == [model.patch_embedding.weight.shape]
    assert {p.shape for p in exempt["params"]} == {
        model.positional_embedding.shape,
        model.patch_embedding.bias.shape,
    }


@pytest.mark.parametrize(
    "changes",
    [{"lr": 0.0}, {"betas": (0.9, 1.0)}, {"final_lr_fraction": 1.5}, {"weight_decay": -1.0}],
)
def test_impossible_options_name_their_flag(changes):
    with pytest.raises(UserError, match=f"--{next(iter(changes))}"):
        OptimizerOptions(**changes)
