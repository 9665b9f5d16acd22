"""Kills hit a program and all that it started, wherever it is, and it ends in the end."""

import json
import random
import threading
import time
from pathlib import Path

import pytest

from core.checks import UserError

WORKER = str(Path(__file__).with_name("worker.py"))
STEPS = 24


@pytest.fixture
def interrupting():
    import interrupting

    return interrupting


@pytest.fixture
def workspace(interrupting, tmp_path):
    def build(*arguments, stopped=None):
        program = interrupting.Program((WORKER, "--steps", str(STEPS), *arguments), "cpu")
        return interrupting.Workspace(program, tmp_path / "run", stopped or threading.Event())

    return build


def test_a_program_is_killed_at_moments_of_all_kinds_and_ends(workspace, tmp_path):
    kills = workspace().run_interrupted(STEPS, 3, 3, random.Random(0)).kills
    assert [kill.aim for kill in kills] == ["in a step", "at a save", "at a start"]
    assert all(kill.saved <= kill.last_line <= STEPS for kill in kills)
    assert all(kill.saved % 3 == 0 for kill in kills)
    assert not any(kill.damaged for kill in kills)
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))


def test_starts_are_distinguished_and_take_steps_twice(workspace):
    from repeated_steps import compare_starts

    found = workspace("--pace", "0.02").run_interrupted(STEPS, 3, 3, random.Random(0))
    assert len(found.starts) == len(found.kills) + 1
    saved = [0, *(kill.saved for kill in found.kills)]
    for start, resumed_from in zip(found.starts, saved, strict=True):
        assert start.saved == resumed_from
        assert all(line["grad_norm"] == 1.0 + resumed_from for line in start.lines.values())
        assert list(start.lines) == list(range(resumed_from + 1, max(start.lines, default=0) + 1))
    assert max(found.starts[-1].lines) == STEPS
    repeats = compare_starts(found.starts)
    assert 1 in {repeat.since for repeat in repeats}
    assert all(repeat.loss == 0 for repeat in repeats)
    assert all(repeat.grad_norm > 0 for repeat in repeats)


def test_kills_in_a_step_leave_something_to_repeat(interrupting):
    chosen = {
        goal: interrupting._beyond_a_checkpoint(goal, steps=13, save_every=4)
        for goal in range(1, 13)
    }
    assert set(chosen.values()) == {6, 7, 10, 11}
    assert [chosen[goal] for goal in (1, 6, 8, 9, 12)] == [6, 6, 7, 10, 11]


def test_what_a_program_started_does_not_outlive_it(workspace, tmp_path):
    run = workspace()
    run._start()
    run._wait_for_step(2)
    chatter = tmp_path / "run/chatter"
    deadline = time.monotonic() + 60
    while not (chatter.exists() and chatter.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    run._kill()
    before = chatter.stat().st_size
    time.sleep(0.1)
    assert before > 0
    assert chatter.stat().st_size == before


def test_a_program_that_fails_is_quoted(workspace):
    with pytest.raises(UserError, match=r"ended with status 1.*\n.*no such thing"):
        workspace("--fail").run_interrupted(STEPS, 3, 2, random.Random(0))


def test_a_program_is_given_up_when_another_failed(workspace):
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(UserError, match="given up"):
        workspace(stopped=stopped).run()


def test_several_processes_are_launched_and_small_networks_wrapped(interrupting, tmp_path):
    one = interrupting.Program(("train.py", "synthetic"), "cpu", size=(32, 64))
    assert one.command(tmp_path)[1:6] == ["benchmarks/reduced.py", "32", "64", *one.arguments]
    assert one.environment["ACCELERATE_USE_CPU"] == "true"
    two = interrupting.Program(("train.py", "synthetic"), "cuda", processes=2)
    command = " ".join(two.command(tmp_path))
    assert "launch --config_file acc_configs/gpu4.yaml --num_processes 2 --main_process_port" in (
        command
    )
    assert command.endswith(f"train.py synthetic --workspace {tmp_path}")
