"""The kernels as PyTorch operators: schema, shapes for tracing, gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from diff_gaussian_rasterization_orth.cuda import stages
from diff_gaussian_rasterization_orth.cuda.launch import open_queue
from diff_gaussian_rasterization_orth.cuda.layout import shape_of

_NAME = "diff_gaussian_rasterization_orth"
_library = torch.library.Library(_NAME, "DEF")
_library.define(
    "render(Tensor means, Tensor motion, Tensor scales, Tensor quats, "
    "Tensor colors, Tensor opacities, Tensor opacity_slopes, Tensor opacity_half_lives, "
    "Tensor anchor_times, Tensor times, Tensor backgrounds, SymInt height, SymInt width, "
    "SymInt? max_pairs) -> (Tensor rgb, Tensor depth, Tensor alpha, Tensor kept, "
    "Tensor sorted_splats)",
    tags=(torch.Tag.pt2_compliant_tag,),
)
_library.define(
    "render_backward(Tensor motion, Tensor scales, Tensor quats, "
    "Tensor opacities, Tensor opacity_slopes, Tensor opacity_half_lives, Tensor anchor_times, "
    "Tensor times, Tensor backgrounds, Tensor kept, Tensor sorted_splats, Tensor? v_rgb, "
    "Tensor? v_depth, Tensor? v_alpha, SymInt height, SymInt width, bool needs_times, "
    "bool needs_backgrounds) -> (Tensor v_means, Tensor v_motion, Tensor v_scales, "
    "Tensor v_quats, Tensor v_colors, Tensor v_opacities, "
    "Tensor v_opacity_slopes, Tensor v_opacity_half_lives, Tensor v_anchor_times, "
    "Tensor v_times, Tensor v_backgrounds)",
    tags=(torch.Tag.pt2_compliant_tag,),
)
render = torch.ops.diff_gaussian_rasterization_orth.render.default
"""Images, and what their gradients need; the schema is above."""
_render_backward = torch.ops.diff_gaussian_rasterization_orth.render_backward.default


def _render_on_device(*arguments: Any) -> tuple[Tensor, ...]:
    *moving, backgrounds, height, width, max_pairs = arguments
    gaussians = stages.Moving(*moving)
    shape = gaussians.shape((height, width))
    shape.check()
    with open_queue(backgrounds.device) as queue:
        counted = stages.count(queue, shape, gaussians, backgrounds, max_pairs)
        sorted_splats = stages.list_by_tile(queue, shape, counted, max_pairs)
        scene = stages.Scene(counted.kept, sorted_splats, backgrounds)
        images = stages.blend(queue, shape, scene, counted)
    return (*images, counted.kept, sorted_splats)


def _render_shapes(*arguments: Any) -> tuple[Tensor, ...]:
    *moving, _backgrounds, height, width, max_pairs = arguments
    gaussians = stages.Moving(*moving)
    shape, times = gaussians.shape((height, width)), gaussians.times
    if max_pairs is None:
        max_pairs = torch.library.get_ctx().new_dynamic_size()
    size = (shape.scenes, shape.times)
    return (
        times.new_empty((*size, 3, height, width)),
        times.new_empty((*size, 1, height, width)),
        times.new_empty((*size, 1, height, width)),
        times.new_empty((shape.kept.size,), dtype=torch.int32),
        times.new_empty((max_pairs,), dtype=torch.int32),
    )


def _render_backward_on_device(*arguments: Any) -> tuple[Tensor, ...]:
    moving, (backgrounds, kept, sorted_splats) = arguments[:8], arguments[8:11]
    v_images, (height, width) = arguments[11:14], arguments[14:16]
    motion, times = moving[0], moving[7]
    shape = shape_of(motion, times, (height, width))
    scene = stages.Scene(kept, sorted_splats, backgrounds)
    *v_inputs, v_backgrounds = gradients = _empty_gradients(*arguments)
    written = tuple(gradient if gradient.numel() else None for gradient in v_inputs)
    with open_queue(backgrounds.device) as queue:
        sums = stages.blend_backward(queue, shape, scene, v_images)
        stages.project_backward(queue, shape, moving, scene, sums, written)
    if v_backgrounds.numel() and v_images[0] is not None:
        final = stages.transmittances(shape, kept)
        torch.sum(v_images[0] * final[:, :, None], (-2, -1), out=v_backgrounds)
    return gradients


def _empty_gradients(*arguments: Any) -> tuple[Tensor, ...]:
    """Make room for the gradients; those that are not needed have no elements."""
    motion, scales, quats, *fades, times, backgrounds = arguments[:9]
    needs_times, needs_backgrounds = arguments[16:]
    return (
        torch.empty_like(scales),
        torch.empty_like(motion),
        torch.empty_like(scales),
        torch.empty_like(quats),
        torch.empty_like(scales),
        *map(torch.empty_like, fades),
        torch.zeros_like(times) if needs_times else times.new_empty(0),
        times.new_zeros(backgrounds.shape if needs_backgrounds else 0),
    )


class _Render(torch.autograd.Function):
    """Gradients of ``render``.

    Registered by hand: what ``torch.library.register_autograd`` does around a call takes longer
    than rendering a small scene.
    """

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, ...]:
        with torch._C._AutoDispatchBelowAutograd():
            output = render(*arguments)
        _means, motion, scales, quats, _colors, *fades_and_times = arguments[:10]
        backgrounds, height, width, _max_pairs = arguments[10:]
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*output[3:])
        # The colours are among what is kept.
        ctx.save_for_backward(motion, scales, quats, *fades_and_times, backgrounds, *output[3:])
        ctx.image_size = height, width
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *v_outputs: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        v_images = [None if v is None else v.contiguous() for v in v_outputs[:3]]
        needs_times, needs_backgrounds = ctx.needs_input_grad[9:11]
        gradients = _render_backward(
            *ctx.saved_tensors, *v_images, *ctx.image_size, needs_times, needs_backgrounds
        )
        wanted = zip(gradients, ctx.needs_input_grad, strict=False)
        return (*(v if wants else None for v, wants in wanted), None, None, None)


def _render_with_gradients(*arguments: Any) -> tuple[Tensor, ...]:
    if torch.is_grad_enabled() and any(
        isinstance(value, Tensor) and value.requires_grad for value in arguments
    ):
        return _Render.apply(*arguments)  # pyright: ignore[reportReturnType]
    with torch._C._AutoDispatchBelowAutograd():
        return render(*arguments)


_library.impl("render", _render_on_device, "CUDA")
_library.impl("render", _render_with_gradients, "Autograd")
_library.impl("render_backward", _render_backward_on_device, "CUDA")
torch.library.register_fake(f"{_NAME}::render", _render_shapes, lib=_library)
torch.library.register_fake(f"{_NAME}::render_backward", _empty_gradients, lib=_library)
