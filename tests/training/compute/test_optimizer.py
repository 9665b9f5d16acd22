import pytest
import torch
from torch import nn

from core.checks import UserError
from core.training.compute.optimizer import build_optimizer
from core.training.compute.options import OptimizerOptions


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
    [
        {"lr": 0.0},
        {"betas": (0.9, 1.0)},
        {"final_lr_fraction": 1.5},
        {"weight_decay": -1.0},
        {"warmup_steps": -1},
    ],
)
def test_impossible_options_name_their_flag(changes):
    with pytest.raises(UserError, match=f"--{next(iter(changes))}"):
        OptimizerOptions(**changes)
