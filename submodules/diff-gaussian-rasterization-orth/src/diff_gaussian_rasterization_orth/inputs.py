"""Validated inputs of every backend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import NoReturn

import torch
from jaxtyping import Float
from torch import Tensor

_SHAPES = {
    "means": ("b", "n", 3),
    "motion": ("b", "n", "k", 3),
    "scales": ("b", "n", 3),
    "quats": ("b", "n", 4),
    "colors": ("b", "n", 3),
    "opacities": ("b", "n"),
    "opacity_slopes": ("b", "n"),
    "opacity_half_lives": ("b", "n"),
    "anchor_times": ("b", "n"),
    "times": ("b", "t"),
}
_DTYPES = (torch.float32, torch.float64)


@dataclass(frozen=True)
class SceneInputs:
    """``b`` scenes of ``n`` Gaussians and the ``t`` times at which each is rendered.

    All tensors share one device and one dtype (float32 or float64), are finite, and have the
    shapes below; they need not be contiguous. Only :func:`validate` makes one.
    """

    means: Float[Tensor, "b n 3"]
    """x, normalised inverse depth, z at the anchor time."""
    motion: Float[Tensor, "b n k 3"]
    """Polynomial coefficients; number ``j`` multiplies (time - anchor)**(j + 1). ``k`` may be 0."""
    scales: Float[Tensor, "b n 3"]
    """Standard deviations along the Gaussian's own axes x, y (depth), z; canonical units."""
    quats: Float[Tensor, "b n 4"]
    """Rotations (w, x, y, z), used as they are."""
    colors: Float[Tensor, "b n 3"]
    """RGB."""
    opacities: Float[Tensor, "b n"]
    """Opacities at the anchor time."""
    opacity_slopes: Float[Tensor, "b n"]
    """Steepness of the opacity window."""
    opacity_half_lives: Float[Tensor, "b n"]
    """Distance in time at which the logistic window passes its midpoint."""
    anchor_times: Float[Tensor, "b n"]
    """Time at which position and opacity are those given."""
    times: Float[Tensor, "b t"]
    """Times to render."""

    @property
    def num_scenes(self) -> int:
        """Number of scenes ``b``."""
        return self.means.shape[0]

    @property
    def num_times(self) -> int:
        """Number of times ``t`` at which each scene is rendered."""
        return self.times.shape[1]

    def named_tensors(self) -> list[tuple[str, Tensor]]:
        """Return the tensors in the order of the fields, each with its name."""
        return [(name, getattr(self, name)) for name in _SHAPES]

    @property
    def num_gaussians(self) -> int:
        """Number of Gaussians ``n`` of each scene."""
        return self.means.shape[1]


def validate(
    inputs: SceneInputs, image_size: tuple[int, int], backgrounds: Tensor
) -> tuple[SceneInputs, tuple[int, int], Float[Tensor, "b t 3"]]:
    """Check shapes, dtypes and devices, and give backgrounds their full shape.

    Under autocast, tensors become float32.

    Args:
        inputs: Tensors as they came.
        image_size: Height and width in pixels.
        backgrounds: One colour (3,), one a scene (b, 3), or one an image (b, t, 3).

    Raises:
        ValueError: For a wrong shape, dtype or device; the message names the argument, what came,
            and what was expected.
    """
    for name, value in (*inputs.named_tensors(), ("backgrounds", backgrounds)):
        if not isinstance(value, Tensor):
            raise ValueError(
                f"rasterize: {name} is a {type(value).__name__}; expected a torch.Tensor."
            )
    if torch.is_autocast_enabled(inputs.means.device.type):
        inputs = SceneInputs(**{name: _as_float32(v) for name, v in inputs.named_tensors()})
        backgrounds = _as_float32(backgrounds)
    if not _all_fit(inputs, backgrounds):
        _raise_for_kind(inputs, backgrounds)
    height, width = _check_image_size(image_size)
    full = _expand_backgrounds(backgrounds, inputs.num_scenes, inputs.num_times)
    return inputs, (height, width), full


def _as_float32(value: Tensor) -> Tensor:
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value


