"""Frames and depth maps as they come, checked and brought to the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from core.checks import UserError
from core.geometry.canonical import normalize_inverse_depth
from core.geometry.fit import FitMode, FrameFit
from core.geometry.resample import resize
from core.io.stills.depth_maps import check_orientation
from core.recording import Recorded
from core.streaming.upload import Uploader

ArrayLike = np.ndarray | Tensor
Depth = ArrayLike | Callable[[], ArrayLike | None]
EstimateDepth = Callable[[Float[Tensor, "1 3 h w"]], Float[Tensor, "1 1 h w"]]
DepthFromMotion = Callable[[Float[Tensor, "1 3 h w"], FrameFit], Float[Tensor, "1 1 h2 w2"] | None]
_OVERSHOOT = 0.01
"""How far floating-point colours may lie outside [0, 1], after resampling for example."""

_LARGEST_DEPTH = 1e30
"""Values near the largest of float32 cannot be averaged."""


@dataclass(frozen=True)
class PreparedFrame:
    """A frame as the model takes it."""

    image: Float[Tensor, "1 3 h w"]
    """RGB in [0, 1]."""
    inverse_depth: Callable[[], Float[Tensor, "1 1 h w"]]
    """Returns relative inverse depth normalised to [0, 1], zeros where there is none; called for
    key frames only."""


class Intake:
    """Makes the model's inputs of frames of one size, the first one's.

    Args:
        model_size: Height and width that the model takes.
        device: Where the model is.
        mode: How frames of other proportions enter it.
        estimate_depth: Gives the relative inverse depth of frames that come without, from RGB in
            [0, 1] on the device; None takes a map of zeros.
        depth_from_motion: Gives it from the frames so far, in place of ``estimate_depth``, at the
            model's size and as it shall be: normalising it by frames would take its unit away. It
            gives None as long as the camera has not moved.
    """

    def __init__(
        self,
        model_size: tuple[int, int],
        device: torch.device,
        mode: FitMode,
        estimate_depth: EstimateDepth | None,
        depth_from_motion: DepthFromMotion | None = None,
    ) -> None:
        self._model_size = model_size
        self._mode: FitMode = mode
        self._estimate_depth = estimate_depth
        self._depth_from_motion = depth_from_motion
        self._upload_frame = Uploader(device)
        self._upload_depth = Uploader(device)
        self._image: Callable[[Tensor], Tensor] = Recorded(self._image_of, plain_calls=1)
        self.fit: FrameFit | None = None
        """How frames enter the model; None before the first one. May be set to what it was."""

    def prepare(self, frame: ArrayLike, depth: Depth | None = None) -> PreparedFrame:
        """Check a frame and its depth and bring them to the model's size and device.

        What is returned shares no memory with the arrays. Where depth is a function, or estimated,
        that happens when ``inverse_depth`` is called.

        Raises:
            UserError: If either cannot be used.
        """
        pixels = as_pixels(frame)
        _check_range(pixels)
        self.fit = fit = self._fit_of(pixels)
        uploaded = self._upload_frame(pixels)
        if depth is not None or (self._depth_from_motion or self._estimate_depth) is None:
            return PreparedFrame(
                self._image(uploaded), self._given_inverse_depth(depth, fit, uploaded.device)
            )
        native = _colors(uploaded)
        return PreparedFrame(fit.to_model(native), self._own_inverse_depth(native, fit))

    def _image_of(self, pixels: Tensor) -> Float[Tensor, "1 3 h w"]:
        assert self.fit is not None
        return self.fit.to_model(_colors(pixels))

    def _given_inverse_depth(
        self, depth: Depth | None, fit: FrameFit, device: torch.device
    ) -> Callable[[], Float[Tensor, "1 1 h w"]]:
        def no_depth() -> Float[Tensor, "1 1 h w"]:
            return _no_depth(fit.model_size, device)

        if callable(depth):

            def called() -> Float[Tensor, "1 1 h w"]:
                values = depth()
                return no_depth() if values is None else self._given_depth(values, fit)

            return called
        if depth is not None:
            given = self._given_depth(depth, fit)
            return lambda: given
        return no_depth

    def _own_inverse_depth(
        self, native: Float[Tensor, "1 3 h w"], fit: FrameFit
    ) -> Callable[[], Float[Tensor, "1 1 h w"]]:
        from_motion = self._depth_from_motion
        if from_motion is not None:

            def found() -> Float[Tensor, "1 1 h w"]:
                values = from_motion(native, fit)
                return _no_depth(fit.model_size, native.device) if values is None else values

            return found
        estimate = self._estimate_depth
        assert estimate is not None
        return lambda: normalize_inverse_depth(fit.to_model(estimate(native)))

    def _fit_of(self, pixels: Tensor) -> FrameFit:
        height, width = pixels.shape[:2]
        if self.fit is not None and self.fit.input_size != (height, width):
            raise UserError(
                f"the frame is {width} by {height} pixels, the ones before it "
                f"{self.fit.input_size[1]} by {self.fit.input_size[0]}; all frames of a stream "
                "must be alike."
            )
        return self.fit or FrameFit((height, width), self._model_size, self._mode)

    def _given_depth(self, depth: ArrayLike, fit: FrameFit) -> Float[Tensor, "1 1 h w"]:
        values = _tensor(depth, "the depth map")
        shape = tuple(values.shape)
        while values.ndim > 2 and values.shape[0] == 1:
            values = values[0]
        if values.ndim != 2 or 0 in values.shape or values.is_complex():
            raise UserError(
                f"the depth map has shape {shape} and type {values.dtype}; expected relative "
                "inverse depth of shape (h, w)."
            )
        values = values.float()
        if not (values.abs() < _LARGEST_DEPTH).all():
            raise UserError(
                "the depth map holds a value that is not finite, or beyond 1e30; expected relative "
                "inverse depth, large for near."
            )
        check_orientation((values.shape[0], values.shape[1]), fit.input_size, "the depth map")
        values = self._upload_depth(values)[None, None]
        if values.shape[-2:] != fit.input_size:
            values = resize(values, fit.input_size)
        return normalize_inverse_depth(fit.to_model(values))


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def _no_depth(size: tuple[int, int], device: torch.device) -> Float[Tensor, "1 1 h w"]:
    """Return zeros, the same ones for each frame of a stream: nobody writes them."""
    return torch.zeros(1, 1, *size, device=device)


def as_pixels(frame: ArrayLike) -> Tensor:
    """Return a frame as a view of shape (h, w, 3), uint8 or floating point.

    Raises:
        UserError: If it is nothing of that kind.
    """
    pixels = _tensor(frame, "the frame")
    came = f"the frame has shape {tuple(pixels.shape)} and type {pixels.dtype}"
    if pixels.ndim == 4 and pixels.shape[0] == 1:
        pixels = pixels[0]
    if pixels.ndim == 3 and pixels.shape[2] != 3:
        pixels = rearrange(pixels, "c h w -> h w c")
    usable = pixels.dtype == torch.uint8 or pixels.is_floating_point()
    if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape or not usable:
        raise UserError(
            f"{came}; expected RGB of shape (h, w, 3) or (3, h, w), uint8 or floating point in "
            "[0, 1]."
        )
    return pixels


def _colors(pixels: Tensor) -> Float[Tensor, "1 3 h w"]:
    """Return a frame (h, w, 3) at its own size, RGB in [0, 1]."""
    image = rearrange(pixels, "h w c -> 1 c h w")
    if pixels.is_floating_point():
        # A copy in any case: whoever brought the frame may write into it next.
        return image.to(torch.float32, copy=True)
    return image / 255


def _check_range(pixels: Tensor) -> None:
    if not pixels.is_floating_point():
        return
    low, high = (bound.item() for bound in pixels.aminmax())
    if not (low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT):
        raise UserError(
            f"the frame holds values from {low:g} to {high:g}; expected RGB in [0, 1], or uint8."
        )


def _tensor(values: ArrayLike, what: str) -> Tensor:
    if isinstance(values, Tensor):
        return values
    if not isinstance(values, np.ndarray):
        raise UserError(
            f"{what} is a {type(values).__name__}; expected a NumPy array or a torch tensor."
        )
    try:
        # torch takes no negative strides, and warns of memory that it must not write.
        return torch.from_numpy(np.require(values, requirements=["C", "W"]))
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{what} has type {values.dtype}; expected uint8 or floating point."
        ) from error
