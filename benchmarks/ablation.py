"""What each part of the embedded network brings: ``python benchmarks/ablation.py``.

Switches off one part of the trained network at a time, without training it again, and measures the
frames of clips as ``evaluate.py`` does (docs/evaluation.md): key frames (given) and the frames
between them (middle), PSNR at the network's size and at 256 x 256 (the published protocol), in
dB. ``change`` is that of the middle frames at the network's size. Depth is given where clips have
depth maps. Prints a Markdown table; baselines that have learnt nothing are its last rows.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from tqdm import tqdm

from configs.options_inference import EMBEDDED_MODEL
from core.checks import UserError, cli_errors
from core.command_line import parse
from core.devices import choose_device
from core.evaluation.data.clips import Clip
from core.evaluation.data.images import as_bytes
from core.evaluation.data.open import choose_clips, open_dataset_clips
from core.evaluation.data.pair import read_pair
from core.evaluation.methods.baselines import BASELINES
from core.evaluation.methods.network import Context, NetworkMethod
from core.evaluation.protocol import ROLES, choose_pairs
from core.evaluation.report.summary import Scores, mean_scores
from core.evaluation.scores.frames import FrameScorer
from core.geometry.optical_flow import dis_flow
from core.models import MatchingNetwork, load_model
from core.models.matching.feature_encoder import FrameFeatures
from core.models.matching.matcher import Matcher, Matches, swap
from core.models.matching.network import MatchableFrame
from core.types import DynamicGaussians, TensorDataclass

WHOLE = "the whole network"
CONTEXTS: dict[str, Context] = {
    "paths bent by the key frame before alone": "before",
    "straight paths": "pair",
}
"""Variants that see less of a clip than the network does."""
PROTOCOLS = ("native", "published")
_RESIDUAL, _WINDOW, _HIDDEN = slice(0, 2), slice(3, 5), slice(5, 6)
"""Outputs of the dynamic heads: correction of the displacement, opacity window, what is hidden."""
_ANGLE = slice(7, 8)
"""Output of the static heads that turns a Gaussian."""

Table = dict[str, dict[str, Scores]]
"""Means of a clip by protocol, role, method and metric."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measure the network without one part at a time."""

    frames_path: tuple[Path, ...]
    """Folders of clips, <clip>/JPEGImages/*.jpg."""
    clips: tuple[str, ...] = ()
    """Names of the clips to take; all by default."""
    resume: str = str(EMBEDDED_MODEL)
    """A network with a matcher: a folder, a .safetensors file, or a hub id."""
    gap: int = 4
    """Distance between key frames."""
    max_pairs: int = 6
    """Pairs of key frames of a clip, spread evenly over it; 0 takes all."""
    device: str = "auto"
    """cpu, cuda, or auto."""

    def __post_init__(self) -> None:
        if self.gap < 2 or self.max_pairs < 0:
            raise UserError("give at least 2 for --gap and at least 0 for --max_pairs.")


@dataclass(frozen=True)
class SeenFrame(TensorDataclass):
    """An encoded frame and its picture, for parts that see pictures."""

    encoded: MatchableFrame
    """As the network encodes it."""
    images: Float[Tensor, "b 3 h w"]
    """RGB in [0, 1]."""


Change = Callable[[DynamicGaussians], DynamicGaussians]


class Variant:
    """A network whose scenes are changed after decoding, as a :class:`PairModel`.

    Args:
        model: The network, which may have lost a part.
        change: Applied to the scene of each pair.
    """

    def __init__(self, model: MatchingNetwork, change: Change = lambda scene: scene) -> None:
        self.config = model.config
        self._model = model
        self._change = change

    def encode(
        self, images: Float[Tensor, "b 3 h w"], inverse_depths: Float[Tensor, "b 1 h w"], /
    ) -> SeenFrame:
        """Encode frames and keep their pictures."""
        return SeenFrame(self._model.encode(images, inverse_depths), images)

    def decode(self, first: SeenFrame, second: SeenFrame, /) -> DynamicGaussians:
        """Decode pairs."""
        matcher = self._model.dynamic.matcher
        if isinstance(matcher, DisMatcher):
            matcher.show(first.images, second.images)
        return self._change(self._model.decode(first.encoded, second.encoded))

    def static_gaussians(self, keyframe: SeenFrame, /) -> DynamicGaussians:
        """Return the Gaussians of frames by themselves."""
        return self._model.static_gaussians(keyframe.encoded)

    def bend_motion(
        self,
        motion: Float[Tensor, "b n k 3"],
        before: Float[Tensor, "b n k 3"],
        after: Float[Tensor, "b n k 3"],
        durations: Float[Tensor, "b 2"],
        /,
    ) -> Float[Tensor, "b n k 3"]:
        """Bend the paths of pairs."""
        return self._model.bend_motion(motion, before, after, durations)