def _all_fit(inputs: SceneInputs, backgrounds: Tensor) -> bool:
    """Return whether shapes, dtypes and devices are right: faster than naming what is wrong."""
    means, motion, times = inputs.means, inputs.motion, inputs.times
    dtype, device = means.dtype, means.device
    if dtype not in _DTYPES or (means.dim(), motion.dim(), times.dim()) != (3, 4, 2):
        return False
    b, n, _ = means.shape
    sizes = {"b": b, "n": n, "k": motion.shape[2], "t": times.shape[1]}
    for name, value in inputs.named_tensors():
        expected = tuple([sizes.get(axis, axis) for axis in _SHAPES[name]])
        if value.shape != expected or value.dtype != dtype or value.device != device:
            return False
    return backgrounds.dtype == dtype and backgrounds.device == device


def _raise_for_kind(inputs: SceneInputs, backgrounds: Tensor) -> NoReturn:
    """Raise the error for what :func:`_all_fit` found wrong."""
    means = inputs.means
    sizes: dict[str | int, int] = {}
    for name, value in (*inputs.named_tensors(), ("backgrounds", backgrounds)):
        if value.dtype not in _DTYPES:
            raise ValueError(
                f"rasterize: {name} has dtype {value.dtype}; expected torch.float32 or "
                f"torch.float64. Cast it with {name}.float()."
            )
        for what in ("dtype", "device"):
            have, want = getattr(value, what), getattr(means, what)
            if have != want:
                raise ValueError(
                    f"rasterize: {name} has {what} {have}, but means has {want}; all arguments "
                    f"must share one {what}."
                )
        if name != "backgrounds":
            _check_shape(name, value.shape, sizes)
    raise AssertionError("nothing is wrong")


def _check_shape(name: str, shape: torch.Size, sizes: dict[str | int, int]) -> None:
    """Match a shape against its pattern; the first tensor with a letter sets its size."""
    pattern = _SHAPES[name]
    expected = [axis if isinstance(axis, int) else sizes.get(axis, axis) for axis in pattern]
    fits = len(shape) == len(expected) and all(
        isinstance(want, str) or have == want for have, want in zip(shape, expected, strict=True)
    )
    if not fits:
        raise ValueError(
            f"rasterize: {name} has shape {tuple(shape)}; expected "
            f"({', '.join(map(str, expected))}), that is ({', '.join(map(str, pattern))})."
        )
    sizes.update(zip(pattern, shape, strict=True))


def _check_image_size(image_size: tuple[int, int]) -> tuple[int, int]:
    sides = tuple(image_size) if isinstance(image_size, Sequence) else ()
    if len(sides) != 2 or not all(isinstance(side, Integral) and side >= 1 for side in sides):
        raise ValueError(
            f"rasterize: image_size is {image_size!r}; expected (height, width), two integers of "
            "at least 1."
        )
    return int(sides[0]), int(sides[1])


def _expand_backgrounds(backgrounds: Tensor, b: int, t: int) -> Float[Tensor, "b t 3"]:
    shape = tuple(backgrounds.shape)
    if shape == (3,):
        return backgrounds.expand(b, t, 3)
    if shape == (b, 3):
        return backgrounds[:, None].expand(b, t, 3)
    if shape == (b, t, 3):
        return backgrounds
    raise ValueError(
        f"rasterize: backgrounds has shape {shape}; expected (3,), ({b}, 3) or ({b}, {t}, 3), "
        "that is one colour, one a scene, or one an image."
    )


def check_finite(inputs: SceneInputs, backgrounds: Tensor) -> None:
    """Check every value with one wait for the device; search only when one is bad.

    Raises:
        ValueError: If a value is NaN or infinite; the message says which.
    """
    named = (*inputs.named_tensors(), ("backgrounds", backgrounds))
    filled = {name: value.detach() for name, value in named if value.numel()}
    if not filled:
        return
    bounds = torch.stack([bound for value in filled.values() for bound in torch.aminmax(value)])
    if bool(torch.isfinite(bounds).all()):
        return
    for name, value in filled.items():
        bad = (~torch.isfinite(value)).nonzero()
        if len(bad):
            index = tuple(bad[0].tolist())
            found = value[index].item()
            what = "nan" if math.isnan(found) else str(found)
            raise ValueError(
                f"rasterize: {name}[{', '.join(map(str, index))}] is {what} "
                f"({len(bad)} of {value.numel()} values are not finite); expected finite values."
            )
