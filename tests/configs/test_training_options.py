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
import yaml

from configs import options, options_decoder
from configs.datasets import Datasets
from configs.training import ClipSampleOptions, Combined, Training
from core.checks import UserError, cli_errors
from core.command_line import parse
from core.data.augmentation.options import AugmentationOptions
from core.data.datasets import DATASETS
from core.data.miniature import write_miniature
from core.metrics.lpips import VGG16_FILE
from core.models import PRESETS
from core.training import (
    DynamicStageOptions,
    OptimizerOptions,
    ReportOptions,
    RunOptions,
    StaticStageOptions,
)
from core.training.feeding.options import DataOptions, DatasetOptions, LayeredData
from core.training.stages.options import StageOptions

ROOT = Path(__file__).parents[2]
NAMES = ("re10k", "co3d", "davis", "vos", "frames")
STAGES = ((options, ()), (options_decoder, ("--encoder_path", "e")))


def _parse(module, *arguments):
    return parse(module.Options, args=arguments)


def _data(module, *arguments):
    return _parse(module, *arguments).data.locate(module.PATHS)


@pytest.fixture
def folders(tmp_path):
    """A folder for each data set, and the options that name them."""
    for name in NAMES:
        (tmp_path / name).mkdir()
    return tmp_path


def _path_flags(folders, *names):
    return [part for name in names for part in (f"--{name}_path", str(folders / name))]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("module", "needed"), STAGES, ids=("static", "dynamic"))
def test_each_data_set_has_a_subcommand(module, needed, name, folders):
    arguments = (name, "--workspace", "w", *needed, *_path_flags(folders, name))
    assert _data(module, *arguments) == DataOptions(
        datasets=(DatasetOptions(name=name, path=folders / name),),
        augmentation=AugmentationOptions(),
        workers=4,
    )


@pytest.mark.parametrize(("module", "needed"), STAGES, ids=("static", "dynamic"))
def test_combined_draws_from_the_four_data_sets(module, needed, folders, monkeypatch):
    for name in NAMES[:4]:
        monkeypatch.setenv(f"STREAMSPLAT_{name.upper()}_PATH", str(folders / name))
    data = _data(module, "combined", "--workspace", "w", *needed)
    assert [dataset.name for dataset in data.datasets] == list(NAMES[:4])
    assert [dataset.path for dataset in data.datasets] == [folders / name for name in NAMES[:4]]
    assert {dataset.weight for dataset in data.datasets} == {None}
    assert data.procedural is None


def test_a_missing_data_set_can_be_left_out(folders):
    present = _path_flags(folders, "re10k", "davis", "vos")
    arguments = ("combined", "--workspace", "w", *present, "--co3d_path", "/nowhere")
    with pytest.raises(UserError, match=r"--datasets re10k davis vos$"):
        _data(options, *arguments)


def test_what_is_combined_can_be_chosen(folders):
    parsed = _parse(
        options_decoder,
        *("combined", "--workspace", "w", "--encoder_path", "e", "--datasets", "frames", "re10k"),
        *(*_path_flags(folders, "re10k", "frames"), "--weights", "1", "2.5"),
        *("--procedural_share", "0.2", "--reach", "9", "--preset", "tiny", "--betas", "0.5", "0.6"),
        *("--allow_pickle_depth", "--workers", "0", "--augmentation.scale", "0.1"),
    )
    data = parsed.data.locate(options_decoder.PATHS)
    assert [(d.name, d.weight, d.reach, d.allow_pickle_depth) for d in data.datasets] == [
        ("frames", 1.0, 9, False),
        ("re10k", 2.5, 9, True),
    ]
    assert data.procedural is not None
    assert (data.procedural_share, data.workers, data.augmentation.scale) == (0.2, 0, 0.1)
    assert (parsed.model.preset, parsed.optimizer.betas) == ("tiny", (0.5, 0.6))


def test_augmentation_can_be_left_out(folders):
    arguments = ("davis", "--workspace", "w", "--no_augment", *_path_flags(folders, "davis"))
    assert _data(options, *arguments).augmentation == AugmentationOptions.none()


