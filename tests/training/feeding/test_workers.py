import errno
import os
import signal
from itertools import islice

import pytest
import torch

from core.checks import UserError
from core.data.sampling.stored_clips import StoredClips
from core.training.feeding import workers
from core.training.feeding.workers import load_samples, lost_workers_explained


class Clips:
    """Gives samples of a few bytes, or does to the worker what ``fault`` says."""

    def __init__(self, fault=None):
        self._fault = fault

    def sample(self, index):
        if self._fault is not None:
            self._fault()
        return _Sample(index)


class _Sample:
    unreadable = ()

    def __init__(self, index):
        self.clips = StoredClips(
            frames=torch.full((1, 1, 2, 2, 3), index, dtype=torch.uint8),
            inverse_depths=torch.zeros(1, 1, 2, 2, dtype=torch.uint16),
            masks=torch.zeros(1, 1, 2, 2, dtype=torch.uint8),
            times=torch.zeros(1, 1),
            motion=torch.zeros(1, 0, 0, 0, 0, dtype=torch.float16),
            motion_known=torch.zeros(1, 0, 0, 0, dtype=torch.bool),
            has_depth=torch.zeros(1, dtype=torch.bool),
            has_mask=torch.zeros(1, dtype=torch.bool),
        )


def _load(source, count=1):
    return load_samples(source, [[0], [1]], workers=count, pin=False)


@pytest.mark.slow
def test_workers_hand_over_what_the_process_itself_would_load():
    for one, other in zip(islice(_load(Clips(), 0), 2), islice(_load(Clips()), 2), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.tensors, other.tensors, strict=True))


@pytest.mark.slow
def test_full_shared_memory_is_one_line(monkeypatch):
    # What posix_fallocate makes of a full /dev/shm, in the worker that is forked from here.
    def full(_tensor):
        raise RuntimeError(
            "unable to allocate shared memory(shm) for file </torch_1>: No space left on device"
        )

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    with pytest.raises(UserError, match=r"/dev/shm.* is full.*--shm-size.*--workers 0"):
        next(_load(Clips()))


@pytest.mark.slow
def test_a_killed_worker_is_one_line():
    killed = Clips(lambda: os.kill(os.getpid(), signal.SIGKILL))
    with (
        pytest.raises(UserError, match=r"worker .* was lost .*--workers"),
        lost_workers_explained(),
    ):
        next(_load(killed))


def test_too_few_files_are_one_line(monkeypatch):
    def no_pipe(*_arguments, **_options):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(workers, "DataLoader", no_pipe)
    with pytest.raises(UserError, match=r"ulimit -n .*--workers 0"):
        _load(Clips())


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="out of shared memory"), lost_workers_explained():
        raise RuntimeError("a CUDA kernel ran out of shared memory")
