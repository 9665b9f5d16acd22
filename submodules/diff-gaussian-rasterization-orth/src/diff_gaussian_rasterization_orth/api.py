"""The public functions."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from diff_gaussian_rasterization_orth import backends
from diff_gaussian_rasterization_orth.inputs import SceneInputs, check_finite, validate
from diff_gaussian_rasterization_orth.outputs import Rasterization


def rasterize(
    means: Float[Tensor, "b n 3"],
    motion: Float[Tensor, "b n k 3"],
    scales: Float[Tensor, "b n 3"],
    quats: Float[Tensor, "b n 4"],
    colors: Float[Tensor, "b n 3"],
    opacities: Float[Tensor, "b n"],
    opacity_slopes: Float[Tensor, "b n"],
    opacity_half_lives: Float[Tensor, "b n"],
    anchor_times: Float[Tensor, "b n"],
    times: Float[Tensor, "b t"],
    image_size: tuple[int, int],
    backgrounds: Float[Tensor, "*background 3"],
    *,
    backend: str = "auto",
    max_pairs: int | None = None,
) -> Rasterization:
    """Render ``b`` scenes of ``n`` dynamic Gaussians at ``t`` times each, orthographically.

    Differentiable in every tensor. Under autocast, tensors of any float type are taken and computed
    with in float32. The world has x to the right and z up in [-1, 1] over the image,
    y away from the camera; the formulas are in the package's README.

    Args:
        means: Centres at the anchor time: x, normalised inverse depth d (1 is near), z. A Gaussian
            whose d is outside [0, 1] at some time is not rendered then and gets no gradient.
        motion: Coefficient ``j`` multiplies (time - anchor)**(j + 1); ``k`` may be 0.
        scales: Standard deviations along the Gaussian's own axes x, y, z, linear; 1 is half the
            image's width for lengths along x and half its height for lengths along z.
        quats: Rotations (w, x, y, z), used as they are, never normalised.
        colors: RGB, usually in [0, 1].
        opacities: Opacities at the anchor time, in [0, 1].
        opacity_slopes: Steepness of the opacity window, at least 0; 0 keeps the opacity constant.
        opacity_half_lives: Distance in time at which the window passes its midpoint, in (0, 1).
        anchor_times: Time at which position and opacity are those given.
        times: Times to render, in the unit of ``anchor_times``.
        image_size: Height and width in pixels.
        backgrounds: RGB behind everything: one colour (3,), one a scene (b, 3), or one an image
            (b, t, 3).
        backend: ``"reference"`` (plain PyTorch, any device and float64, slow), ``"cpu"`` (numba),
            ``"cuda"``, or ``"auto"``: the fast one for the device on which the tensors are. The
            backend ``cpu`` takes CUDA tensors too, and copies them to the host and the images back.
        max_pairs: For the backend ``cuda``, inside CUDA graphs above all: room for that many pairs
            of a tile of 16 x 16 pixels and a Gaussian, so that nothing waits for the device; see
            :func:`pairs_needed`. The images become NaN where that is too few or a value is not
            finite. None measures it, with one wait. The other backends ignore it.

    Raises:
        ValueError: If an argument has a wrong shape, dtype or device, or holds a value that is not
            finite; the message names the argument and the place.
        RuntimeError: If the backend cannot be used on this machine.
    """
    inputs = SceneInputs(
        means=means,
        motion=motion,
        scales=scales,
        quats=quats,
        colors=colors,
        opacities=opacities,
        opacity_slopes=opacity_slopes,
        opacity_half_lives=opacity_half_lives,
        anchor_times=anchor_times,
        times=times,
    )
    if max_pairs is not None and max_pairs < 1:
        raise ValueError(f"rasterize: max_pairs is {max_pairs}; expected at least 1, or None.")
    inputs, image_size, backgrounds = validate(inputs, image_size, backgrounds)
    chosen = backends.choose(backend, inputs.means.device)
    empty = inputs.num_gaussians == 0 or inputs.num_times == 0
    if empty or not chosen.CHECKS_VALUES:
        check_finite(inputs, backgrounds)
    return chosen.rasterize(inputs, image_size, backgrounds, max_pairs=max_pairs)


def pairs_needed(
    means: Float[Tensor, "b n 3"],
    motion: Float[Tensor, "b n k 3"],
    scales: Float[Tensor, "b n 3"],
    quats: Float[Tensor, "b n 4"],
    opacities: Float[Tensor, "b n"],
    opacity_slopes: Float[Tensor, "b n"],
    opacity_half_lives: Float[Tensor, "b n"],
    anchor_times: Float[Tensor, "b n"],
    times: Float[Tensor, "b t"],
    image_size: tuple[int, int],
) -> int:
    """Return how many pairs of a tile and a Gaussian the backend ``cuda`` lists for these images.

    A measure for ``max_pairs`` of :func:`rasterize`: scenes that change need some more. The
    arguments are those of :func:`rasterize`, on a CUDA device.

    Raises:
        ValueError: As :func:`rasterize`.
        RuntimeError: If the backend cannot be used on this machine.
    """
    inputs = SceneInputs(
        means=means,
        motion=motion,
        scales=scales,
        quats=quats,
        colors=torch.zeros_like(means),
        opacities=opacities,
        opacity_slopes=opacity_slopes,
        opacity_half_lives=opacity_half_lives,
        anchor_times=anchor_times,
        times=times,
    )
    inputs, image_size, _ = validate(inputs, image_size, means.new_zeros(3))
    backends.choose("cuda", inputs.means.device)
    from diff_gaussian_rasterization_orth import cuda

    return cuda.pairs_needed(inputs, image_size)
