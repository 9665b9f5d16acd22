"""Networks made fast for a stream: half precision, compilation, CUDA graphs.

``graphs`` records the GPU work of a network for one shape of inputs as a CUDA graph and replays it,
which needs hardly any work of the host; ``compile`` first lets torch.compile fuse the operations
between matrix products. Results are those of the plain network up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from core.checks import UserError
from core.depth import DepthAnythingV2
from core.devices import has_c_compiler
from core.models.blocks import FeedForward
from core.models.fast.tracing import Traced
from core.models.matching.dynamic_heads import DynamicHeads as MatchingHeads
from core.models.matching.feature_encoder import FrameFeatures
from core.models.matching.matcher import Matches
from core.models.matching.network import MatchableFrame, MatchingNetwork
from core.models.matching.static_heads import PixelHead
from core.models.network import Network
from core.models.transformer.heads import DynamicHeads, StaticHeads
from core.models.transformer.network import KeyFrame, StreamSplat
from core.recording import Recorded
from core.types import DynamicGaussians, TensorDataclass

Precision = Literal["float32", "bfloat16"]
Encoded = KeyFrame | MatchableFrame
"""A key frame as a network encodes it."""
Acceleration = Literal["none", "graphs", "compile"]
T = TypeVar("T")
R = TypeVar("R", bound=Tensor | TensorDataclass)


class FastModel:
    """A network as a :class:`PairModel` that runs in a given precision, recorded or not.

    It changes the network in place: in ``bfloat16`` the weights of its layers are rounded, as
    autocast would round them, convolutions on CUDA get the faster order of channels, and
    ``compile`` compiles its parts.

    Args:
        model: In evaluation mode, on its device.
        precision: ``bfloat16`` runs matrix products in half precision; positions, norms and heads
            stay in float32, on CUDA with TF32 products, as in training.
        acceleration: See above; the first pass takes a few seconds with ``graphs``, about a minute
            with ``compile``.

    Raises:
        UserError: If CUDA graphs are asked for on another device, or compilation without a C
            compiler.
    """

    def __init__(
        self,
        model: Network,
        *,
        precision: Precision = "float32",
        acceleration: Acceleration = "none",
    ) -> None:
        self.config = model.config
        self.device = next(model.parameters()).device
        self._model = model
        self._half = precision == "bfloat16"
        on_cuda = self.device.type == "cuda"
        _check(acceleration, self.device)
        if self._half:
            _round_weights(model)
        if on_cuda and isinstance(model, MatchingNetwork):
            # Tensor cores take convolutions whose channels are neighbours in memory.
            model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        if acceleration == "compile":
            if isinstance(model, MatchingNetwork):
                _compile_matching_parts(model)
            elif isinstance(model, StreamSplat):
                if self._half and on_cuda:
                    _fuse_wide_layers(model)
                _compile_parts(model)
        self._encode: Callable[..., Encoded] = self._in_precision(self._encode_one_after_another)
        self._decode: Callable[..., DynamicGaussians] = self._in_precision(model.decode)
        self._bend_motion = model.bend_motion
        if on_cuda and acceleration != "none":
            if isinstance(model, MatchingNetwork):
                self._bend_motion = Recorded(model.bend_motion)
            self._side = torch.cuda.Stream(self.device)
            self._encode = Recorded(self._in_precision(self._encode_side_by_side))
            self._decode = Recorded(self._decode)
        self.matching: FastMatching | None = None
        """The network's steps for streams that find depth from matches, if it has a matcher."""
        if isinstance(model, MatchingNetwork):
            self.matching = FastMatching(model, self._in_precision, acceleration)

    def encode(
        self, images: Float[Tensor, "b 3 h w"], inverse_depths: Float[Tensor, "b 1 h w"], /
    ) -> Encoded:
        """Run everything that takes one frame alone."""
        return self._encode(images, inverse_depths)

    def decode(self, first: Encoded, second: Encoded, /) -> DynamicGaussians:
        """Return the Gaussians of the pairs."""
        return self._decode(first, second)

    def static_gaussians(self, keyframe: Encoded, /) -> DynamicGaussians:
        """Return the Gaussians of frames by themselves."""
        return self._model.static_gaussians(keyframe)

    def bend_motion(
        self,
        motion: Float[Tensor, "b n k 3"],
        before: Float[Tensor, "b n k 3"],
        after: Float[Tensor, "b n k 3"],
        durations: Float[Tensor, "b 2"],
        /,
    ) -> Float[Tensor, "b n k 3"]:
        """Return the motion of decoded pairs, bent as that of the pairs beside them shows."""
        return self._bend_motion(motion, before, after, durations)

    def _encode_one_after_another(self, images: Tensor, inverse_depths: Tensor) -> Encoded:
        return self._round_features(self._model.encode(images, inverse_depths))

    def _encode_side_by_side(self, images: Tensor, inverse_depths: Tensor) -> Encoded:
        """Run DINOv2 beside the encoder, which leaves part of the GPU idle; to be recorded."""
        model = self._model
        if not isinstance(model, StreamSplat) or model.dino is None:
            return self._encode_one_after_another(images, inverse_depths)
        here = torch.cuda.current_stream(self.device)
        self._side.wait_stream(here)
        with torch.cuda.stream(self._side):
            condition = model.dino_condition(images)
        keyframe = model.encode_static(images, inverse_depths, condition)
        here.wait_stream(self._side)
        return self._round_features(keyframe)

    def _round_features(self, keyframe: Encoded) -> Encoded:
        if not self._half or isinstance(keyframe, MatchableFrame):
            return keyframe
        # The layer that reads them rounds them anyway; bfloat16 halves the memory of a key frame.
        return replace(keyframe, features=keyframe.features.bfloat16())

    def _in_precision(self, function: Callable[..., T]) -> Callable[..., T]:
        if not self._half:
            return function

        def in_half(*arguments: Any) -> T:
            with torch.autocast(self.device.type, torch.bfloat16), _tensor_cores(self.device):
                return function(*arguments)

        return in_half