class CoarseMatcher(nn.Module):
    """A matcher of which the heads get an earlier flow, and the hidden state as it is.

    Args:
        matcher: The trained one.
        refinements: How many of its refinements the flow has gone through.
    """

    def __init__(self, matcher: Matcher, refinements: int) -> None:
        super().__init__()
        self.matcher = matcher
        self.refinements = refinements

    def forward(self, both: FrameFeatures) -> tuple[Matches, list[Float[Tensor, "b2 2 h w"]]]:
        """Match pairs of frames; see :class:`Matcher`."""
        matches, flows = self.matcher(both)
        flow = F.interpolate(
            flows[self.refinements], matches.flow.shape[-2:], mode="bilinear", align_corners=False
        )
        return replace(matches, flow=flow), flows


class DisMatcher(nn.Module):
    """A matcher whose flow is that of dense inverse search on the pictures.

    Args:
        matcher: The trained one, whose hidden state is kept.
    """

    def __init__(self, matcher: Matcher) -> None:
        super().__init__()
        self.matcher = matcher
        self._flow: Tensor | None = None

    def show(self, first: Float[Tensor, "b 3 h w"], second: Float[Tensor, "b 3 h w"]) -> None:
        """Take the pictures of the pairs that are matched next."""
        both = as_bytes(torch.cat((first, second)))
        flow = torch.stack([dis_flow(*pair) for pair in zip(both, swap(both), strict=True)])
        self._flow = F.avg_pool2d(rearrange(flow, "b h w uv -> b uv h w"), 2)

    def forward(self, both: FrameFeatures) -> tuple[Matches, list[Float[Tensor, "b2 2 h w"]]]:
        """Match the pictures that were shown; see :class:`Matcher`."""
        matches, flows = self.matcher(both)
        assert self._flow is not None, "show the pictures first"
        return replace(matches, flow=self._flow), flows


def silence(layer: nn.Conv2d, outputs: slice) -> None:
    """Set some outputs of a layer to zero: the values of an untrained network."""
    with torch.no_grad():
        layer.weight[outputs] = 0.0
        if layer.bias is not None:
            layer.bias[outputs] = 0.0


def variants(load: Callable[[], MatchingNetwork]) -> dict[str, Variant]:
    """Return the network and what remains of it without a part, by the names of the table.

    Args:
        load: Loads the network; each variant has its own.
    """

    def without(remove: Callable[[MatchingNetwork], object]) -> Variant:
        model = load()
        remove(model)
        return Variant(model)

    def leave_uncorrected(model: MatchingNetwork) -> None:
        silence(model.static.heads.correction.values, slice(None))

    def never_turn(model: MatchingNetwork) -> None:
        silence(model.static.heads.first.values, _ANGLE)
        silence(model.static.heads.correction.values, _ANGLE)

    def silenced(outputs: slice) -> Variant:
        return without(lambda model: silence(model.dynamic.heads.values, outputs))

    def matched_by(make: Callable[[Matcher], nn.Module]) -> Variant:
        def exchange(model: MatchingNetwork) -> None:
            model.dynamic.matcher = make(model.dynamic.matcher)  # pyright: ignore

        return without(exchange)

    at_eighth = load().dynamic.matcher.at_eighth.updates
    return {
        WHOLE: Variant(load()),
        "key frames not corrected by their error": without(leave_uncorrected),
        "Gaussians not turned": without(never_turn),
        "opacity windows fixed": silenced(_WINDOW),
        "no residual motion": silenced(_RESIDUAL),
        **{name: Variant(load()) for name in CONTEXTS},
        "hidden Gaussians do not sink": silenced(_HIDDEN),
        "inverse depth does not change": Variant(load(), keep_inverse_depth),
        "flow of global matching, 1/16": matched_by(lambda m: CoarseMatcher(m, 0)),
        "flow refined at 1/8 only": matched_by(lambda m: CoarseMatcher(m, at_eighth)),
        "flow of DIS": matched_by(DisMatcher),
        "standing still": Variant(load(), stand_still),
    }


