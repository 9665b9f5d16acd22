"""Which frames are key frames: every ``frame_gap``-th of a shot, and its last one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from core.checks import UserError, naming
from core.streaming.interval import StreamFrame
from core.types import TensorDataclass


@dataclass(frozen=True)
class Seen:
    """A key frame that a model with a matcher has seen before its depth was known."""

    features: TensorDataclass
    """What is matched of it."""
    before: TensorDataclass | None
    """The features of the key frame that it was matched with; None for a shot's first one."""
    matches: TensorDataclass | None
    """The matches of that key frame with this one."""
    inverse_depth: Float[Tensor, "1 1 h w"]
    """What they say of its depth."""


@dataclass(frozen=True)
class Candidate:
    """A frame that may become a key frame."""

    frame: StreamFrame
    inverse_depth: Callable[[], Float[Tensor, "1 1 h w"]]
    """Returns its normalised inverse depth; called if it becomes a key frame."""
    see: Callable[[], Seen] | None = None
    """Where depth comes from matches, returns it with them."""


@dataclass(frozen=True)
class ChosenKeyFrame:
    """A key frame that the network has not seen yet."""

    frames: tuple[StreamFrame, ...]
    """The frames of its shot after the key frame before, the key frame last."""
    inverse_depth: Float[Tensor, "1 1 h w"]
    """Its normalised inverse depth."""
    seen: Seen | None = None
    """What the network knows of it already."""


@dataclass(frozen=True)
class SelectionState:
    """All that a selection holds."""

    shot_length: int = 0
    """How many frames of the shot have come."""
    candidates: tuple[Candidate, ...] = ()
    """The frames since the newest key frame; any may be the last of its shot."""
    chosen: tuple[ChosenKeyFrame, ...] = ()
    """Key frames that were not taken."""


class KeyFrameSelection:
    """Chooses key frames, and keeps the frames since the newest one.

    Args:
        frame_gap: Distance between key frames, at least 1.
    """

    def __init__(self, frame_gap: int) -> None:
        self._frame_gap = frame_gap
        self.state = SelectionState()
        """May be set to what it was before."""

    @property
    def next_is_key(self) -> bool:
        """Whether the next frame is a key frame, which the first of a shot always is."""
        return self.state.shot_length % self._frame_gap == 0

    def add(self, candidate: Candidate) -> None:
        """Take the next frame of the shot.

        Raises:
            UserError: If it is a key frame, and its depth cannot be used.
        """
        state = self.state
        candidates = (*state.candidates, candidate)
        is_key = self.next_is_key
        self.state = replace(state, shot_length=state.shot_length + 1, candidates=candidates)
        if is_key:
            self._choose(candidates)

    def end_shot(self) -> UserError | None:
        """Choose the last frame of the shot; the next one begins another.

        Returns:
            If its depth cannot be used, the frame before is chosen, and so on; then the error of
            the first frame that is left out. None if there is none.
        """
        error = None
        candidates = self.state.candidates
        while candidates:
            try:
                self._choose(candidates)
                break
            except UserError as caught:
                error, candidates = caught, candidates[:-1]
        self.state = SelectionState(chosen=self.state.chosen)
        return error

    def take_chosen(self) -> tuple[ChosenKeyFrame, ...]:
        """Return the key frames that were not taken."""
        chosen = self.state.chosen
        self.state = replace(self.state, chosen=())
        return chosen

    def _choose(self, candidates: tuple[Candidate, ...]) -> None:
        """Make the last of all frames since the newest key frame the next key frame."""
        frames = tuple(candidate.frame for candidate in candidates)
        with naming(f"frame {frames[-1].name}"):
            newest = candidates[-1]
            seen = None if newest.see is None else newest.see()
            depth = newest.inverse_depth() if seen is None else seen.inverse_depth
            key_frame = ChosenKeyFrame(frames, depth, seen)
        chosen = (*self.state.chosen, key_frame)
        self.state = replace(self.state, candidates=(), chosen=chosen)
