from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from core.evaluation.data.clips import ClipFrame
from core.evaluation.data.pair import read_pair
from core.evaluation.methods.network import Context, NetworkMethod
from core.models import PRESETS, MatchingNetwork, build_model
from core.streaming import Session

SIZE = (64, 96)
CPU = torch.device("cpu")


class DriftingClip:
    """Noise that moves to the right, ever faster; frames are taken at uneven times."""

    name = "drifting"
    num_frames = 7

    def __init__(self) -> None:
        texture = np.random.default_rng(0).integers(0, 255, (SIZE[0], 3 * SIZE[1], 3), np.uint8)
        self.images = [texture[:, 2 * i * i : 2 * i * i + SIZE[1]] for i in range(self.num_frames)]
        self.times = [0.0, 1.0, 2.5, 3.0, 4.0, 5.5, 6.0]

    def read(self, first: int, last: int) -> list[ClipFrame]:
        return [
            ClipFrame(index=i, image=np.ascontiguousarray(self.images[i]), time=self.times[i])
            for i in range(first, last + 1)
        ]

    def known_flow(self, first: int, last: int) -> None:
        return None


@pytest.fixture
def network() -> MatchingNetwork:
    torch.manual_seed(0)
    model = build_model(replace(PRESETS["tiny"], image_height=SIZE[0], image_width=SIZE[1])).eval()
    assert isinstance(model, MatchingNetwork)
    return model


def streamed(
    network: MatchingNetwork, clip: DriftingClip, first: int, gap: int, *, lookahead: bool
) -> Tensor:
    """Return the motion of a pair in a session that began a key frame before it."""
    with Session(network, frame_gap=gap, detect_cuts=False, lookahead=lookahead) as session:
        start = max(0, first - gap)
        intervals = [
            interval
            for image, time in zip(clip.images[start:], clip.times[start:], strict=True)
            for interval in session.push(np.ascontiguousarray(image), time)
        ]
        intervals += session.end_shot()
        motions = {interval.first_time: interval.gaussians.motion for interval in intervals}
        return motions[clip.times[first]]


@pytest.mark.parametrize("order", [(0, 2, 4), (4,), (2, 0)])
@pytest.mark.parametrize("context", ["before", "both"])
def test_a_pair_moves_as_in_a_stream_that_began_a_key_frame_before(
    network: MatchingNetwork, order: Sequence[int], context: Context
) -> None:
    clip = DriftingClip()
    method = NetworkMethod(network, SIZE, CPU, context=context)
    for first in order:
        pair = read_pair(clip, first, 2, opens=True, network_size=SIZE, device=CPU)
        motion = method.reconstruct(pair).scene.motion
        expected = streamed(network, clip, first, 2, lookahead=context == "both")
        assert expected[:, :, 1].any() == (first > 0 or context == "both")
        torch.testing.assert_close(motion, expected, atol=1e-4, rtol=1e-3)


def test_paths_of_a_pair_alone_are_straight(network: MatchingNetwork) -> None:
    method = NetworkMethod(network, SIZE, CPU, context="pair")
    pair = read_pair(DriftingClip(), 2, 2, opens=True, network_size=SIZE, device=CPU)
    assert not method.reconstruct(pair).scene.motion[:, :, 1].any()