class FastMatching:
    """The steps of a network with a matcher, one by one; see :class:`MatchingNetwork`.

    Args:
        model: The network.
        in_precision: Makes a function run in the precision wanted.
        acceleration: As of :class:`FastModel`, which has compiled the network's parts.
    """

    def __init__(
        self,
        model: MatchingNetwork,
        in_precision: Callable[[Callable[..., Any]], Callable[..., Any]],
        acceleration: Acceleration,
    ) -> None:
        on_cuda = next(model.parameters()).is_cuda
        is_recorded = on_cuda and acceleration != "none"
        self.compiles = on_cuda and acceleration == "compile"
        """Whether :meth:`accelerate` compiles, which takes about a minute."""

        def fast(function: Callable[..., T]) -> Callable[..., T]:
            prepared = in_precision(function)
            return Recorded(prepared) if is_recorded else prepared

        self.see: Callable[[Tensor], FrameFeatures] = fast(model.see)
        self.own_inverse_depths: Callable[[FrameFeatures], Tensor] = fast(model.own_inverse_depths)
        self.match: Callable[[FrameFeatures, FrameFeatures], Matches] = fast(model.match)
        self.encode_seen: Callable[[Tensor, Tensor, FrameFeatures], MatchableFrame]
        self.encode_seen = fast(model.encode_seen)
        self.decode_matched: Callable[[MatchableFrame, MatchableFrame, Matches], DynamicGaussians]
        self.decode_matched = fast(model.decode_matched)

    def accelerate(self, work: Callable[..., R]) -> Callable[..., R]:
        """See :class:`~core.streaming.pair_model.MatchingModel`."""
        return Recorded(Traced(work) if self.compiles else work)


