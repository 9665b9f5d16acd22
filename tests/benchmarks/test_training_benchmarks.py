"""Benchmarks of training, on a network for small frames."""

import sys
from dataclasses import replace

import pytest
import torch

from core.models import StreamSplatConfig, config
from core.models.transformer.dino import load_dino


@pytest.fixture
def small_preset(monkeypatch):
    from reduced import reduced

    transformer = StreamSplatConfig(
        patch_size=16, width=64, head_width=32, upsampler_widths=(32, 32, 32), use_dino=False
    )
    monkeypatch.setitem(config.PRESETS, "tiny", reduced(transformer, (32, 64)))


def _start(module, monkeypatch, capsys, *arguments):
    monkeypatch.setattr(
        sys, "argv", ["benchmark", "--device", "cpu", "--preset", "tiny", *arguments]
    )
    module.main()
    return capsys.readouterr().out


def _rows(printed, stage):
    rows = [line for line in printed.splitlines() if line.startswith(f"| {stage} ")]
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]


@pytest.mark.slow
def test_memory_goes_on_where_a_batch_does_not_fit(small_preset, monkeypatch, capsys):
    import training_memory

    take = training_memory.time_steps

    def time_steps(trainer, batch, *rest):
        if len(batch.frames) == 2:
            raise torch.OutOfMemoryError("no more")
        return take(trainer, batch, *rest)

    monkeypatch.setattr(training_memory, "time_steps", time_steps)
    sizes = ("--static_batch_sizes", "1", "2", "3", "--dynamic_batch_sizes", "1")
    short = ("--num_frames", "2", "--warmup", "1", "--steps", "1", "--mixed_precision", "no")
    printed = _start(training_memory, monkeypatch, capsys, *sizes, *short)
    static, dynamic = _rows(printed, "static"), _rows(printed, "dynamic")
    assert [row[1:3] for row in static] == [[str(n), c] for c in ("off", "on") for n in (1, 2, 3)]
    assert [row[2] for row in dynamic] == ["off", "on"]
    for row in static + dynamic:
        if row[1] == "2":
            assert row[3] == "out of memory"
            assert row[6] == ""
        else:
            assert float(row[6]) > 0
        assert row[5] != ""


def test_steps_are_timed_beside_plain_ones(small_preset, monkeypatch, capsys):
    import training

    short = ("--warmup", "1", "--steps", "1", "--baseline_steps", "1", "--loader_steps", "0")
    sizes = ("--static_batch_size", "2", "--stages", "static", "--mixed_precision", "no")
    (row,) = _rows(_start(training, monkeypatch, capsys, *short, *sizes), "static")
    assert row[1] == "1 x 2"
    assert float(row[2]) > 0
    assert row[-1].endswith("x")


@pytest.mark.parametrize(("name", "passes"), [("static", 3), ("dynamic", 2)])
def test_operations_of_a_layer_are_those_of_the_formula(small_preset, name, passes):
    """Trained, its backward pass takes twice its forward pass; frozen, it sees two frames."""
    from training_steps import NOWHERE, StepOptions, build_stage, count_operations

    stage = build_stage(name, StepOptions(device="cpu", preset="tiny"), NOWHERE, "off")
    before = count_operations(stage)
    config = stage.config
    stage.config = replace(config, encoder_layers=config.encoder_layers + 1)
    layer = config.num_tokens * config.width * (24 * config.width + 4 * config.num_tokens)
    assert count_operations(stage) - before == passes * layer


@pytest.mark.parametrize("name", ["static", "dynamic"])
def test_operations_of_networks_that_render_are_counted_too(monkeypatch, name):
    from reduced import reduced
    from training_steps import NOWHERE, StepOptions, build_stage, count_operations

    monkeypatch.setitem(config.PRESETS, "tiny", reduced(config.PRESETS["tiny"], (32, 64)))
    stage = build_stage(name, StepOptions(device="cpu", preset="tiny"), NOWHERE, "off")
    cells, width = 16 * 32, stage.config.pixel_width
    one_convolution = 2 * cells * width * 9 * width
    assert count_operations(stage) > 8 * one_convolution


def test_communication_is_what_averaging_adds(small_preset):
    import training
    from training_steps import NOWHERE, build_stage, count_operations

    options = training.Options(device="cpu", preset="tiny", static_batch_size=4)
    stage = build_stage("static", options, NOWHERE, "off")

    class TwoProcesses:
        num_processes = 2
        device = torch.device("cpu")

    result = training.StageTimings(stage, 0.5, None, not_averaging=0.4, plain=None, fed={})
    header, _ = training.head_of_steps(TwoProcesses())
    row = training.describe_steps(result, TwoProcesses(), options)
    cells = dict(zip(header.split(" | "), row.split(" | "), strict=True))
    assert cells["samples/s"] == "16.00"
    assert cells["not averaging, ms"] == "400"
    assert cells["communication |"] == "20.0% |"
    tflops = 8e-12 * count_operations(stage)
    assert float(cells["TFLOP/s a device"]) == pytest.approx(tflops, abs=0.05)


def test_random_weights_load_as_published_ones(tmp_path):
    from random_weights import write_dinov2

    write_dinov2(tmp_path / "dinov2.pth")
    assert load_dino(tmp_path / "dinov2.pth", (28, 56)).pos_embed.shape == (1, 2 * 4, 768)
