"""Procedural scenes as clips: motion, masks, depth and tracks are known exactly."""

from __future__ import annotations

from functools import cached_property

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from core.data.procedural import ProceduralOptions, ProceduralScenes, ProceduralSource
from core.evaluation.data.clips import Clip, ClipFrame
from core.evaluation.data.images import as_bytes

_SEED = 23
_NUM_FRAMES = 25
_OBJECT_MOTION = 0.25
"""Longest path of an object in a clip, as a fraction of the width."""


class SceneClip:
    """A procedural scene in 25 frames at even times.

    Args:
        source: Draws scenes.
        number: Which scene.
    """

    def __init__(self, source: ProceduralSource, number: int) -> None:
        self.name = f"scene_{number:03d}"
        self._source = source
        self._number = number

    @cached_property
    def scene(self) -> ProceduralScenes:
        """The scene."""
        return self._source.sample_scenes([self._number])

    @property
    def num_frames(self) -> int:
        """How many frames it has."""
        return _NUM_FRAMES

    def time(self, frame: int) -> float:
        """Return the scene's time, 0 to 1, at a frame."""
        return frame / (_NUM_FRAMES - 1)

    def read(self, first: int, last: int) -> list[ClipFrame]:
        """Render frames; see :class:`core.evaluation.data.clips.Clip`."""
        indices = range(first, last + 1)
        views = self.scene.render(torch.tensor([[self.time(i) for i in indices]]))
        images = rearrange(as_bytes(views.frames[0]), "v c h w -> v h w c").numpy()
        return [
            ClipFrame(
                index=index,
                image=images[j].copy(),
                time=float(index),
                moving=views.masks[0, j, 0].numpy() > 0,
                inverse_depth=views.inverse_depths[0, j, 0].numpy(),
            )
            for j, index in enumerate(indices)
        ]

    def known_flow(
        self, first: int, last: int
    ) -> tuple[Float[Tensor, "h w 2"], Bool[Tensor, "h w"]]:
        """Return the true displacement of each pixel, and which pixels stay visible."""
        ends = [torch.tensor([self.time(i)]) for i in (first, last)]
        flow, visible = self.scene.flow(*ends)
        return flow[0], visible[0]


def open_scenes(count: int, image_size: tuple[int, int]) -> list[Clip]:
    """Return procedural scenes, the same for the same count and size."""
    height, width = image_size
    options = ProceduralOptions(height=height, width=width, object_motion=_OBJECT_MOTION)
    source = ProceduralSource(options, seed=_SEED)
    return [SceneClip(source, number) for number in range(count)]
