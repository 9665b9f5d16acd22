"""Training samples from folders of clips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Int

from core.checks import UserError
from core.data.augmentation import MAX_ZOOM, View
from core.data.clip_folder import find_clips
from core.data.frame_cache import ClipFrame, FrameCache
from core.data.frame_sampling import draw_frames, item_at, normalized_times, sample_generator
from core.geometry.canonical import normalize_inverse_depth
from core.logging import get_logger
from core.types import ClipBatch

_logger = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class ClipOptions:
    """Clips on disk."""

    clips_path: Path
    """Folder of clips, <clip>/JPEGImages/*.jpg. Annotations/*.png (moving-object masks, 0 is
    background) and depthImages/*_pred.png (relative inverse depth, 8 or 16 bits) are used where
    they exist."""
    augment: bool = True
    """Crop, zoom and mirror the clips at random, and play half of them backwards."""
    cache_mib: int = 4096
    """Memory for decoded frames, in MiB a process; what does not fit is decoded every time."""
    workers: int = 4
    """Processes a training process that prepare samples of clips; 0 prepares them in the training
    process itself."""

    def __post_init__(self) -> None:
        for name in ("cache_mib", "workers"):
            if getattr(self, name) < 0:
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least 0.")


@dataclass(frozen=True, kw_only=True)
class ClipSequenceOptions(ClipOptions):
    """Clips on disk, from which several frames are taken at a time."""

    reach: int = 5
    """Largest distance, in frames of the clip, between the first and the last frame of a sample;
    never taken as less than num_frames - 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reach < 1:
            raise UserError(f"--reach is {self.reach}; expected at least 1.")


class ClipFolderSource:
    """Samples of frames in order, drawn from a folder of clips without end.

    Every epoch shows each possible start frame once, in an order of its own; the frames that
    follow it and the augmentation are drawn anew each time. All of it is a function of
    (seed, index).

    Args:
        root: Folder of clips; see :func:`core.data.clip_folder.find_clips`.
        image_size: Height and width of the samples. Frames are cropped to this aspect ratio.
        num_frames: Frames of a sample; clips with fewer are left out and counted.
        reach: Largest distance between its first and its last frame; see
            :func:`core.data.frame_sampling.draw_frames`.
        seed: Chooses order, frames and augmentation.
        augment: Crop, zoom, mirror and reverse at random, rather than take the largest crop.
        cache_mib: Memory for decoded frames, in MiB.

    Raises:
        UserError: If there is no clip that is long enough.
    """

    def __init__(
        self,
        root: str | Path,
        image_size: tuple[int, int],
        *,
        num_frames: int,
        reach: int,
        seed: int,
        augment: bool,
        cache_mib: int = 0,
    ) -> None:
        found = find_clips(root)
        self._clips = [clip for clip in found if len(clip) >= num_frames]
        self.num_skipped = len(found) - len(self._clips)
        if not self._clips:
            raise UserError(
                f"--clips_path {root}: none of its {len(found)} clips has {num_frames} frames "
                f"(the longest has {max(map(len, found))}); use longer clips or lower --num_frames."
            )
        self._image_size = image_size
        self._num_frames = num_frames
        self._reach = reach
        self._seed = seed
        self._augment = augment
        starts = [len(clip) - num_frames + 1 for clip in self._clips]
        self._first_items = np.cumsum([0, *starts])
        self._cache = FrameCache(
            self._clips,
            image_size,
            margin=MAX_ZOOM if augment else 1.0,
            budget_mib=cache_mib,
        )
        _logger.info(
            "%s: %d clips, %d frames (%d in memory), %d samples an epoch; %d clips are shorter "
            "than %d frames and left out.",
            root,
            self.num_clips,
            sum(map(len, self._clips)),
            self._cache.num_kept,
            self.num_items,
            self.num_skipped,
            num_frames,
        )

    @property
    def num_clips(self) -> int:
        """How many clips are used."""
        return len(self._clips)

    @property
    def num_items(self) -> int:
        """How many start frames there are: the length of an epoch."""
        return int(self._first_items[-1])

    def sample(self, index: int) -> ClipBatch:
        """Return the sample at position ``index``, as a batch of one on the CPU.

        Raises:
            UserError: If a file cannot be read.
        """
        generator = sample_generator(self._seed, index)
        clip, start = self._locate(item_at(self._seed, index, self.num_items))
        frames = draw_frames(
            generator, start, self._num_frames, self._reach, len(self._clips[clip])
        )
        if not self._augment:
            return self._load(clip, frames, View.centered())
        view = View.draw(generator)
        return self._load(clip, frames[::-1] if generator.uniform() < 0.5 else frames, view)

    def consecutive(self, item: int) -> ClipBatch:
        """Return consecutive frames from start frame ``item`` of an epoch, not augmented.

        Args:
            item: From 0 to ``num_items - 1``, clip by clip.

        Raises:
            UserError: If a file cannot be read.
        """
        clip, start = self._locate(item)
        return self._load(clip, start + np.arange(self._num_frames), View.centered())

    def _locate(self, item: int) -> tuple[int, int]:
        clip = int(np.searchsorted(self._first_items, item, side="right")) - 1
        return clip, item - int(self._first_items[clip])

    def _load(self, clip: int, frames: Int[np.ndarray, " v"], view: View) -> ClipBatch:
        loaded = [self._cache.frame(clip, int(frame)) for frame in frames]
        images = np.stack([view.apply(frame.image, self._image_size) for frame in loaded])
        masks = self._stack_masks(loaded, view)
        depths = self._stack_inverse_depths(loaded, view)
        empty = torch.zeros(1, len(frames), 1, *self._image_size)
        return ClipBatch(
            frames=rearrange(torch.from_numpy(images), "v h w c -> 1 v c h w").float() / 255.0,
            inverse_depths=empty if depths is None else depths,
            masks=empty if masks is None else masks,
            times=torch.from_numpy(normalized_times(frames))[None],
            motion=torch.zeros(1, 2, 2, *(side // 2 for side in self._image_size)),
            has_depth=torch.tensor([depths is not None]),
            has_mask=torch.tensor([masks is not None]),
            has_motion=torch.tensor([False]),
        )

    def _stack_masks(self, frames: list[ClipFrame], view: View) -> torch.Tensor | None:
        masks = [frame.mask for frame in frames if frame.mask is not None]
        if len(masks) < len(frames):
            return None
        seen = [view.apply(mask, self._image_size, nearest=True) for mask in masks]
        return rearrange(torch.from_numpy(np.stack(seen)), "v h w -> 1 v 1 h w").float()

    def _stack_inverse_depths(self, frames: list[ClipFrame], view: View) -> torch.Tensor | None:
        depths = [frame.inverse_depth for frame in frames if frame.inverse_depth is not None]
        if len(depths) < len(frames):
            return None
        seen = [view.apply(depth, self._image_size) for depth in depths]
        values = torch.from_numpy(np.stack(seen).astype(np.float32))
        return rearrange(normalize_inverse_depth(values), "v h w -> 1 v 1 h w")