def test_synthetic_scenes_need_no_files():
    data = _data(options, "synthetic", "--workspace", "w")
    assert data.procedural is not None
    assert data.datasets == ()


def test_layered_photographs_need_their_folder(folders):
    path = folders / "davis"
    data = _data(options, "layered", "--workspace", "w", "--layered_path", str(path))
    assert data.layered == LayeredData(path=path)
    assert (data.datasets, data.scene_shares) == ((), (1.0,))
    combined = ("combined", "--workspace", "w", "--datasets", "davis")
    combined += (*_path_flags(folders, "davis"), "--layered_share", "0.5")
    data = _data(
        options,
        *(*combined, "--procedural_share", "0.25", "--layered_path", "p", "--texture_mib", "9"),
    )
    assert data.layered == LayeredData(path=Path("p"), texture_mib=9)
    assert data.scene_shares == (0.25, 0.5)
    with pytest.raises(UserError, match="--layered_path together"):
        _data(options, *combined)
    with pytest.raises(UserError, match="leave nothing to the data sets"):
        _data(options, *combined, "--layered_path", "p", "--procedural_share", "0.5")


def test_the_names_of_data_sets_are_those_of_the_readers():
    assert set(NAMES) == set(DATASETS)
    assert {field.name for field in fields(Datasets)} == set(options.PATHS.folders) == set(NAMES)


def test_defaults_are_the_published_recipes_where_it_says():
    static = _parse(options, "synthetic", "--workspace", "w")
    dynamic = _parse(options_decoder, "synthetic", "--workspace", "w", "--encoder_path", "e")
    for parsed in (static, dynamic):
        optimizer = parsed.optimizer
        assert (optimizer.lr, optimizer.weight_decay, optimizer.max_grad_norm) == (5e-4, 0.05, 1.0)
        assert optimizer.betas == (0.9, 0.95)
    assert (static.optimizer.final_lr_fraction, dynamic.optimizer.final_lr_fraction) == (0.1, 0.5)
    for parsed in (static, dynamic):
        assert (parsed.model.lambda_lpips, parsed.model.lpips_from_epoch) == (0.05, 50)
        assert (parsed.run.save_every_epochs, parsed.run.save_every_minutes) == (10, 30.0)
    warmups = [parsed.optimizer.published_warmup_steps for parsed in (static, dynamic)]
    assert warmups == [50_000, 20_000]
    assert (static.run.epochs, dynamic.run.epochs) == (250, 200)
    assert (static.run.batch_size, dynamic.run.batch_size) == (32, 16)
    assert (static.model.lambda_depth, dynamic.model.lambda_depth) == (0.05, 0.01)
    assert (dynamic.model.lambda_mask, dynamic.model.num_frames) == (3.0, 6)


@pytest.mark.parametrize(
    ("flag", "values"),
    [
        ("--steps", ["-1"]),
        ("--lr", ["-1"]),
        ("--depth_drop", ["-1"]),
        ("--eval_every", ["-1"]),
        ("--datasets", ["davis", "davis"]),
        ("--weights", ["1", "2"]),
    ],
)
def test_impossible_values_end_the_program_with_the_flag(flag, values, capsys):
    arguments = ("combined", "--workspace", "w", "--encoder_path", "e", flag, *values)
    parse = cli_errors(lambda: _parse(options_decoder, *arguments))
    with pytest.raises(SystemExit) as end:
        parse()
    assert end.value.code == 2
    assert re.fullmatch(rf"error: {flag} is '?{' '.join(values)}.*\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--workers", "-1", "--workers is -1"),
        ("--cache_mib", "-1", "--cache_mib is -1"),
        ("--reach", "0", "--reach is 0"),
        ("--weights", "0", "--weights gives davis 0"),
        ("--weights", "nan", "--weights gives davis nan"),
        ("--procedural_share", "1", "--procedural_share is 1"),
        ("--procedural_share", "-1", "--procedural_share is -1"),
    ],
)
def test_impossible_data_is_named(flag, value, message, folders):
    with pytest.raises(UserError, match=f"^{message}"):
        _data(
            options_decoder,
            *("combined", "--workspace", "w", "--encoder_path", "e", "--datasets", "davis"),
            *(*_path_flags(folders, "davis"), flag, value),
        )


