"""The kernels as PyTorch operators: schema, shapes for tracing, gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from diff_gaussian_rasterization_orth.cuda import stages
from diff_gaussian_rasterization_orth.cuda.launch import open_queue

_NAME = "diff_gaussian_rasterization_orth"
_MOVING = (
    "Tensor scales, Tensor quats, Tensor? quat_rates, {colors}Tensor opacities, "
    "Tensor opacity_slopes, Tensor opacity_half_lives, Tensor anchor_times, Tensor times, "
    "Tensor backgrounds, "
)
_library = torch.library.Library(_NAME, "DEF")
_library.define(
    "render(Tensor means, Tensor motion, "
    + _MOVING.format(colors="Tensor colors, ")
    + "SymInt height, SymInt width, SymInt? max_pairs) -> (Tensor rgb, Tensor depth, Tensor alpha, "
    "Tensor splats, Tensor surfaces, Tensor lists, Tensor sorted_splats, Tensor transmittances, "
    "Tensor blended)",
    tags=(torch.Tag.pt2_compliant_tag,),
)
_library.define(
    "render_backward(Tensor motion, "
    + _MOVING.format(colors="")
    + "Tensor splats, Tensor surfaces, Tensor lists, Tensor sorted_splats, Tensor transmittances, "
    "Tensor blended, Tensor? v_rgb, Tensor? v_depth, Tensor? v_alpha, SymInt height, SymInt width, "
    "bool needs_times) -> (Tensor v_means, Tensor v_motion, Tensor v_scales, Tensor v_quats, "
    "Tensor v_quat_rates, Tensor v_colors, Tensor v_opacities, Tensor v_opacity_slopes, "
    "Tensor v_opacity_half_lives, Tensor v_anchor_times, Tensor v_times)",
    tags=(torch.Tag.pt2_compliant_tag,),
)


def _render(*arguments: Any) -> tuple[Tensor, ...]:
    *moving, backgrounds, height, width, max_pairs = arguments
    gaussians = stages.Moving(*moving)
    shape = gaussians.shape((height, width))
    shape.check()
    with open_queue(backgrounds.device) as queue:
        scene, status = stages.list_by_tile(queue, shape, gaussians, backgrounds, max_pairs)
        images = stages.blend(queue, shape, scene, status)
    kept = (scene.splats, scene.surfaces, scene.lists, scene.sorted_splats)
    return (*images[:3], *kept, *images[3:])


def _render_fake(*arguments: Any) -> tuple[Tensor, ...]:
    *moving, _backgrounds, height, width, max_pairs = arguments
    gaussians = stages.Moving(*moving)
    shape, times = gaussians.shape((height, width)), gaussians.times
    if max_pairs is None:
        max_pairs = torch.library.get_ctx().new_dynamic_size()
    size, n = (shape.scenes, shape.times), shape.gaussians
    whole = {"dtype": torch.int32}
    return (
        times.new_empty((*size, 3, height, width)),
        times.new_empty((*size, 1, height, width)),
        times.new_empty((*size, 1, height, width)),
        times.new_empty((*size, n, 4)),
        times.new_empty((shape.scenes, shape.surfaces, n, 8)),
        times.new_empty((*size, shape.tiles, 2), **whole),
        times.new_empty((max_pairs,), **whole),
        times.new_empty((*size, height, width)),
        times.new_empty((*size, height, width), **whole),
    )


def _render_backward(*arguments: Any) -> tuple[Tensor, ...]:
    moving, backgrounds, scene_tensors = arguments[:9], arguments[9], arguments[10:14]
    kept, v_images, (height, width, needs_times) = arguments[14:16], arguments[16:19], arguments[19:]
    shape = stages.shape_of(moving[0], moving[8], moving[3], (height, width))
    scene = stages.Scene(*scene_tensors, backgrounds)
    gradients = _empty_gradients(*moving, needs_times=needs_times)
    v_inputs = [gradient if gradient.numel() else None for gradient in gradients]
    with open_queue(backgrounds.device) as queue:
        sums = stages.blend_backward(queue, shape, scene, kept, v_images)
        stages.project_backward(queue, shape, moving, scene, sums, tuple(v_inputs))
    return gradients


def _render_backward_fake(*arguments: Any) -> tuple[Tensor, ...]:
    return _empty_gradients(*arguments[:9], needs_times=arguments[-1])


def _empty_gradients(
    motion: Tensor,
    scales: Tensor,
    quats: Tensor,
    quat_rates: Tensor | None,
    *fades_and_times: Tensor,
    needs_times: bool,
) -> tuple[Tensor, ...]:
    """Make room for the gradients; what nobody asks for has no elements."""
    *fades, times = fades_and_times
    return (
        torch.empty_like(scales),
        torch.empty_like(motion),
        torch.empty_like(scales),
        torch.empty_like(quats),
        quats.new_empty(0) if quat_rates is None else torch.empty_like(quat_rates),
        torch.empty_like(scales),
        *(torch.empty_like(fade) for fade in fades),
        torch.zeros_like(times) if needs_times else times.new_empty(0),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    _means, *moving, backgrounds, height, width, _max_pairs = inputs
    del moving[4]  # the colours are in the surfaces
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*moving, backgrounds, *output[3:])
    ctx.image_size = height, width


def _differentiate(ctx: Any, *v_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
    v_images = [None if v is None else v.contiguous() for v in v_outputs[:3]]
    if all(v is None for v in v_images):
        return (None,) * 15
    *_, needs_times, needs_backgrounds = ctx.needs_input_grad[:12]
    *v_inputs, v_times = torch.ops.diff_gaussian_rasterization_orth.render_backward.default(
        *ctx.saved_tensors, *v_images, *ctx.image_size, needs_times
    )
    if ctx.saved_tensors[3] is None:  # no quat_rates
        v_inputs[4] = None
    v_backgrounds = None
    if needs_backgrounds and v_images[0] is not None:
        transmittances = ctx.saved_tensors[14]
        v_backgrounds = (v_images[0] * transmittances[:, :, None]).sum((-2, -1))
    return (*v_inputs, v_times if needs_times else None, v_backgrounds, None, None, None)


def _refuse(ctx: Any, *v_outputs: Tensor | None) -> tuple[None, ...]:
    raise RuntimeError("rasterize: the cuda backend differentiates once; use backend='reference'.")


def _save_nothing(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    pass


_library.impl("render", _render, "CUDA")
_library.impl("render_backward", _render_backward, "CUDA")
torch.library.register_fake(f"{_NAME}::render", _render_fake, lib=_library)
torch.library.register_fake(f"{_NAME}::render_backward", _render_backward_fake, lib=_library)
torch.library.register_autograd(
    f"{_NAME}::render", _differentiate, setup_context=_save, lib=_library
)
torch.library.register_autograd(
    f"{_NAME}::render_backward", _refuse, setup_context=_save_nothing, lib=_library
)

render = torch.ops.diff_gaussian_rasterization_orth.render.default
"""Images, and what their gradients need; see the schema above."""
