"""How frames of any size are fitted to the model's size, and its images to theirs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from core.geometry.resample import resize

FitMode = Literal["stretch", "crop", "pad"]


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels, its first row and column included."""

    top: int
    left: int
    height: int
    width: int

    def of(self, images: Float[Tensor, "... h w"]) -> Float[Tensor, "... height width"]:
        """Return the part of ``images`` inside the window."""
        rows = slice(self.top, self.top + self.height)
        return images[..., rows, self.left : self.left + self.width]


def _even(length: float) -> int:
    """Round to the nearest even length, at least 2: what video encoders take."""
    return max(2, 2 * round(length / 2))


def _centered(size: tuple[int, int], inside: tuple[int, int]) -> Window:
    """Return the window of ``size`` in the middle of a picture of size ``inside``."""
    height, width = size
    return Window((inside[0] - height) // 2, (inside[1] - width) // 2, height, width)


def _between_windows(
    points: Float[Tensor, "*batch 2"], from_window: Window, to_window: Window
) -> Float[Tensor, "*batch 2"]:
    """Map pixel coordinates (u, v) so that one window comes to lie on the other."""
    source, target = (
        points.new_tensor([[w.left, w.top], [w.width, w.height]]) for w in (from_window, to_window)
    )
    share = (points + 0.5 - source[0]) / source[1]
    return share * target[1] + target[0] - 0.5


@dataclass(frozen=True)
class FrameFit:
    """The map between frames of a clip and the model's picture, one for a whole clip."""

    input_size: tuple[int, int]
    """Height and width of the clip's frames, pixels."""
    model_size: tuple[int, int]
    """Height and width that the model takes, pixels; both even."""
    mode: FitMode = "stretch"
    """``stretch`` changes the proportions, ``crop`` cuts what sticks out, ``pad`` adds edges."""

    @cached_property
    def source(self) -> Window:
        """The part of an input frame that the model sees, input pixels."""
        height, width = self.input_size
        if self.mode != "crop":
            return Window(0, 0, height, width)
        scale = min(height / self.model_size[0], width / self.model_size[1])
        size = (round(self.model_size[0] * scale), round(self.model_size[1] * scale))
        return _centered((max(1, size[0]), max(1, size[1])), self.input_size)

    @cached_property
    def content(self) -> Window:
        """The part of the model's picture that shows the input and no padding, model pixels."""
        model_height, model_width = self.model_size
        if self.mode != "pad":
            return Window(0, 0, model_height, model_width)
        height, width = self.input_size
        scale = min(model_height / height, model_width / width)
        size = (
            min(_even(height * scale), model_height),
            min(_even(width * scale), model_width),
        )
        return _centered(size, self.model_size)

    @cached_property
    def display_size(self) -> tuple[int, int]:
        """Height and width of the pictures to show, pixels: even, in the input's proportions.

        A stretched picture gets back the input's proportions at about the model's number of pixels.
        """
        if self.mode != "stretch":
            return self.content.height, self.content.width
        area = self.model_size[0] * self.model_size[1]
        height, width = self.input_size
        return _even(math.sqrt(area * height / width)), _even(math.sqrt(area * width / height))

    @cached_property
    def aspect(self) -> float:
        """Natural height over width of the model's whole picture, padding included."""
        if self.mode == "stretch":
            return self.input_size[0] / self.input_size[1]
        return self.model_size[0] / self.model_size[1]

    def shows(
        self, x: Float[Tensor, "*shape"], z: Float[Tensor, "*shape"]
    ) -> Bool[Tensor, "*shape"]:
        """Return which places of the canonical picture (z up) show the input and no padding."""
        height, width = self.model_size
        content = self.content
        column, row = (x + 1) * width / 2, (1 - z) * height / 2  # from the left and top edges
        inside_x = (column >= content.left) & (column <= content.left + content.width)
        return inside_x & (row >= content.top) & (row <= content.top + content.height)

    def to_model(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c height width"]:
        """Bring frames, or maps of their size, to the model's size; padding repeats the edge."""
        if images.shape[-2:] != self.input_size:
            raise ValueError(
                f"FrameFit.to_model: images of size {tuple(images.shape[-2:])} came, "
                f"but the fit is for {self.input_size}"
            )
        content = self.content
        inside = resize(self.source.of(images), (content.height, content.width))
        if self.mode != "pad":
            return inside
        right = self.model_size[1] - content.left - content.width
        bottom = self.model_size[0] - content.top - content.height
        return F.pad(inside, (content.left, right, content.top, bottom), mode="replicate")

    def points_to_model(self, points: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
        """Return where places of an input frame lie in the model's picture.

        Both are pixel coordinates (u, v), (0, 0) being the centre of the first pixel.
        """
        return _between_windows(points, self.source, self.content)

    def points_to_input(self, points: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
        """Return where places of the model's picture lie in an input frame, see above."""
        return _between_windows(points, self.content, self.source)

    def to_display(
        self, images: Float[Tensor, "b c height width"]
    ) -> Float[Tensor, "b c rows columns"]:
        """Bring the model's pictures to :attr:`display_size`, without padding."""
        return resize(self.content.of(images), self.display_size)
