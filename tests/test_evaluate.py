"""The program that measures: from its command line to its files."""

from __future__ import annotations

import ast
import json
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import evaluate
from configs.options_evaluation import EvaluationOptions
from core.checks import UserError
from tests.evaluation.conftest import write_clip


def run_program(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *map(str, words)])
    evaluate.main()


@pytest.mark.slow
def test_a_folder_of_clips(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small_model: Path
) -> None:
    for seed, name in enumerate(("boat", "cat")):
        write_clip(tmp_path / "clips" / name, seed)
    common = ("--data", "frames", "--frames_path", tmp_path / "clips", "--resume", small_model)
    for output in ("one", "two"):
        run_program(
            monkeypatch,
            *common,
            "--gaps",
            "3",
            "2",
            "--max_pairs",
            "1",
            "--output_dir",
            tmp_path / output,
        )
    result = json.loads((tmp_path / "one" / "evaluation.json").read_bytes())
    assert result["command"].startswith("python evaluate.py --data frames")
    assert "output_dir" not in result["command"]
    assert len(result["sha256"]["network"]) == 64
    assert [clip["name"] for clip in result["clips"]] == ["boat", "cat"]
    assert [len(clip["gaps"]["2"]["pairs"]) for clip in result["clips"]] == [1, 1]
    files = {path.name for path in (tmp_path / "one").iterdir()}
    assert {"index.html", "best.png", "median.png", "worst_1.png", "psnr_by_gap.png"} <= files
    for name in files - {"times.json", "times.html", "clips"}:
        pair = [(tmp_path / output / name).read_bytes() for output in ("one", "two")]
        assert pair[0] == pair[1], name


@pytest.mark.slow
def test_procedural_scenes_have_known_motion_and_tracks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small_model: Path
) -> None:
    run_program(
        monkeypatch,
        *("--data", "procedural", "--scenes", "1", "--gaps", "8", "--resume", small_model),
        *("--output_dir", tmp_path),
    )
    summary = json.loads((tmp_path / "evaluation.json").read_bytes())["summary"]
    motion = summary["motion"]["8"]["exact"]
    assert set(motion) == {"streamsplat", "DIS", "still"}
    assert motion["still"]["epe"] > 0
    tracking = summary["tracking"]["8"]
    assert set(tracking) == {"streamsplat", "still", "LK", "DIS"}
    assert tracking["still"]["error_px"] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--data", "videos"), "--data videos needs --videos"),
        (("--data", "davis", "--gaps", "0"), "--gaps holds 0"),
        (("--data", "davis", "--gaps", "5", "5"), "--gaps is '5 5'"),
        (("--data", "davis", "--max_pairs", "-1"), "--max_pairs is -1"),
        (("--data", "davis", "--method", "theirs"), "--method theirs: expected NAME=FOLDER"),
        (("--data", "davis", "--method", "blend=."), "--method blend: this name is taken"),
        (("--data", "davis", "--method", "a=/nowhere"), "there is no such folder"),
        (("--data", "davis", "--davis_path", "/nowhere"), "/nowhere"),
    ],
)
def test_mistakes_are_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    message: str,
) -> None:
    with pytest.raises(SystemExit) as stopped:
        run_program(monkeypatch, *words)
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert message in lines[-1]
    assert len(lines) <= 2  # a warning that there is no LPIPS may come first


def test_the_output_folder_is_no_part_of_the_command() -> None:
    words = ["--output_dir", "a", "--gaps", "5", "--output-dir=b", "--data", "davis"]
    assert evaluate.without_output(words) == ["--gaps", "5", "--data", "davis"]


def test_every_option_is_read() -> None:
    read = {
        node.attr
        for node in ast.walk(ast.parse(Path(evaluate.__file__).read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "options"
    }
    paths = {f"{name}_path" for name in ("davis", "vos", "co3d", "re10k")}  # read by name
    assert {field.name for field in fields(EvaluationOptions)} - paths <= read


def test_options_are_checked_where_they_are_made() -> None:
    with pytest.raises(UserError, match="--scenes is 0"):
        EvaluationOptions(data="procedural", scenes=0)
