"""Arithmetic of memory, against what a network keeps."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.checks import UserError
from core.models import MatchingConfig, build_model, build_static_model
from core.models.blocks import ConditionedBlock, TransformerBlock
from core.training import DynamicStage, DynamicStageOptions, StaticStage, StaticStageOptions
from core.training.compute.memory import (
    activation_bytes,
    decide_recomputation,
    out_of_memory,
    planned_bytes,
)


def _bytes_kept(module, *inputs, half_precision=True):
    """Count what the blocks of a forward pass keep, each storage once, weights left out."""
    weights = {p.untyped_storage().data_ptr() for p in module.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=half_precision),
    ):
        result = module(*inputs)
    del result
    return sum(kept.values())


@pytest.mark.parametrize("block", [TransformerBlock, ConditionedBlock])
def test_memory_of_blocks_is_what_they_keep(make_static_stage, make_dynamic_stage, block):
    length, width = 2048, 32
    x = torch.rand(1, length, width, requires_grad=True)
    if block is TransformerBlock:
        measured = _bytes_kept(block(width, 16), x)
        change = {"encoder_layers": 2}
        one, two = make_static_stage(), make_static_stage(change)
        tokens = 1
    else:
        halves = x.view(1, 2, length // 2, width)
        measured = _bytes_kept(block(width, 16), halves, torch.rand_like(halves).requires_grad_())
        one = make_dynamic_stage()
        two = make_dynamic_stage()
        two.config = replace(one.config, decoder_layers=2)
        tokens = 2
    first, second = (activation_bytes(stage, half_precision=True).kept for stage in (one, two))
    per_channel = (second - first) / (tokens * one.config.num_tokens * one.config.width)
    # The weights' copies in bfloat16 and the sums of attention are on top, a few percent.
    assert 0.93 < per_channel / (measured / (length * width)) < 1.0


@pytest.mark.parametrize("half_precision", [False, True])
def test_memory_of_networks_with_a_matcher_is_what_they_keep(half_precision):
    config = MatchingConfig(image_height=96, image_width=160)
    size = (96, 160)
    static = StaticStage(config, StaticStageOptions())
    dynamic = DynamicStage(config, DynamicStageOptions(encoder_path=Path("stage1")))
    frames, depths = torch.rand(1, 2, 3, *size), torch.zeros(1, 2, 1, *size)
    one = _bytes_kept(
        build_static_model(config), frames[:, 0], depths[:, 0], half_precision=half_precision
    )
    pair = _bytes_kept(build_model(config), frames, depths, half_precision=half_precision)
    for stage, measured in ((static, one), (dynamic, pair)):
        counted = activation_bytes(stage, half_precision=half_precision)
        assert counted.kept == counted.recomputed
        # An estimate: it decides nothing but what a message says.
        assert counted.kept == pytest.approx(measured, rel=0.25)


def test_recomputing_keeps_less_and_half_precision_too(make_dynamic_stage):
    stage = make_dynamic_stage()
    half, single = (activation_bytes(stage, half_precision=value) for value in (True, False))
    assert half.recomputed < half.kept < single.kept
    more = activation_bytes(make_dynamic_stage(train_static=True), half_precision=True)
    assert more.kept > half.kept


def test_a_step_takes_activations_by_the_sample_and_state_by_the_parameter(make_static_stage):
    stage = make_static_stage()
    sizes = activation_bytes(stage, half_precision=True)
    for recomputing, each in ((False, sizes.kept), (True, sizes.recomputed)):
        planned = planned_bytes(
            stage, batch_size=3, half_precision=True, trained_parameters=5, recomputing=recomputing
        )
        assert planned == 3 * each + 5 * 16


def test_recomputation_is_the_users_choice(make_static_stage, run_options):
    for choice, expected in (("on", True), ("off", False), ("auto", False)):
        found = decide_recomputation(
            make_static_stage(gradient_checkpointing=choice),
            run_options(batch_size=10**6),
            trained_parameters=10,
            device=torch.device("cpu"),
        )
        assert found == expected


def test_out_of_memory_says_what_would_help(make_static_stage, run_options):
    stage = make_static_stage()
    error = out_of_memory(stage, run_options(batch_size=10**6), recomputes=False)
    assert isinstance(error, UserError)
    for part in (
        *("--gradient_checkpointing on", "--batch_size 500000", "--mixed_precision bf16"),
        "GiB less",
    ):
        assert part in str(error)
    run = run_options(batch_size=1, mixed_precision="bf16")
    last = str(out_of_memory(stage, run, recomputes=True))
    assert "--preset" in last
    assert "--batch_size 0" not in last
