"""The command lines of both stages."""

import ast
import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import tyro
import yaml

from configs import options, options_decoder
from core.checks import cli_errors
from core.data.clips import ClipSequenceOptions
from core.models.config import PRESETS
from core.training import DynamicStageOptions, OptimizerOptions, RunOptions, StaticStageOptions
from core.training.stage import StageOptions

ROOT = Path(__file__).parents[2]


def _parse(command_line, *arguments):
    return tyro.cli(command_line, args=arguments, config=(tyro.conf.OmitArgPrefixes,))


def test_each_subcommand_gives_its_data():
    frames = _parse(options.Options, "frames", "--workspace", "w", "--clips_path", "c")
    assert frames.data.clips.clips_path == Path("c")
    assert frames.data.procedural is None
    assert _parse(options.Options, "procedural", "--workspace", "w").data.clips is None
    mixed = _parse(
        options_decoder.Options,
        *("mixed", "--workspace", "w", "--clips_path", "c", "--encoder_path", "e"),
        *("--procedural_share", "0.2", "--reach", "9", "--preset", "tiny", "--betas", "0.5", "0.6"),
    )
    assert mixed.data.procedural_share == 0.2
    assert (mixed.clips.reach, mixed.model.preset, mixed.optimizer.betas) == (9, "tiny", (0.5, 0.6))


def test_defaults_are_the_published_recipes_where_it_says():
    static = _parse(options.Options, "procedural", "--workspace", "w")
    dynamic = _parse(
        options_decoder.Options, "procedural", "--workspace", "w", "--encoder_path", "e"
    )
    for parsed in (static, dynamic):
        optimizer = parsed.optimizer
        assert (optimizer.lr, optimizer.weight_decay, optimizer.max_grad_norm) == (5e-4, 0.05, 1.0)
        assert optimizer.betas == (0.9, 0.95)
    assert (static.optimizer.final_lr_fraction, dynamic.optimizer.final_lr_fraction) == (0.1, 0.5)
    assert (static.model.lambda_depth, dynamic.model.lambda_depth) == (0.05, 0.01)
    assert (dynamic.model.lambda_mask, dynamic.model.num_frames) == (3.0, 6)


@pytest.mark.parametrize("flag", ["--steps", "--lr", "--depth_drop", "--eval_every"])
def test_impossible_values_end_the_program_with_the_flag(flag, capsys):
    parse = cli_errors(
        lambda: _parse(options.Options, "procedural", "--workspace", "w", flag, "-1")
    )
    with pytest.raises(SystemExit) as end:
        parse()
    assert end.value.code == 2
    assert re.fullmatch(rf"error: {flag} is -1.*\n", capsys.readouterr().err)


def test_the_choice_of_presets_is_complete():
    assert set(get_args(get_type_hints(StageOptions)["preset"])) == set(PRESETS)


def test_every_option_is_read():
    read = {
        node.attr
        for path in [*(ROOT / "core").rglob("*.py"), *(ROOT / "configs").glob("*.py")]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    } | {
        node.attr
        for p in ROOT.glob("train*.py")
        for node in ast.walk(ast.parse(p.read_text()))
        if isinstance(node, ast.Attribute)
    }
    for group in (
        *(RunOptions, OptimizerOptions, StaticStageOptions, DynamicStageOptions),
        ClipSequenceOptions,
    ):
        assert {field.name for field in fields(group)} <= read


@pytest.mark.parametrize(
    "path", sorted((ROOT / "acc_configs").glob("*.yaml")), ids=lambda p: p.stem
)
def test_launch_files_hold_launch_settings_only(path):
    settings = yaml.safe_load(path.read_text())
    assert settings["num_processes"] >= settings["num_machines"] >= 1
    assert not {"mixed_precision", "gradient_clipping", "dynamo_config"} & set(settings)


def _run(*arguments, timeout=300):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def test_what_the_user_can_mend_is_one_line(tmp_path):
    done = _run("train.py", "frames", "--workspace", str(tmp_path), "--clips_path", "/nowhere")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: --clips_path /nowhere")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_both_stages_run_under_accelerate(tmp_path):
    launch = ("-m", "accelerate.commands.launch", "--config_file", "acc_configs/cpu.yaml")
    common = ("--preset", "tiny", "--steps", "1", "--batch_size", "1", "--warmup_steps", "0")
    static, dynamic = str(tmp_path / "static"), str(tmp_path / "dynamic")
    first = _run(
        *launch, "train.py", "procedural", "--workspace", static, *common, "--eval_every", "0"
    )
    assert first.returncode == 0, first.stderr
    encoder = (
        "--encoder_path",
        f"{static}/model.safetensors",
        "--num_frames",
        "3",
        "--eval_samples",
        "1",
    )
    second = _run(
        *launch, "train_decoder.py", "procedural", "--workspace", dynamic, *common, *encoder
    )
    assert second.returncode == 0, second.stderr
    lines = [json.loads(line) for line in Path(dynamic, "log.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["train", "eval"]
    assert lines[1]["procedural/psnr_given"] > 10
