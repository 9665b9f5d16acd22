"""Networks made fast for a stream: half precision, compiled blocks, CUDA graphs.

``graphs`` records what a network does on the GPU for one shape of inputs and plays it back, so that
the host has next to nothing to do; ``compile`` lets torch.compile fuse the transformer blocks
first. Results are those of the plain network up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, Generic, Literal, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from core.checks import UserError
from core.depth import DepthAnythingV2, prepare_images
from core.models import StreamSplat
from core.models.blocks import ConditionedBlock, TransformerBlock
from core.streaming.batching import combine
from core.types import DynamicGaussians

Precision = Literal["float32", "bfloat16"]
Acceleration = Literal["none", "graphs", "compile"]
T = TypeVar("T")
_WARM_UPS = 3
_GRAPHS = 4
"""Shapes of inputs for which a recording is kept."""


class FastModel:
    """A network as a :class:`PairModel` that runs in a given precision, recorded or not.

    It takes the network over: the weights of its blocks are rounded in ``bfloat16``, which changes
    nothing in that precision, and its blocks are compiled in place.

    Args:
        model: In evaluation mode, on its device.
        precision: ``bfloat16`` runs matrix products in half precision; positions, norms and heads
            stay in float32.
        acceleration: ``graphs`` and ``compile`` are explained above; the first pass takes a few
            seconds with graphs, about a minute compiled. ``none`` starts at once.

    Raises:
        UserError: If CUDA graphs are asked for on another device.
    """

    def __init__(
        self,
        model: StreamSplat,
        *,
        precision: Precision = "float32",
        acceleration: Acceleration = "none",
    ) -> None:
        self.config = model.config
        self.device = next(model.parameters()).device
        self._model = model
        self._half = precision == "bfloat16"
        if self._half:
            _round_weights(model)
        if acceleration == "compile":
            _compile_blocks(model)
        self._encode: Callable[..., Any] = self._autocast(model.encode)
        self._decode: Callable[..., DynamicGaussians] = self._autocast(model.decode)
        if acceleration == "graphs" or (acceleration == "compile" and self.device.type == "cuda"):
            if self.device.type != "cuda":
                raise UserError(
                    f"acceleration graphs needs a CUDA device, and this is {self.device}; choose "
                    "none or compile."
                )
            self._encode = Recorded(self._encode)
            self._decode = Recorded(self._decode)

    def encode(
        self, images: Float[Tensor, "b 3 h w"], inverse_depths: Float[Tensor, "b 1 h w"], /
    ) -> Any:
        """Run everything that concerns a frame by itself."""
        return self._encode(images, inverse_depths)

    def decode(self, first: Any, second: Any, /) -> DynamicGaussians:
        """Return the Gaussians of the pairs."""
        return self._decode(first, second)

    def static_gaussians(self, keyframe: Any, /) -> DynamicGaussians:
        """Return the Gaussians of frames by themselves."""
        return self._model.static_gaussians(keyframe)

    def _autocast(self, function: Callable[..., T]) -> Callable[..., T]:
        if not self._half:
            return function

        def in_half(*arguments: Any) -> T:
            with torch.autocast(self.device.type, torch.bfloat16):
                return function(*arguments)

        return in_half


class FastDepth:
    """Depth Anything V2 for :class:`Session`'s ``estimate_depth``.

    Args:
        network: In evaluation mode, on its device.
        half: Run its transformer in float16; on CUDA only.
        recorded: Play it back as a CUDA graph.
    """

    def __init__(self, network: DepthAnythingV2, *, half: bool, recorded: bool) -> None:
        device = next(network.parameters()).device.type

        def infer(pixels: Tensor) -> Tensor:
            with torch.autocast(device, torch.float16, enabled=half):
                return network(pixels)

        self._infer: Callable[[Tensor], Tensor] = Recorded(infer) if recorded else infer

    @torch.inference_mode()
    def __call__(self, image: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 1 h w"]:
        """Estimate relative inverse depth of RGB in [0, 1], at its size."""
        depth = self._infer(prepare_images(image))
        return F.interpolate(depth, image.shape[-2:], mode="bilinear", align_corners=True)


class Recorded(Generic[T]):
    """A function of tensors, or dataclasses of them, that is recorded as a CUDA graph.

    There is one recording for each set of shapes, at most ``_GRAPHS`` of them; the oldest goes.
    Results are copies, and stay as they are.
    """

    def __init__(self, function: Callable[..., T]) -> None:
        self._function = function
        self._recordings: dict[tuple[object, ...], _Recording] = {}

    def __call__(self, *arguments: Any) -> T:
        """Play the recording for arguments of these shapes, made now if there is none."""
        key = tuple((tuple(t.shape), t.dtype) for argument in arguments for t in tensors(argument))
        if key not in self._recordings:
            if len(self._recordings) == _GRAPHS:
                del self._recordings[next(iter(self._recordings))]
            self._recordings[key] = _Recording(self._function, arguments)
        return self._recordings[key].play(arguments)


class _Recording:
    """One CUDA graph with the memory of its inputs and outputs."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._arguments = tuple(clone(argument) for argument in arguments)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(tensors(self._arguments[0])[0].device):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(_WARM_UPS):
                    function(*self._arguments)
            torch.cuda.current_stream().wait_stream(side)
            with torch.cuda.graph(self._graph):
                self._result = function(*self._arguments)

    def play(self, arguments: tuple[Any, ...]) -> Any:
        for kept, new in zip(self._arguments, arguments, strict=True):
            for place, value in zip(tensors(kept), tensors(new), strict=True):
                place.copy_(value)
        with torch.cuda.device(tensors(self._arguments[0])[0].device):
            self._graph.replay()
        return clone(self._result)


def tensors(value: object) -> list[Tensor]:
    """Return the tensors of a tensor or of a dataclass, in the order of its fields."""
    if isinstance(value, Tensor):
        return [value]
    if is_dataclass(value):
        return [t for field in fields(value) for t in tensors(getattr(value, field.name))]
    return []


def clone(value: T) -> T:
    """Copy a tensor, or every tensor of a dataclass."""
    return combine([value], lambda only: only[0].clone())


def _round_weights(model: StreamSplat) -> None:
    """Keep the weights that autocast would cast at each pass as bfloat16 from now on."""
    for block in _blocks(model):
        for module in block.modules():
            if isinstance(module, nn.Linear):
                module.to(torch.bfloat16)


def _compile_blocks(model: StreamSplat) -> None:
    """Compile each kind of block once for all its layers."""
    for block in _blocks(model):
        # Shapes are fixed: kernels for sizes that vary would be slower.
        block.forward = torch.compile(block.forward, dynamic=False)


def _blocks(model: StreamSplat) -> list[nn.Module]:
    kinds = (TransformerBlock, ConditionedBlock)
    blocks: list[nn.Module] = [block for block in model.modules() if isinstance(block, kinds)]
    if model.dino is not None and model.dino.attached:
        blocks += model.dino.__dict__["vit"].blocks
    return blocks
