"""Samples from disk, prepared in worker processes, and what keeps these from working."""

from __future__ import annotations

import errno
import resource
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import cv2
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from core.checks import UserError, describe
from core.data.sampling.combination import CombinedSource
from core.data.sampling.sequence_source import Sample
from core.data.sampling.stored_clips import StoredClips
from core.training.distributed.signals import ignore_stop_signals

_PREFETCHED_BATCHES = 4
_TIMEOUT_S = 1800
_SHARED_MEMORY = "/dev/shm"
_SHARING = ("shared memory", "unable to mmap", "unable to open shared")


class LoadedSamples(NamedTuple):
    """What a worker prepares for one step; a DataLoader knows to pin tuples of tensors."""

    tensors: tuple[Tensor, ...]
    """Those of StoredClips; none where the step has no samples from disk."""
    unreadable: list[str]
    """What was wrong with files on the way."""


def load_samples(
    source: CombinedSource, indices: Iterable[list[int]], *, workers: int, pin: bool
) -> Iterator[LoadedSamples]:
    """Start the workers, and return an iterator of what they prepare.

    Args:
        source: Samples by index.
        indices: Those of each step.
        workers: How many processes; 0 prepares samples in this one.
        pin: Whether the tensors lie in pinned memory.

    Raises:
        UserError: If workers cannot be started; from the iterator, if one is lost or cannot hand
            over its samples, or as the source.
    """
    with _faults_explained():
        loader = iter(
            DataLoader(
                _FileDataset(source),
                batch_sampler=indices,
                collate_fn=_collate,
                num_workers=workers,
                worker_init_fn=_start_worker,
                prefetch_factor=_PREFETCHED_BATCHES if workers else None,
                timeout=_TIMEOUT_S if workers else 0,
                pin_memory=pin,
            )
        )
    return _receive(loader)


def _receive(loader: Iterator[LoadedSamples | UserError]) -> Iterator[LoadedSamples]:
    while True:
        with _faults_explained():
            loaded = next(loader)
        if isinstance(loaded, UserError):
            raise loaded
        yield loaded


@contextmanager
def lost_workers_explained() -> Iterator[None]:
    """Turn the error for a lost worker into one line.

    PyTorch raises it in the main thread, wherever that is at the moment.

    Raises:
        UserError: In place of that error.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise UserError(_explanation(error)) from error


@contextmanager
def _faults_explained() -> Iterator[None]:
    """Turn errors of starting workers and of handing over samples into one line."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        explanation = _explanation(error)
        if explanation is None:
            raise
        raise UserError(explanation) from error


def _explanation(error: OSError | RuntimeError) -> str | None:
    """Return what to tell the user; None for errors that do not come from workers.

    PyTorch's errors are RuntimeErrors that differ in their texts only.
    """
    text, number = str(error), error.errno if isinstance(error, OSError) else None
    if number in (errno.EMFILE, errno.ENFILE) or "Too many open files" in text:
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return (
            f"more files than the {allowed} that are allowed would be open: raise the limit "
            "(ulimit -n 4096), or prepare samples without workers (--workers 0)."
        )
    if number == errno.ENOSPC or any(words in text for words in _SHARING):
        return (
            f"workers cannot hand over their samples, as shared memory ({_SHARED_MEMORY}, "
            f"{_mib_of_shared_memory()} MiB) is full: give the container more (docker run "
            "--shm-size 1g), or prepare samples without workers (--workers 0)."
        )
    if number in (errno.EAGAIN, errno.ENOMEM):
        return (
            f"workers cannot be started ({error}): lower --workers, or prepare samples without any "
            "(--workers 0)."
        )
    if "DataLoader worker" in text:
        return (
            f"a worker that prepares samples was lost ({text.splitlines()[0]}); where memory ran "
            "out, lower --workers or --cache_mib. The same command resumes from the last "
            "checkpoint."
        )
    if "DataLoader timed out" in text:
        return (
            f"no samples came for {_TIMEOUT_S // 60} minutes: does the disk or the file server of "
            "the data answer? The same command resumes from the last checkpoint."
        )
    return None


def _mib_of_shared_memory() -> int | str:
    try:
        return shutil.disk_usage(_SHARED_MEMORY).total >> 20
    except OSError:
        return "0"


class _FileDataset(Dataset["Sample | UserError"]):
    """Samples from disk by index; a UserError is returned rather than raised.

    Raised in a worker, it would reach the user inside that worker's traceback.
    """

    def __init__(self, source: CombinedSource) -> None:
        self._source = source

    def __getitem__(self, index: int) -> Sample | UserError:
        try:
            return self._source.sample(index)
        except UserError as error:
            return error
        except OSError as error:
            if error.filename is None:
                raise
            return UserError(describe(error))


def _collate(samples: list[Sample | UserError]) -> LoadedSamples | UserError:
    drawn: list[Sample] = []
    for sample in samples:
        if isinstance(sample, UserError):
            return sample
        drawn.append(sample)
    if not drawn:
        return LoadedSamples((), [])
    clips = StoredClips.cat([sample.clips for sample in drawn])
    tensors = tuple(clips.tensors())
    if get_worker_info() is not None:
        # The thread that sends them would do it, and lose them without a word where it fails.
        try:
            with _faults_explained():
                for tensor in tensors:
                    tensor.share_memory_()
        except UserError as error:
            return error
    return LoadedSamples(tensors, [problem for sample in drawn for problem in sample.unreadable])


def _start_worker(_worker: int) -> None:
    ignore_stop_signals()
    # Workers run in parallel already; threads within them would compete for the same cores.
    cv2.setNumThreads(0)
