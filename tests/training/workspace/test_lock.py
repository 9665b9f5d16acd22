"""One run at a time, and none waits for one that was killed."""

import errno
import fcntl
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from core.checks import UserError
from core.training import train
from core.training.distributed.signals import StopRequests
from core.training.workspace.lock import LOCK_FILE, WorkspaceLock


def _hold(workspace, started):
    """Lock a workspace, and start a worker that has the file open as well."""
    with WorkspaceLock(workspace) as lock:
        lock.acquire(StopRequests())
        worker = os.fork()
        if worker:
            started.put(worker)
        time.sleep(60)


@pytest.fixture
def other(tmp_path):
    """A process that holds the lock of ``<tmp>/run``, and whose worker lives on without it."""
    context = multiprocessing.get_context("fork")
    started = context.SimpleQueue()
    process = context.Process(target=_hold, args=(tmp_path / "run", started))
    process.start()
    worker = started.get()
    yield process
    process.kill()
    process.join()
    os.kill(worker, signal.SIGKILL)


def test_a_workspace_in_use_is_waited_for_and_refused(other, tmp_path, caplog):
    with (
        caplog.at_level(logging.INFO),
        WorkspaceLock(tmp_path / "run", wait_s=0.6) as lock,
        pytest.raises(UserError, match=rf"in use by process {other.pid} on .*--workspace"),
    ):
        lock.acquire(StopRequests())
    (line,) = caplog.messages
    assert line.startswith(f"waiting up to 1 s for process {other.pid} on ")


def test_what_was_killed_keeps_nobody_waiting(other, tmp_path):
    other.kill()
    other.join()
    with WorkspaceLock(tmp_path / "run", wait_s=0.0) as lock:
        assert lock.acquire(StopRequests())


def test_being_asked_to_stop_ends_the_wait(other, tmp_path):
    stop = StopRequests()
    stop.received = "SIGTERM"
    with WorkspaceLock(tmp_path / "run") as lock:
        assert not lock.acquire(stop)


def test_a_run_holds_the_lock_until_it_ends(
    make_static_stage, scenes, optimizer, run_options, monkeypatch
):
    run = run_options(steps=3)
    stage = make_static_stage()
    attempt = [sys.executable, "-c", "import fcntl, sys; fcntl.flock(open(sys.argv[1], 'r+'), 6)"]
    found = []

    def compute_losses(*arguments):
        done = subprocess.run(
            [*attempt, str(run.workspace / LOCK_FILE)], capture_output=True, check=False
        )
        found.append(done.returncode)
        return losses(*arguments)

    losses = stage.compute_losses
    monkeypatch.setattr(stage, "compute_losses", compute_losses)
    assert fcntl.LOCK_EX | fcntl.LOCK_NB == 6
    train(stage, scenes, run, optimizer)
    assert found == [1, 1, 1]
    subprocess.run([*attempt, str(run.workspace / LOCK_FILE)], check=True)


def test_a_file_system_without_locks_is_a_warning(tmp_path, monkeypatch, caplog):
    def flock(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with WorkspaceLock(tmp_path) as lock:
        assert lock.acquire(StopRequests())
    assert "No locks available" in caplog.text


def test_a_lock_file_that_was_removed_is_made_anew(other, tmp_path):
    (tmp_path / "run" / LOCK_FILE).unlink()
    with WorkspaceLock(tmp_path / "run", wait_s=0.0) as lock:
        assert lock.acquire(StopRequests())


def test_a_workspace_without_rights_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with WorkspaceLock(tmp_path / "file" / "run") as lock, pytest.raises(UserError, match="cannot"):
        lock.acquire(StopRequests())