def test_the_choice_of_presets_is_complete():
    assert set(get_args(get_type_hints(StageOptions)["preset"])) == set(PRESETS)


def test_every_option_is_read():
    read = {
        node.attr
        for path in [
            *(ROOT / "core").rglob("*.py"),
            *(ROOT / "configs").glob("*.py"),
            *ROOT.glob("train*.py"),
        ]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }
    groups = (RunOptions, ReportOptions, OptimizerOptions, StaticStageOptions, DynamicStageOptions)
    data = (Training, Combined, ClipSampleOptions, DataOptions, DatasetOptions)
    for group in (*groups, *data, AugmentationOptions):
        assert {field.name for field in fields(group)} <= read
    paths = {f"{name}_path" for name in NAMES}  # read by name
    for field in fields(Datasets):
        assert {option.name for option in fields(type(field.default))} <= read | paths


@pytest.mark.parametrize(
    "path", sorted((ROOT / "acc_configs").glob("*.yaml")), ids=lambda p: p.stem
)
def test_launch_files_hold_launch_settings_only(path):
    settings = yaml.safe_load(path.read_text())
    assert settings["num_processes"] >= settings["num_machines"] >= 1
    assert not {"mixed_precision", "gradient_clipping", "dynamo_config"} & set(settings)


def _run(*arguments, timeout=300, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.mark.parametrize("module", [options, options_decoder], ids=["train", "train_decoder"])
def test_example_commands_stand_on_lines_of_their_own(module, capsys, monkeypatch):
    program = "train.py" if module is options else "train_decoder.py"
    description = ast.get_docstring(ast.parse((ROOT / program).read_text()))
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit):
        parse(module.Options, description=description, args=["--help"])
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert f"python {program} synthetic" in " ".join(lines)
    assert {line.strip() for line in description.splitlines()} <= set(lines)


@pytest.mark.slow
def test_what_the_user_can_mend_is_one_line(tmp_path):
    done = _run("train.py", "davis", "--workspace", str(tmp_path), "--davis_path", "/nowhere")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: the davis data set /nowhere")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_both_stages_run_on_all_data_sets(tmp_path):
    paths = {}
    for name in NAMES[:4]:
        root = write_miniature(name, tmp_path / name)
        paths[f"STREAMSPLAT_{name.upper()}_PATH"] = str(root)
    launch = ("-m", "accelerate.commands.launch", "--config_file", "acc_configs/cpu.yaml")
    # Processors without bfloat16 emulate it, which takes several times as long.
    common = ("--preset", "tiny", "--steps", "1", "--batch_size", "4", "--mixed_precision", "no")
    common = (*common, "--warmup_steps", "0", "--workers", "0")
    common = (*common, "--eval_every", "0", "--picture_every", "0")
    static, dynamic = str(tmp_path / "static"), str(tmp_path / "dynamic")
    first = _run(*(*launch, "train.py", "combined", "--workspace", static, *common), **paths)
    assert first.returncode == 0, first.stderr
    encoder = ("--encoder_path", f"{static}/model.safetensors", "--num_frames", "3")
    second = _run(
        *("train_decoder.py", "combined", "--workspace", dynamic, *common, *encoder),
        *("--procedural_share", "0.5"),
        **paths,
    )
    assert second.returncode == 0, second.stderr
    lines = [json.loads(line) for line in Path(dynamic, "log.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["train"]
    assert lines[0]["mask"] > 0


def test_the_perceptual_loss_looks_through_the_published_file() -> None:
    """The options name it themselves: where it is defined, PyTorch is imported."""
    assert StaticStageOptions().lpips_backbone_path.name == VGG16_FILE