class FastDepth:
    """Depth Anything V2 for :class:`Session`'s ``estimate_depth``.

    Args:
        network: In evaluation mode, on its device.
        half: Run its transformer in float16; on CUDA only.
        acceleration: As of :class:`FastModel`.

    Raises:
        UserError: As of :class:`FastModel`.
    """

    def __init__(
        self, network: DepthAnythingV2, *, half: bool, acceleration: Acceleration = "none"
    ) -> None:
        device = next(network.parameters()).device
        _check(acceleration, device)
        if acceleration == "compile":
            _compile(network, "estimate")

        def in_precision(image: Tensor) -> Tensor:
            return network.estimate(image, autocast=half)

        self._infer: Callable[[Tensor], Tensor] = in_precision
        if device.type == "cuda" and acceleration != "none":
            self._infer = Recorded(in_precision)

    @torch.inference_mode()
    def __call__(self, image: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 1 h w"]:
        """Estimate relative inverse depth of RGB in [0, 1], at its size."""
        return self._infer(image)


def _check(acceleration: Acceleration, device: torch.device) -> None:
    if acceleration == "graphs" and device.type != "cuda":
        raise UserError(
            f"acceleration graphs needs a CUDA device, and this is {device}; choose none or "
            "compile."
        )
    if acceleration == "compile" and not has_c_compiler():
        raise UserError(
            "acceleration compile needs a C compiler, and none is found; install gcc, or choose "
            "none or, on CUDA, graphs."
        )


def _compile_parts(model: StreamSplat) -> None:
    """Compile the parts of a network, in place.

    The parts end where tokens are rearranged or rolled. In one graph, which fuses that into the
    norms behind, torch 2.11 gave wrong numbers on a GPU, at other tokens each time.
    """
    static, dynamic = model.static, model.dynamic
    _compile(static.encoder, "forward")
    _compile(dynamic.decoder, "forward")
    for upsampler in (static.upsampler, dynamic.upsampler):
        for level in upsampler.levels:
            for step in ("enlarge", "mix", "mix_rolled"):
                _compile(level, step)
        _compile(upsampler.norm, "forward")
    _compile(static.heads, "forward")
    _compile(dynamic, "decode_features")
    if model.dino is not None:
        _compile(model, "dino_condition")


def _compile_matching_parts(model: MatchingNetwork) -> None:
    """Compile what lies between rendering and look-ups, in place."""
    static, dynamic = model.static, model.dynamic
    for head in (static.heads.first, static.heads.correction):
        _compile(head, "forward")
    _compile(static.encoder, "forward")
    _compile(static.heads.depth, "forward")
    _compile(dynamic.matcher.at_eighth, "forward")
    _compile(dynamic.matcher.at_quarter, "forward")
    _compile(dynamic.heads, "forward")


def _compile(module: nn.Module, method: str) -> None:
    # Shapes are fixed: kernels for sizes that vary would be slower.
    setattr(module, method, torch.compile(getattr(module, method), dynamic=False))


@contextmanager
def _tensor_cores(device: torch.device) -> Iterator[None]:
    """Compute float32 products on a GPU in TF32."""
    before = torch.get_float32_matmul_precision()
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _round_weights(model: Network) -> None:
    """Store the weights that autocast would cast in each pass as bfloat16."""
    kinds = (StaticHeads, DynamicHeads, PixelHead, MatchingHeads)
    heads = [m for m in model.modules() if isinstance(m, kinds)]
    in_float32 = {module for head in heads for module in head.modules()}
    modules = list(model.modules())
    if isinstance(model, StreamSplat) and model.dino is not None and model.dino.vit is not None:
        modules += model.dino.vit.modules()
    for module in modules:
        if isinstance(module, (nn.Linear, nn.Conv2d)) and module not in in_float32:
            module.to(torch.bfloat16)


def _fuse_wide_layers(model: StreamSplat) -> None:
    """Replace layers of many tokens and their SiLU by one kernel."""
    # Triton comes with PyTorch's CUDA builds only.
    from core.models.fast.linear_silu import LinearSilu, fits

    for upsampler in (model.static.upsampler, model.dynamic.upsampler):
        for module in upsampler.modules():
            if isinstance(module, FeedForward) and fits(module.up):
                module.up, module.activation = LinearSilu.of(module.up), nn.Identity()
    heads = model.dynamic.heads
    for mlp in (heads.motion.mean, heads.opacity_window):
        assert isinstance(mlp, nn.Sequential)
        for i in range(len(mlp) - 1):
            layer, activation = mlp[i], mlp[i + 1]
            if isinstance(layer, nn.Linear) and isinstance(activation, nn.SiLU) and fits(layer):
                mlp[i], mlp[i + 1] = LinearSilu.of(layer), nn.Identity()
