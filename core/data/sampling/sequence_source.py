"""Training samples from one dataset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int

from core.checks import UserError
from core.data.datasets.sequence_set import SequenceSet
from core.data.sampling.frame_cache import FrameCache
from core.data.sampling.motion_labels import label_motion
from core.data.sampling.order import SampleOrder, draw_frames, normalized_times, sample_generator
from core.data.sampling.stored_clips import StoredClips
from core.logging import get_logger

MAX_ATTEMPTS = 20
"""Samples that are tried in place of one that cannot be read."""
_logger = get_logger(__name__)


@dataclass(frozen=True)
class Sample:
    """A sample, and the damaged ones that it replaces."""

    clips: StoredClips
    """A batch of one."""
    unreadable: tuple[str, ...] = ()
    """What was wrong with the files of the samples that this one replaces."""


class SequenceSource:
    """Samples of frames in order, drawn from a dataset without end.

    An epoch shows each possible start frame once (see :class:`.order.SampleOrder`);
    the frames after it, and whether they are played backwards, are drawn again each time. A
    sample that cannot be read is replaced by another. All of it is a function of (seed, index).

    Args:
        sequences: The dataset.
        image_size: Height and width of the samples: the largest part about the frames' centre that
            has these proportions.
        num_frames: Frames of a sample; sequences with fewer are left out and counted.
        reach: Largest distance between its first and its last frame, see
            :func:`.order.draw_frames`; None for that of the dataset.
        seed: Chooses order and frames.
        reverse: Play half of the samples backwards.
        cache_mib: Memory for decoded frames, in MiB; see :class:`.frame_cache.FrameCache`.
        label_motion: Estimate the motion between the key frames; see
            :func:`.motion_labels.label_motion`.

    Raises:
        UserError: If there is no sequence that is long enough.
    """

    def __init__(
        self,
        sequences: SequenceSet,
        image_size: tuple[int, int],
        *,
        num_frames: int,
        reach: int | None = None,
        seed: int,
        reverse: bool,
        cache_mib: int = 0,
        label_motion: bool = False,
    ) -> None:
        self._sequences = sequences
        self._image_size = image_size
        self._num_frames = num_frames
        self._reach = sequences.reach if reach is None else reach
        self._seed = seed
        self._reverse = reverse
        self._label_motion = label_motion and num_frames > 1
        starts = np.maximum(sequences.lengths - num_frames + 1, 0)
        self._first_items = np.cumsum([0, *starts])
        self.num_skipped = int((starts == 0).sum())
        """How many sequences are too short."""
        if not sequences.lengths.any():
            issue = sequences.coverage().missing
            raise UserError(
                f"{sequences.root} ({sequences.name}): there is no image of any of its "
                f"{len(starts)} sequences"
                + (f"; missing is for example {issue.examples[0]}." if issue.count else ".")
                + f" See what is there with python -m core.data.check {sequences.name} "
                f"{sequences.root}."
            )
        if self.num_items == 0:
            raise UserError(
                f"{sequences.root} ({sequences.name}): none of its {len(starts)} sequences has "
                f"{num_frames} frames (the longest has {max(sequences.lengths, default=0)}); use "
                "longer sequences, or fewer frames a sample."
            )
        self._order = SampleOrder(starts, sequences.files, seed)
        self._cache = FrameCache(
            sequences, np.flatnonzero(starts).tolist(), image_size, budget_mib=cache_mib
        )
        self._log_summary()

    @property
    def num_items(self) -> int:
        """How many start frames there are: the length of an epoch."""
        return int(self._first_items[-1])

    @property
    def cached_mib(self) -> int:
        """Memory that decoded frames take, in MiB."""
        return self._cache.num_mib

    def sample(self, index: int) -> Sample:
        """Return the sample at position ``index``.

        Raises:
            UserError: If neither it nor any of ``MAX_ATTEMPTS`` others can be read.
        """
        sequence, start = self._order.locate(index)
        problems: list[str] = []
        for attempt in range(1 + MAX_ATTEMPTS):
            generator = sample_generator(self._seed, index, attempt)
            if attempt:
                sequence, start = self._locate(int(generator.integers(self.num_items)))
            length = int(self._sequences.lengths[sequence])
            frames = draw_frames(generator, start, self._num_frames, self._reach, length)
            if self._reverse and generator.uniform() < 0.5:
                frames = frames[::-1]
            try:
                return Sample(self._load(sequence, frames), tuple(problems))
            except UserError as error:
                problems.append(str(error))
        raise UserError(
            f"{self._sequences.root}: {len(problems)} samples in a row cannot be read; the last: "
            f"{problems[-1]}"
        )

    def consecutive(self, item: int) -> StoredClips:
        """Return consecutive frames from start frame ``item``, in order.

        Args:
            item: From 0 to ``num_items - 1``, sequence by sequence.

        Raises:
            UserError: If a file cannot be read.
        """
        sequence, start = self._locate(item)
        return self._load(sequence, start + np.arange(self._num_frames))

    def _locate(self, item: int) -> tuple[int, int]:
        sequence = int(np.searchsorted(self._first_items, item, side="right")) - 1
        return sequence, item - int(self._first_items[sequence])

    def _load(self, sequence: int, frames: Int[np.ndarray, " v"]) -> StoredClips:
        clip = self._cache.read(sequence, frames.tolist())
        depths, masks = clip.inverse_depths, clip.masks
        if depths is None:
            depths = np.zeros((len(frames), *self._image_size), np.uint16)
        if masks is None:
            masks = np.zeros((len(frames), *self._image_size), np.uint8)
        motion, known = np.zeros((2, 2, 0, 0)), np.zeros((2, 0, 0), bool)
        if self._label_motion:
            motion, known = label_motion(clip.images[0], clip.images[-1])
        return StoredClips(
            frames=torch.from_numpy(clip.images)[None],
            inverse_depths=torch.from_numpy(depths)[None],
            masks=torch.from_numpy(masks)[None],
            times=torch.from_numpy(normalized_times(clip.times))[None],
            motion=torch.from_numpy(motion.astype(np.float16))[None],
            motion_known=torch.from_numpy(known)[None],
            has_depth=torch.tensor([clip.inverse_depths is not None]),
            has_mask=torch.tensor([clip.masks is not None]),
        )

    def _log_summary(self) -> None:
        coverage = self._sequences.coverage()
        _logger.info(
            "%s (%s): %d sequences, %d frames (%d in memory), %d samples an epoch; left out: %d "
            "sequences of fewer than %d frames; without depth: %d frames.",
            self._sequences.root,
            self._sequences.name,
            coverage.sequences - self.num_skipped,
            coverage.frames,
            self._cache.num_cached,
            self.num_items,
            self.num_skipped,
            self._num_frames,
            coverage.without_depth.count,
        )
        issues = {"missing": coverage.missing, "unreadable": coverage.unreadable}
        if not coverage.missing.count:
            issues["sequences without any image"] = coverage.empty
        for what, issue in issues.items():
            if issue.count:
                _logger.warning("%d %s, for example %s", issue.count, what, issue.examples[0])
