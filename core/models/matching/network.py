"""The whole small network: two frames become a scene for every time between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from core.models.matching.config import MatchingConfig
from core.models.matching.curved_motion import curve_motion
from core.models.matching.dynamic_heads import DynamicHeads, PairDynamics
from core.models.matching.feature_encoder import FeatureEncoder, FrameFeatures
from core.models.matching.matcher import Matcher, Matches
from core.models.matching.static_heads import STRIDE, CorrectedGaussians, StaticHeads
from core.models.network import Network
from core.models.options import expect_size
from core.recording import Recorded
from core.types import DynamicGaussians, TensorDataclass

T = TypeVar("T", bound=Tensor | TensorDataclass)


@dataclass(frozen=True)
class MatchableFrame(TensorDataclass):
    """``b`` encoded frames, each of which can be the first or the second one of a pair."""

    features: FrameFeatures
    """What is compared with the other frame."""
    colors: Float[Tensor, "b 3 h2 w2"]
    """Mean colours of the cells of the Gaussian grid."""
    gaussians: DynamicGaussians
    """The frame's own Gaussians, static, anchored at time 0."""


@dataclass(frozen=True)
class MatchedPair:
    """Scenes of ``b`` pairs, with what a loss compares besides their pictures."""

    gaussians: DynamicGaussians
    """The first frame's Gaussians, anchored at 0, then the second's, anchored at 1."""
    flows: tuple[Float[Tensor, "b 2 2 h w"], ...]
    """Flow from the first frame to the second, then back, in pixels (u, v), of growing resolution:
    before and after each refinement."""
    hidden: Float[Tensor, "b 2 h2 w2"]
    """Logits of what each cell shows being hidden in the other frame."""


class StaticMatchingModel(nn.Module):
    """Features and static Gaussians of single frames; trained alone in stage 1.

    Args:
        config: Sizes.
        encoder: Features of the whole frame.
        heads: Gaussians from the pixels, depth from the features.
    """

    def __init__(self, config: MatchingConfig, encoder: FeatureEncoder, heads: StaticHeads) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.heads = heads

    def forward(
        self, images: Float[Tensor, "b 3 h w"], inverse_depths: Float[Tensor, "b 1 h w"]
    ) -> CorrectedGaussians:
        """Turn frames into static Gaussians; see :meth:`encode` for the arguments."""
        expect_size(images, inverse_depths, self.config)
        return self.heads(images, inverse_depths, self.encoder(images))

    def encode(
        self, images: Float[Tensor, "b 3 h w"], inverse_depths: Float[Tensor, "b 1 h w"]
    ) -> MatchableFrame:
        """Run everything that takes one frame alone.

        Args:
            images: RGB in [0, 1], of the configured size.
            inverse_depths: Relative inverse depth in [0, 1], normalised per frame; zeros where
                there is none.

        Raises:
            UserError: If the frames are not of the size that the network was built for.
        """
        return self.encode_seen(images, inverse_depths, self.encoder(images))

    def encode_seen(
        self,
        images: Float[Tensor, "b 3 h w"],
        inverse_depths: Float[Tensor, "b 1 h w"],
        features: FrameFeatures,
    ) -> MatchableFrame:
        """Do what :meth:`encode` does with frames whose features are there already."""
        expect_size(images, inverse_depths, self.config)
        gaussians = self.heads(images, inverse_depths, features).final
        return MatchableFrame(features, F.avg_pool2d(images, STRIDE), gaussians)


class DynamicModel(nn.Module):
    """From two encoded frames to the motion and opacity windows of both.

    Args:
        matcher: Flow between the frames.
        heads: Motion and windows from it.
    """

    def __init__(self, matcher: Matcher, heads: DynamicHeads) -> None:
        super().__init__()
        self.matcher = matcher
        self.heads = heads

    def forward(self, both: MatchableFrame) -> tuple[PairDynamics, list[Float[Tensor, "b2 2 h w"]]]:
        """Match all first frames of ``both`` with its second frames, which come after them."""
        matches, flows = self.matcher(both.features)
        return self.move(both, matches), flows

    def move(self, both: MatchableFrame, matches: Matches) -> PairDynamics:
        """Do what :meth:`forward` does with pairs whose matches are there already."""
        depths = both.gaussians.means[..., 1].unflatten(1, both.colors.shape[-2:])[:, None]
        return self.heads(matches, both.colors, depths)


