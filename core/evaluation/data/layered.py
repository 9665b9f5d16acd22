"""Layered photographs as clips: masks and motion are known exactly."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from core.checks import naming
from core.data.layered import LayeredOptions, LayeredSource, TextureBank
from core.evaluation.data.clips import Clip, ClipFrame
from core.evaluation.data.images import as_bytes
from core.geometry.optical_flow import agreement

_SEED = 23
_NUM_FRAMES = 25
_MEDIAN_MOTION = 0.1
"""Median of the longest paths in a clip, as a fraction of the width: 11 pixels of 512 in 5 frames,
about what training samples show between key frames."""
_EXPOSURE = 0.5 / (_NUM_FRAMES - 1)
"""Half of the time from frame to frame."""
_TEXTURE_MIB = 1024


class LayeredClip:
    """Layers cut out of photographs, in 25 frames at even times.

    Args:
        source: Makes samples.
        number: Which sample.
    """

    def __init__(self, source: LayeredSource, number: int) -> None:
        self.name = f"layers_{number:03d}"
        self._source = source
        self._number = number
        self._times = torch.linspace(0.0, 1.0, _NUM_FRAMES)

    @property
    def num_frames(self) -> int:
        """How many frames it has."""
        return _NUM_FRAMES

    def read(self, first: int, last: int) -> list[ClipFrame]:
        """Return frames; see :class:`core.evaluation.data.clips.Clip`."""
        images, moving = self._frames
        return [
            ClipFrame(
                index=index,
                image=images[index].numpy(),
                time=float(index),
                moving=moving[index].numpy(),
            )
            for index in range(first, last + 1)
        ]

    def known_flow(
        self, first: int, last: int
    ) -> tuple[Float[Tensor, "h w 2"], Bool[Tensor, "h w"]]:
        """Return the true displacement of each pixel, and which pixels stay visible.

        It is the same in blocks of 2 by 2 pixels.
        """
        clip = self._source.clip([self._number], self._times[None, [first, last]])
        height, width = clip.frames.shape[-2:]
        to_pixels = clip.motion.new_tensor((width / 2, -height / 2))
        both = rearrange(clip.motion[0], "key xz h w -> key h w xz") * to_pixels
        both = repeat(both, "key h w uv -> key (h p) (w q) uv", p=2, q=2)
        known = repeat(clip.motion_known[0, 0], "h w -> (h p) (w q)", p=2, q=2)
        return both[0], known & agreement(both[0], both[1])

    @cached_property
    def _frames(self) -> tuple[UInt8[Tensor, "t h w 3"], Bool[Tensor, "t h w"]]:
        # All at once: the noise of a frame depends on its place among those that are asked for.
        clip = self._source.clip([self._number], self._times[None])
        images = rearrange(as_bytes(clip.frames[0]), "t c h w -> t h w c")
        return images.contiguous(), clip.masks[0, :, 0] > 0


def open_layered(folder: Path, count: int, image_size: tuple[int, int]) -> list[Clip]:
    """Return layered photographs, the same for the same folder, count and size.

    Raises:
        UserError: If there are too few photographs in the folder.
    """
    height, width = image_size
    with naming("--layered_path"):
        textures = TextureBank(
            folder, min_side=min(image_size), budget_mib=_TEXTURE_MIB, device="cpu"
        )
    options = LayeredOptions(
        height=height,
        width=width,
        median_motion=_MEDIAN_MOTION,
        exposure=_EXPOSURE,
        cut_probability=0.0,
    )
    source = LayeredSource(options, textures, seed=_SEED)
    return [LayeredClip(source, number) for number in range(count)]
