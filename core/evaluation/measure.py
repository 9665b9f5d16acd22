"""Measures one clip: everything that a record holds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.checks import UserError
from core.evaluation.data.clips import Clip
from core.evaluation.data.pair import Pair, read_pair
from core.evaluation.data.scenes import SceneClip
from core.evaluation.methods.baselines import BASELINES, Images
from core.evaluation.methods.frame_folders import TRUTH, FolderMethod, save_frames
from core.evaluation.methods.network import NetworkMethod, Reconstruction
from core.evaluation.protocol import choose_pairs
from core.evaluation.records import Record
from core.evaluation.scores.depth import DepthScorer
from core.evaluation.scores.frames import FrameScorer
from core.evaluation.scores.motion import rendered_flow, score_motion, trusted_flow
from core.evaluation.scores.temporal import TemporalScorer
from core.evaluation.scores.tracking import score_tracking

NETWORK = "streamsplat"
"""What tables and folders call the network that is measured."""


def check_names(others: Sequence[FolderMethod]) -> None:
    """Check that methods have names of their own.

    Raises:
        UserError: If not; the message names one.
    """
    taken = {NETWORK, TRUTH, *BASELINES}
    for other in others:
        if other.name in taken:
            raise UserError(f"--method {other.name}: this name is taken; choose another one.")
        taken.add(other.name)


@dataclass(frozen=True)
class Measurement:
    """How clips are measured."""

    network: NetworkMethod
    """The network."""
    frames: FrameScorer
    """Compares images."""
    gaps: Sequence[int]
    """Distances between key frames."""
    max_pairs: int | None = None
    """Pairs of a clip at each gap; None takes all."""
    others: Sequence[FolderMethod] = ()
    """Methods of which only the frames are known."""
    frames_folder: Path | None = None
    """Where rendered frames are saved; None saves none."""

    def pairs(self, clip: Clip, gap: int) -> list[int]:
        """Return the first frames of the pairs of a clip."""
        return choose_pairs(clip.num_frames, gap, self.max_pairs)

    def measure(self, clip: Clip, progress: Callable[[], object]) -> tuple[Record, Record]:
        """Measure a clip at every gap.

        Args:
            clip: The clip.
            progress: Called after each pair.

        Returns:
            Its record, and how long what took.

        Raises:
            UserError: If a frame of the clip, or of another method, cannot be read.
        """
        state = _ClipState()
        self.network.timer.seconds()
        gaps = {str(gap): self._measure_gap(clip, gap, state, progress) for gap in self.gaps}
        record = {
            "name": clip.name,
            "num_frames": clip.num_frames,
            "size": state.size,
            "sha256": state.digest(),
            "input_depth": state.input_depth,
            "gaps": gaps,
        }
        return record, {"seconds": self.network.timer.seconds(), "rendered": state.rendered}

    def _measure_gap(
        self, clip: Clip, gap: int, state: _ClipState, progress: Callable[[], object]
    ) -> Record:
        temporal, depth = TemporalScorer(), DepthScorer(NETWORK)
        pairs, ended = [], None
        for first in self.pairs(clip, gap):
            pair = read_pair(
                clip,
                first,
                gap,
                opens=first != ended,
                network_size=self.network.network_size,
                device=self.network.device,
            )
            ended = first + gap
            state.note(pair, self.network)
            reconstruction = self.network.reconstruct(pair)
            rendered = self.render(pair, reconstruction)
            self._save(pair, rendered)
            pairs.append(
                {
                    "first": first,
                    "second": ended,
                    "gaussians": reconstruction.scene.num_gaussians,
                    "frames": self.frames.score(pair, rendered),
                    "temporal": temporal.score(pair, rendered),
                    **self._score_motion(clip, pair, reconstruction),
                }
            )
            depth.add(pair, reconstruction)
            progress()
        record = {"pairs": pairs, "depth": depth.scores()}
        if pairs and isinstance(clip, SceneClip):
            keys = [clip.time(frame) for frame in range(0, clip.num_frames, gap)]
            record["tracking"] = score_tracking(self.network.model, NETWORK, clip.scene, keys)
        return record

    def render(self, pair: Pair, reconstruction: Reconstruction) -> dict[str, Images]:
        """Return the frames of every method by its name."""
        rendered: dict[str, Images] = {NETWORK: reconstruction.images}
        rendered |= {name: make(pair) for name, make in BASELINES.items()}
        return rendered | {other.name: other.images(pair) for other in self.others}

    def _save(self, pair: Pair, rendered: Mapping[str, Images]) -> None:
        """Save the truth and what was rendered here, if that was asked for."""
        if self.frames_folder is None:
            return
        own = {name: rendered[name] for name in (NETWORK, *BASELINES)}
        truth = {place: pair.truth[place] for place in pair.places}
        for name, images in {TRUTH: truth, **own}.items():
            save_frames(self.frames_folder / name.replace(" ", "_"), pair, images)

    def _score_motion(self, clip: Clip, pair: Pair, reconstruction: Reconstruction) -> Record:
        flow = rendered_flow(reconstruction.scene, pair.network_size, backend=self.network.backend)
        truth, valid = trusted_flow(pair)
        motion: Record = {"trusted": valid.float().mean().item()}
        if valid.any():
            motion["against_dis"] = score_motion({NETWORK: flow}, truth, valid)
        known = clip.known_flow(pair.index(0), pair.index(pair.gap))
        if known is not None and known[1].any():
            flows = {NETWORK: flow, "DIS": truth}
            motion["exact"] = score_motion(flows, *(part.to(pair.device) for part in known))
        return {"motion_px": truth.norm(dim=-1).mean().item(), "motion": motion}


@dataclass
class _ClipState:
    """What is gathered while the pairs of a clip pass by."""

    hashes: dict[int, str] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    input_depth: str = "none"
    rendered: list[int] = field(default_factory=list)

    def note(self, pair: Pair, network: NetworkMethod) -> None:
        for frame in pair.frames:
            if frame.index not in self.hashes:
                self.hashes[frame.index] = hashlib.sha256(frame.image.tobytes()).hexdigest()
        self.size = (pair.frames[0].image.shape[0], pair.frames[0].image.shape[1])
        self.input_depth = network.depth_source(pair)
        self.rendered.append(len(pair.places))

    def digest(self) -> str:
        """Return the SHA-256 of the lines ``<index> <SHA-256 of the frame's RGB bytes>``."""
        lines = "".join(f"{index} {self.hashes[index]}\n" for index in sorted(self.hashes))
        return hashlib.sha256(lines.encode()).hexdigest()
