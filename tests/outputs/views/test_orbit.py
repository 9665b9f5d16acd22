from __future__ import annotations

from collections.abc import Callable

import torch

from core.geometry.cameras import Lens
from core.geometry.fit import FrameFit
from core.outputs.views.orbit import OrbitView
from core.streaming.reconstruct import ClipReconstructor


def test_scenes_that_are_drawn_together_look_as_alone(
    reconstructor: Callable[..., ClipReconstructor], synthetic_source
) -> None:
    """Each with its own time and camera."""
    build = reconstructor(frame_gap=3)
    interval = next(build.intervals(synthetic_source(4)))
    view = OrbitView(Lens(), FrameFit((36, 64), build.session.image_size))
    times, phases = (0.0, 0.4, 1.0), (0.0, 0.25, 0.6)
    together = view.start(interval, times, phases)()
    for time, phase, picture in zip(times, phases, together, strict=True):
        alone = view.draw(view.lift(interval, time), phase)
        assert (picture.int() - alone.int()).abs().max() <= 1
    assert not torch.equal(together[0], together[1])