class MatchingNetwork(Network):
    """Static model, matcher and dynamic heads.

    Args:
        config: Sizes.
        static: For single frames.
        dynamic: For pairs of them.
    """

    def __init__(
        self, config: MatchingConfig, static: StaticMatchingModel, dynamic: DynamicModel
    ) -> None:
        super().__init__()
        self.config = config
        self.static = static
        self.dynamic = dynamic

    def encode(
        self, images: Float[Tensor, "b 3 h w"], inverse_depths: Float[Tensor, "b 1 h w"]
    ) -> MatchableFrame:
        """Run everything that takes one frame alone; see :meth:`StaticMatchingModel.encode`."""
        return self.static.encode(images, inverse_depths)

    def decode(self, first: MatchableFrame, second: MatchableFrame) -> DynamicGaussians:
        """Predict the motion between key frames at time 0 and time 1.

        Args:
            first: The key frames at time 0.
            second: Those at time 1, as many.

        Returns:
            The first frame's Gaussians, anchored at 0, then the second's, anchored at 1.
        """
        both = MatchableFrame.cat((first, second))
        return _scene(both, self.dynamic(both)[0])

    @property
    def matching(self) -> MatchingNetwork:
        """What a stream that finds depth from matches asks of a network."""
        return self

    @property
    def compiles(self) -> bool:
        """Whether :meth:`accelerate` compiles."""
        return False

    def accelerate(self, work: Callable[..., T]) -> Callable[..., T]:
        """Return other work on tensors of a stream, recorded on a GPU."""
        return Recorded(work)

    def see(self, images: Float[Tensor, "b 3 h w"]) -> FrameFeatures:
        """Return what :meth:`match` compares of frames; depth plays no part in it."""
        expect_size(images, images[:, :1], self.config)
        return self.static.encoder(images)

    def own_inverse_depths(self, features: FrameFeatures) -> Float[Tensor, "b 1 h2 w2"]:
        """Return the inverse depth, in (0, 1), that frames without any get."""
        return self.static.heads.depth(features)

    def match(self, first: FrameFeatures, second: FrameFeatures) -> Matches:
        """Match pairs of frames.

        Returns:
            The matches of all first frames in the second ones, then the other way.
        """
        return self.dynamic.matcher(FrameFeatures.cat((first, second)))[0]

    def encode_seen(
        self,
        images: Float[Tensor, "b 3 h w"],
        inverse_depths: Float[Tensor, "b 1 h w"],
        features: FrameFeatures,
    ) -> MatchableFrame:
        """Do what :meth:`encode` does with frames that :meth:`see` has seen."""
        return self.static.encode_seen(images, inverse_depths, features)

    def decode_matched(
        self, first: MatchableFrame, second: MatchableFrame, matches: Matches
    ) -> DynamicGaussians:
        """Do what :meth:`decode` does with pairs that :meth:`match` has matched."""
        both = MatchableFrame.cat((first, second))
        return _scene(both, self.dynamic.move(both, matches))

    def forward(
        self, frames: Float[Tensor, "b 2 3 h w"], inverse_depths: Float[Tensor, "b 2 1 h w"]
    ) -> MatchedPair:
        """Turn pairs of key frames into scenes; see :meth:`encode` and :meth:`decode`."""
        both = self.encode(
            rearrange(frames, "b v c h w -> (v b) c h w"),
            rearrange(inverse_depths, "b v c h w -> (v b) c h w"),
        )
        dynamics, flows = self.dynamic(both)
        return MatchedPair(
            gaussians=_scene(both, dynamics),
            flows=tuple(rearrange(flow, "(v b) uv h w -> b v uv h w", v=2) for flow in flows),
            hidden=rearrange(dynamics.hidden, "(v b) h w -> b v h w", v=2),
        )

    def static_gaussians(self, keyframe: MatchableFrame) -> DynamicGaussians:
        """Return a key frame's own Gaussians, which neither move nor fade."""
        return keyframe.gaussians

    def bend_motion(
        self,
        motion: Float[Tensor, "b n k 3"],
        before: Float[Tensor, "b n k 3"],
        after: Float[Tensor, "b n k 3"],
        durations: Float[Tensor, "b 2"],
    ) -> Float[Tensor, "b n k 3"]:
        """Bend straight paths by the acceleration that the pairs beside them show."""
        size = (self.config.image_height, self.config.image_width)
        return curve_motion(motion, before, after, durations, self.config.gaussian_grid, size)

    def freeze_static(self, frozen: bool = True) -> None:
        """Stop training the heads that see the pixels, or train them again.

        Errors of the motion are larger than theirs, and would teach them to blur. The features and
        the depth head, which reads them, go on learning: the matcher needs them.
        """
        self.static_is_frozen = frozen
        for head in (self.static.heads.first, self.static.heads.correction):
            head.requires_grad_(not frozen)


def _scene(both: MatchableFrame, dynamics: PairDynamics) -> DynamicGaussians:
    moving = replace(
        both.gaussians,
        # Paths are straight; room for what bends them.
        motion=F.pad(dynamics.motion, (0, 0, 0, 1)),
        opacity_slopes=dynamics.opacity_slopes,
        opacity_half_lives=dynamics.opacity_half_lives,
    )
    first, second = moving.split([moving.num_scenes // 2] * 2)
    # The second frame's dynamics lead back in time, its motion is per unit of time.
    second = replace(
        second, motion=-second.motion, anchor_times=torch.ones_like(second.anchor_times)
    )
    return DynamicGaussians.cat((first, second), dim=1)
