"""A checkpoint survives a stop at any moment, and knows when it is damaged."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from torch import nn

from core.checks import UserError
from core.training.compute.optimizer import build_optimizer
from core.training.compute.options import OptimizerOptions
from core.training.workspace import checkpoints
from core.training.workspace.checkpoints import (
    DAMAGED,
    LATEST,
    PARTIAL,
    PREVIOUS,
    SUMS,
    Progress,
    RunState,
    find_checkpoint,
    find_damage,
    read_state,
    restore,
    write_checkpoint,
)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = nn.Linear(4, 2)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)

    def forward(self, x):
        return self.second(self.first(x).relu())


def _build(seed=0):
    torch.manual_seed(seed)
    model = Network()
    return model, build_optimizer(model, OptimizerOptions(lr=0.1))


def _step(model, optimizer, seed):
    torch.manual_seed(seed)
    model(torch.randn(5, 3)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def _state(step=0):
    progress = Progress(step=step, samples=8 * step, skipped_steps=1)
    return RunState("static", {"width": 4}, {"run.seed": 0}, progress, "abcd", {"loss": [[0.1, 3]]})


def _write(workspace, step, seed=0):
    model, optimizer = _build(seed)
    _step(model, optimizer, step)
    write_checkpoint(workspace, model, optimizer, _state(step))
    return model


def test_everything_comes_back_to_the_last_bit(tmp_path):
    model, optimizer = _build()
    for seed in range(3):
        _step(model, optimizer, seed)
    write_checkpoint(tmp_path, model, optimizer, _state(3))
    twin, twin_optimizer = _build(seed=1)
    found = find_checkpoint(tmp_path)
    assert found == tmp_path / LATEST
    restore(found, twin, twin_optimizer)
    assert read_state(found) == _state(3)
    for seed in (3, 4):
        _step(model, optimizer, seed)
        _step(twin, twin_optimizer, seed)
    for one, two in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, two)


def test_nothing_is_pickled_and_the_sums_are_those_of_sha256sum(tmp_path):
    _write(tmp_path, 1)
    names = {path.name for path in (tmp_path / LATEST).iterdir()}
    assert names == {"model.safetensors", "optimizer.safetensors", "state.json", SUMS}
    if shutil.which("sha256sum"):
        check = ["sha256sum", "--check", "--strict", SUMS]
        subprocess.run(check, cwd=tmp_path / LATEST, check=True, capture_output=True)


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it, nothing is tidied up by it."""


MOMENTS = (
    *((shutil, "rmtree"), (Path, "rename"), (Path, "mkdir"), (Path, "write_text")),
    *((checkpoints, "save_file"), (checkpoints, "write_safetensors"), (checkpoints, "flush")),
)


def _kill_at(patch, moment, after):
    """Make the call number ``moment`` of those that touch files the last one.

    With ``after``, it still happens; otherwise it is left half done or does not happen at all.
    """
    calls = iter(range(10**6))

    def guard(function, name):
        def call(*arguments, **options):
            if next(calls) != moment:
                return function(*arguments, **options)
            if after:
                function(*arguments, **options)
            elif name == "rmtree" and Path(arguments[0]).exists():
                next(Path(arguments[0]).iterdir()).unlink()
            raise Killed

        return call

    for owner, name in MOMENTS:
        patch.setattr(owner, name, guard(getattr(owner, name), name))
    return calls


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("before", "newest_lost"), [(1, False), (2, False), (2, True)])
def test_killed_at_any_moment_of_saving_a_whole_checkpoint_is_left(
    tmp_path, monkeypatch, before, newest_lost, after
):
    moments = 0
    while True:
        workspace = tmp_path / str(moments)
        for step in range(before):
            _write(workspace, step)
        if newest_lost:  # as a kill between the moves leaves it
            shutil.rmtree(workspace / LATEST)
        with monkeypatch.context() as patch:
            calls = _kill_at(patch, moments, after)
            try:
                _write(workspace, 7)
                killed = False
            except Killed:
                killed = True
        found = find_checkpoint(workspace)
        assert found is not None, f"killed at call {moments}"
        step = read_state(found).progress.step
        assert step in (before - 1 - newest_lost, 7)
        restore(found, *_build(seed=1))
        # And the next save finds nothing in its way.
        _write(workspace, 8)
        assert read_state(find_checkpoint(workspace)).progress.step == 8
        if not killed:
            assert step == 7
            break
        moments += 1
    assert next(calls) > 8, "the calls that touch files are no longer those that are counted"


def _damage(path, how):
    data = bytearray(path.read_bytes())
    if how == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif how == "a bit flipped":
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()


@pytest.mark.parametrize("how", ["truncated", "a bit flipped", "empty", "missing"])
@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json", SUMS])
def test_a_damaged_checkpoint_is_reported_and_the_one_before_is_used(tmp_path, caplog, name, how):
    for step in (1, 2):
        _write(tmp_path, step)
    _damage(tmp_path / LATEST / name, how)
    with caplog.at_level("WARNING", "streamsplat"):
        found = find_checkpoint(tmp_path)
    assert found == tmp_path / PREVIOUS
    assert read_state(found).progress.step == 1
    assert f"{tmp_path / LATEST} is damaged" in caplog.text
    assert PREVIOUS in caplog.text
    # The next one must not push the only whole checkpoint out of its place.
    assert find_damage(tmp_path / DAMAGED) is not None
    _write(tmp_path, 3)
    assert read_state(tmp_path / LATEST).progress.step == 3
    assert read_state(find_checkpoint(tmp_path)).progress.step == 3


def test_with_all_damaged_nothing_is_started_anew_in_silence(tmp_path):
    assert find_checkpoint(tmp_path) is None
    for step in (1, 2):
        _write(tmp_path, step)
    for folder in (LATEST, PREVIOUS):
        _damage(tmp_path / folder / "model.safetensors", "truncated")
    with pytest.raises(
        UserError, match=r"checkpoint_latest is damaged: model.*previous is damaged"
    ):
        find_checkpoint(tmp_path)


def test_a_full_disk_leaves_the_old_checkpoint_and_says_so(tmp_path, monkeypatch):
    _write(tmp_path, 1)

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", fail)
    with pytest.raises(UserError, match="No space left"):
        _write(tmp_path, 2)
    assert read_state(find_checkpoint(tmp_path)).progress.step == 1
    assert not (tmp_path / PARTIAL).exists()


def test_optimiser_state_of_another_network_is_refused(tmp_path):
    _write(tmp_path, 1)
    model, _ = _build()
    model.second.requires_grad_(False)
    optimizer = build_optimizer(model, OptimizerOptions())
    with pytest.raises(UserError, match=r"second.*does not train"):
        restore(tmp_path / LATEST, model, optimizer)
    model.requires_grad_(True)
    with pytest.raises(UserError, match="of 4 parameters, but this run trains 6"):
        restore(tmp_path / LATEST, model, build_optimizer(model, OptimizerOptions()))


@pytest.mark.parametrize(
    "change", [lambda state: {**state, "format": 99}, lambda state: {**state, "more": 1}, list]
)
def test_a_record_of_another_version_is_refused(tmp_path, change):
    _write(tmp_path, 1)
    path = tmp_path / LATEST / "state.json"
    assert read_state(tmp_path / LATEST).format == 1
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(UserError, match="of another version"):
        read_state(tmp_path / LATEST)
