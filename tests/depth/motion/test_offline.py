"""Depth of whole clips, looked at from both ends."""

from __future__ import annotations

import numpy as np
import torch

from core.depth.motion import MotionDepth
from core.depth.motion.offline import clip_depth
from core.depth.motion.picture import Picture, working_picture
from tests.moving_camera import ExactFlow, View


def _picture(grey: np.ndarray) -> Picture:
    return working_picture(np.repeat(grey[..., None], 3, axis=2))


def test_a_guess_does_not_count_where_the_other_way_knows_depth_from_motion() -> None:
    views = [View(0.14 * i) for i in range(7)]
    flow = ExactFlow(views)
    pictures = [_picture(grey) for grey in flow.pictures]
    found = clip_depth(pictures, fov=60.0, flow=flow)
    assert found is not None
    backwards = MotionDepth(flow=flow)
    first = [backwards.advance(picture) for picture in pictures[::-1]][-1]
    # Forwards the first frame's depth is a guess; units of the two ways differ.
    units = found[0].inverse_depth / first.inverse_depth
    torch.testing.assert_close(units, units.mean().expand_as(units), rtol=1e-4, atol=0)
    shares = [
        np.median(depth.inverse_depth.numpy() / view.inverse_depth())
        for depth, view in zip(found, views, strict=True)
    ]
    assert max(shares) / min(shares) < 1.06, "all frames are in one unit"


def test_a_clip_without_parallax_has_no_depth() -> None:
    flow = ExactFlow([View(turn=0.02 * i) for i in range(5)])
    pictures = [_picture(grey) for grey in flow.pictures]
    assert clip_depth(pictures, fov=60.0, flow=flow) is None