def keep_inverse_depth(scene: DynamicGaussians) -> DynamicGaussians:
    """Let Gaussians move across the picture alone."""
    return replace(scene, motion=scene.motion * scene.motion.new_tensor((1.0, 0.0, 1.0)))


def stand_still(scene: DynamicGaussians) -> DynamicGaussians:
    """Let Gaussians fade where they are."""
    return replace(scene, motion=torch.zeros_like(scene.motion))


def measure(clip: Clip, methods: Mapping[str, NetworkMethod], options: Options) -> Table:
    """Return the means of a clip."""
    scorer = FrameScorer(PROTOCOLS)
    network = next(iter(methods.values()))
    records, ended = [], None
    for first in choose_pairs(clip.num_frames, options.gap, options.max_pairs or None):
        pair = read_pair(
            clip,
            first,
            options.gap,
            opens=first != ended,
            network_size=network.network_size,
            device=network.device,
        )
        ended = first + options.gap
        rendered = {name: method.reconstruct(pair).images for name, method in methods.items()}
        rendered |= {name: make(pair) for name, make in BASELINES.items()}
        records += scorer.score(pair, rendered)
    return {
        protocol: {
            role: mean_scores(r["scores"][protocol] for r in records if r["role"] == role)
            for role in ROLES
        }
        for protocol in PROTOCOLS
    }


def table(clips: list[Table]) -> str:
    """Return the means over clips as Markdown."""
    means = {
        (protocol, role): mean_scores(clip[protocol][role] for clip in clips)
        for protocol in PROTOCOLS
        for role in ROLES
    }

    def psnr(protocol: str, role: str, name: str) -> str:
        scores = means[protocol, role].get(name)
        return "" if scores is None else f"{scores['psnr']:.2f}"

    whole = means["native", "middle"][WHOLE]["psnr"]
    lines = ["|  | given | middle | change |", "| --- | ---: | ---: | ---: |"]
    for name in dict.fromkeys(name for scores in means.values() for name in scores):
        cells = [
            " / ".join(filter(None, (psnr(protocol, role, name) for protocol in PROTOCOLS)))
            for role in ROLES
        ]
        middle = means["native", "middle"].get(name)
        change = "" if middle is None or name == WHOLE else f"{middle['psnr'] - whole:+.2f}"
        lines.append(f"| {name} | {' | '.join(cells)} | {change} |")
    return "\n".join(lines)


@cli_errors
def main() -> None:
    """Run from the command line."""
    options = parse(Options)
    device = choose_device(options.device)

    def load() -> MatchingNetwork:
        model = load_model(options.resume)
        if not isinstance(model, MatchingNetwork):
            raise UserError(f"--resume {options.resume} has no matcher; expected small or tiny.")
        return model.to(device)

    opened = open_dataset_clips("frames", options.frames_path)
    clips = [
        clip
        for clip in choose_clips(opened, options.clips)
        if choose_pairs(clip.num_frames, options.gap, None)
    ]
    if not clips:
        raise UserError(f"no clip has more than --gap {options.gap} frames.")
    config = load().config
    size = (config.image_height, config.image_width)
    methods = {
        name: NetworkMethod(variant, size, device, context=CONTEXTS.get(name, "both"))
        for name, variant in variants(load).items()
    }
    found = [measure(clip, methods, options) for clip in tqdm(clips, unit="clip", disable=None)]
    name = Path(options.resume).name
    print(f"{datetime.date.today()}, {name}, gap {options.gap}, {len(clips)} clips\n")
    print(table(found))


if __name__ == "__main__":
    main()
