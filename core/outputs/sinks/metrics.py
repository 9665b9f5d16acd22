"""How close each rendered frame is to the input, in numbers.

``metrics.json`` holds::

    {
      "frame_gap": 3,                        distance between key frames
      "sizes": {"native": [288, 512],        height and width of what is compared: the model's
                "256": [256, 256]},          picture without padding, and the published protocol
      "mean": {"given":  MEAN,               over the key frames
               "middle": MEAN or null,       over the frames between them; null if there are none
               "all":    MEAN},
      "frames": [{"index": 0, "name": "00000", "role": "given" or "middle",
                  "native": {"psnr": 31.2, "ssim": 0.93},
                  "256":    {"psnr": 32.5, "ssim": 0.95}}, ...]
    }
    MEAN = {"frames": 17, "native": {"psnr": ..., "ssim": ...}, "256": {...}}

``index`` is the place in the source; frames that were skipped or dropped keep theirs, and are not
here. PSNR is in dB (100 for equal images), SSIM in [-1, 1]; means are over frames.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from core.geometry.fit import FrameFit
from core.io import write_bytes
from core.metrics import compare
from core.outputs.pictures import FrameImages
from core.streaming.reconstruct import RenderedFrame
from core.text import printable

_PUBLISHED_SIZE = (256, 256)
Role = Literal["given", "middle"]
GetScores = Callable[[], Tensor]


@dataclass(frozen=True)
class Score:
    """How close one image is to another, or the mean of such scores."""

    psnr: float
    """Peak signal-to-noise ratio, dB."""
    ssim: float
    """Structural similarity, in [-1, 1]."""

    @staticmethod
    def mean(scores: list[Score]) -> Score:
        """Average at least one score."""
        count = len(scores)
        return Score(sum(s.psnr for s in scores) / count, sum(s.ssim for s in scores) / count)


@dataclass(frozen=True)
class FrameScore:
    """The scores of one frame."""

    index: int
    """Place in the source, from 0; frames that were skipped or dropped have kept theirs."""
    name: str
    """Name of its file, or its number in a video."""
    role: Role
    """``given`` for key frames, ``middle`` for the others."""
    native: Score
    """At the model's size, without padding."""
    published: Score
    """At 256 by 256, as in the published tables."""


@dataclass(frozen=True)
class MeanScore:
    """Averages over frames."""

    frames: int
    """How many there are, at least 1."""
    native: Score
    """At the model's size, without padding."""
    published: Score
    """At 256 by 256."""


@dataclass(frozen=True)
class ClipMetrics:
    """The scores of a clip."""

    frame_gap: int
    """Distance between key frames."""
    native_size: tuple[int, int]
    """Height and width of what is compared at the model's size."""
    frames: list[FrameScore]
    """One for each frame, in order."""

    def mean(self, role: Role | None = None) -> MeanScore | None:
        """Average the scores of one role, or of all frames; None where no frame has this role."""
        chosen = [frame for frame in self.frames if role in (None, frame.role)]
        if not chosen:
            return None
        return MeanScore(
            len(chosen),
            Score.mean([frame.native for frame in chosen]),
            Score.mean([frame.published for frame in chosen]),
        )

    def to_json(self) -> dict[str, Any]:
        """Return what ``metrics.json`` holds, see above."""
        return {
            "frame_gap": self.frame_gap,
            "sizes": {"native": list(self.native_size), "256": list(_PUBLISHED_SIZE)},
            "mean": {role or "all": _json(self.mean(role)) for role in ("given", "middle", None)},
            "frames": [
                {
                    "index": frame.index,
                    "name": frame.name,
                    "role": frame.role,
                    "native": asdict(frame.native),
                    "256": asdict(frame.published),
                }
                for frame in self.frames
            ],
        }


class MetricsSink:
    """Compare each frame with the input; what remains of a frame is five numbers.

    Args:
        path: The JSON file, written at the end.
        fit: How the clip was fitted to the model; padding is not compared.
        frame_gap: Distance between key frames.
    """

    def __init__(self, path: Path, fit: FrameFit, *, frame_gap: int) -> None:
        self._path = path
        self._fit = fit
        content = fit.content
        self.num_frames = 0
        """How many frames were taken."""
        self.metrics = ClipMetrics(frame_gap, (content.height, content.width), [])
        """Scores of the frames so far, but for those that the device may still work on; all of them
        once :meth:`finish` was called."""
        self._pending: deque[tuple[list[Callable[..., FrameScore]], GetScores]] = deque()

    def scores(self, images: FrameImages) -> Float[Tensor, "t 4"]:
        """Return PSNR and SSIM at the model's size, then as published."""
        content = self._fit.content
        rgb, target = content.of(images.rgb), content.of(images.target)
        native, published = compare(rgb, target), compare(rgb, target, _PUBLISHED_SIZE)
        return torch.stack([native.psnr, native.ssim, published.psnr, published.ssim], dim=1)

    def put(self, frames: Sequence[RenderedFrame], scores: GetScores) -> None:
        """Take frames and what waits for the device and returns their :meth:`scores`."""
        compared = [
            partial(
                FrameScore,
                index=frame.index,
                name=printable(frame.name),
                role="given" if frame.is_key else "middle",
            )
            for frame in frames
        ]
        self._pending.append((compared, scores))
        self.num_frames += len(frames)
        self._collect(1)  # the device works on one while the host goes on

    def finish(self) -> None:
        """Write the file."""
        self._collect(0)
        text = json.dumps(self.metrics.to_json(), indent=2, allow_nan=False)
        write_bytes(self._path, (text + "\n").encode())

    def _collect(self, but: int) -> None:
        """Take the scores of what was compared, but for the last ones."""
        while len(self._pending) > but:
            compared, scores = self._pending.popleft()
            for score, values in zip(compared, scores().tolist(), strict=True):
                self.metrics.frames.append(
                    score(native=Score(*values[:2]), published=Score(*values[2:]))
                )


def _json(mean: MeanScore | None) -> dict[str, Any] | None:
    if mean is None:
        return None
    return {"frames": mean.frames, "native": asdict(mean.native), "256": asdict(mean.published)}
