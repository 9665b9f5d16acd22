from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from core.evaluation.data.clips import ClipFrame
from core.evaluation.data.pair import read_pair
from core.evaluation.methods.network import NetworkMethod
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

    def known_flow(self, first: int, second: int) -> None:
        return None


@pytest.fixture
def network() -> MatchingNetwork:
    torch.manual_seed(0)
    model = build_model(replace(PRESETS["tiny"], image_height=SIZE[0], image_width=SIZE[1])).eval()
    assert isinstance(model, MatchingNetwork)
    return model


def streamed(network: MatchingNetwork, clip: DriftingClip, gap: int) -> list[Tensor]:
    """Return the motion of all intervals of a session."""
    with Session(network, frame_gap=gap, detect_cuts=False) as session:
        intervals = [
            interval
            for image, time in zip(clip.images, clip.times, strict=True)
            for interval in session.push(np.ascontiguousarray(image), time)
        ]
        return [interval.gaussians.motion for interval in intervals]


@pytest.mark.parametrize("order", [(0, 2, 4), (4,), (2, 0)])
def test_a_pair_moves_as_in_a_stream_that_began_two_key_frames_before(
    network: MatchingNetwork, order: Sequence[int]
) -> None:
    clip = DriftingClip()
    expected = dict(zip((0, 2, 4), streamed(network, clip, 2), strict=True))
    assert not expected[0][:, :, 1].any(), "nothing bends the first pair"
    assert expected[2][:, :, 1].any()
    method = NetworkMethod(network, SIZE, CPU)
    for first in order:
        pair = read_pair(clip, first, 2, opens=True, network_size=SIZE, device=CPU)
        motion = method.reconstruct(pair).scene.motion
        torch.testing.assert_close(motion, expected[first], atol=1e-4, rtol=1e-3)
