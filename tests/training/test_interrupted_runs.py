"""Runs in processes of their own that are killed, asked to stop, and started again."""

import json
import multiprocessing
import os
import random
import runpy
import signal
import socket
import time

import pytest

from core.training.workspace.checkpoints import LATEST, find_checkpoint

STEPS = 18
TIMEOUT_S = 300
TIMING = {"samples_per_second", "data_wait", "gpu_memory_gib"}


@pytest.fixture(scope="module")
def context():
    """Processes forked from one that has imported everything once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["core.training"])
    return context


@pytest.fixture
def start(context, micro_file, clips_root, make_dynamic_stage, tmp_path):
    """Start a run of stage 1 or 2 in a workspace of that name; the same again resumes it."""
    encoder = tmp_path / "stage1" / "model.safetensors"
    make_dynamic_stage()

    def begin(name, stage=1, **changes):
        arguments = {
            **{"workspace": tmp_path / name, "clips": clips_root},
            **{"encoder": encoder if stage == 2 else None, "steps": STEPS},
            **{"steps_per_epoch": 2, "save_every_epochs": 1, "eval_every": 6, **changes},
        }
        run = (str(micro_file), {"ARGUMENTS": arguments}, "__main__")
        process = context.Process(target=runpy.run_path, args=run)
        process.start()
        return process, arguments["workspace"]

    return begin


def _lines(workspace):
    path = workspace / "log.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [{k: v for k, v in line.items() if k not in TIMING} for line in lines]


def _wait_for_lines(workspace, count):
    """Wait until the log has so many lines, however many an earlier run had written."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        path = workspace / "log.jsonl"
        if path.exists() and path.read_text().count("\n") >= count:
            return
        time.sleep(0.005)
    raise AssertionError(f"{workspace} has no {count} lines after {TIMEOUT_S} s")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "signals"),
    [(1, [signal.SIGKILL] * 3), (2, [signal.SIGKILL, signal.SIGUSR1, signal.SIGTERM])],
)
def test_an_interrupted_run_ends_as_if_nothing_had_happened(start, stage, signals):
    whole, expected = start("whole", stage)
    interrupted, workspace = start("interrupted", stage)
    delays = random.Random(stage)
    for goal, number in zip((3, 8, 13), signals, strict=True):
        _wait_for_lines(workspace, goal)
        time.sleep(delays.uniform(0.0, 0.15))
        os.kill(interrupted.pid, number)
        interrupted.join(TIMEOUT_S)
        if number == signal.SIGKILL:
            assert interrupted.exitcode == -signal.SIGKILL
        else:
            assert interrupted.exitcode == 75
            state = json.loads((find_checkpoint(workspace) / "state.json").read_text())
            assert state["progress"]["step"] == _lines(workspace)[-1]["step"] < STEPS
        interrupted, _ = start("interrupted", stage)
    for process in (whole, interrupted):
        process.join(TIMEOUT_S)
        assert process.exitcode == 0
    assert _lines(workspace) == _lines(expected)
    for name in ("model.safetensors", "optimizer.safetensors"):
        assert (workspace / LATEST / name).read_bytes() == (expected / LATEST / name).read_bytes()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.slow
def test_processes_that_train_together_skip_stop_and_resume_together(start):
    def start_both(name):
        port, options = _free_port(), {"processes": 3, "batch_size": 1}
        # Only one of them has a loss that is not finite; without steps in common they would part.
        runs = [
            start(name, port=port, process=rank, broken_steps=(2,) if rank else (), **options)
            for rank in range(3)
        ]
        return [process for process, _ in runs], runs[0][1]

    whole, expected = start_both("whole")
    asked, workspace = start_both("asked")
    _wait_for_lines(workspace, 9)
    os.kill(asked[1].pid, signal.SIGTERM)
    for process in asked:
        process.join(TIMEOUT_S)
        assert process.exitcode == 75
    stopped_at = _lines(workspace)[-1]["step"]
    again, _ = start_both("asked")
    for process in whole + again:
        process.join(TIMEOUT_S)
        assert process.exitcode == 0
    skips = [
        [line["skipped_steps"] for line in _lines(folder) if line["kind"] == "train"]
        for folder in (expected, workspace)
    ]
    assert skips[0] == [0, 0] + [1] * (STEPS - 2)
    assert skips[1][-1] == 2
    # The third step after a start is broken, so that only what came before is the same, and after
    # a start gradients are added in another order.
    before = [line for line in _lines(expected) if line["step"] <= stopped_at + 2]
    for line, other in zip(_lines(workspace)[: len(before)], before, strict=True):
        assert line.pop("kind") == other.pop("kind")
        assert line == pytest.approx(other, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("failing", "rank", "said", "others_say"),
    [
        ("open_sources", 0, "open_sources fails", "open_sources fails"),
        ("open_perceptual", 1, "open_perceptual fails", "open_perceptual fails"),
        ("start_tracker", 0, "start_tracker fails", "start_tracker fails"),
        (0, 1, "batch 0 cannot be read", "batch 0 cannot be read"),
        (5, 1, "batch 5 cannot be read", "another process cannot draw its next batch"),
    ],
)
def test_what_fails_in_one_process_ends_them_all(start, failing, rank, said, others_say):
    options = {"port": _free_port(), "processes": 2, "batch_size": 1}
    runs = [
        start("run", process=process, failing=failing if process == rank else None, **options)
        for process in range(2)
    ]
    for process, _ in runs:
        process.join(TIMEOUT_S)
        assert process.exitcode == 2
    workspace = runs[0][1]
    assert said in (workspace / f"error_{rank}.txt").read_text()
    assert others_say in (workspace / f"error_{1 - rank}.txt").read_text()
    if isinstance(failing, int):
        assert len(_lines(workspace)) <= failing + 2
