"""Encodes a scene interval by interval as the records of a scene file."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from core.scene_file.channels import start_packing
from core.scene_file.grades import GRADES, Grade
from core.scene_file.header import SceneHeader
from core.scene_file.interval_arrays import IntervalArrays
from core.scene_file.key_frame_codec import INVERSE_DEPTH, StaticGaussians, quantize_static
from core.scene_file.motion_codec import MAX_DEGREE, quantize_dynamics
from core.scene_file.records import INTERVAL, KEY_FRAME
from core.scene_file.timeline import INTERVAL_HEAD, KEY_FRAME_HEAD, MAX_TIME

if TYPE_CHECKING:  # a process that writes a file needs no PyTorch, which takes seconds to import
    from core.types import DynamicGaussians


class SceneEncoder:
    """Make the records of key frames and intervals, in memory that does not grow.

    Args:
        header: What holds for the whole scene.
        grade: How finely attributes are quantised.
    """

    def __init__(self, header: SceneHeader, grade: Grade = GRADES["fine"]) -> None:
        self.header = header
        """What holds for the whole scene."""
        self._grade = grade
        self._num_key_frames = 0
        self._num_intervals = 0
        self._shot = -1
        self._last_time = -math.inf
        self._last_inverse_depths: np.ndarray | None = None

    def encode(
        self,
        gaussians: DynamicGaussians | IntervalArrays,
        first_time: float,
        second_time: float,
        *,
        opens: bool,
    ) -> list[tuple[bytes, bytes]]:
        """Encode the next interval; see :meth:`start`."""
        return self.start(gaussians, first_time, second_time, opens=opens)()

    def start(
        self,
        gaussians: DynamicGaussians | IntervalArrays,
        first_time: float,
        second_time: float,
        *,
        opens: bool,
    ) -> Callable[[], list[tuple[bytes, bytes]]]:
        """Quantise the next interval, and start to encode its images in several threads.

        Args:
            gaussians: One scene over pair times in [0, 1]: the grid of the first key frame in
                row-major order, anchored at 0, then that of the second one, anchored at 1; of a
                shot of one key frame its own grid only.
            first_time: When the first key frame is, seconds.
            second_time: When the second one is; ``first_time`` for a shot of one key frame.
            opens: Whether the interval begins a shot. Else its first key frame is the last one of
                the interval before, whose Gaussians at their anchor have a record already.

        Returns:
            What waits for them and gives type and payload of each record, in the order of the file:
            the key frames that have none yet, and the interval.

        Raises:
            ValueError: If there are not as many Gaussians as the grid has, values that are not
                finite, too many motion coefficients, or times that do not follow.
        """
        count = self.header.num_gaussians
        parts = 1 if first_time == second_time else 2
        if not isinstance(gaussians, IntervalArrays):
            gaussians = IntervalArrays.of(gaussians)
        if gaussians.num_gaussians != parts * count:
            raise ValueError(
                f"SceneEncoder: got {gaussians.num_gaussians} Gaussians; expected one scene of "
                f"{parts} times {count}."
            )
        degree = gaussians.dynamics.motion.shape[1]
        if degree > MAX_DEGREE:
            raise ValueError(f"SceneEncoder: motion of degree {degree}; at most {MAX_DEGREE}.")
        if not gaussians.is_finite:
            raise ValueError("SceneEncoder: the Gaussians have values that are not finite.")
        self._check_order(first_time, second_time, opens)
        halves = [gaussians.part(slice(i * count, (i + 1) * count)) for i in range(parts)]
        # All images are on their way before the first of them is waited for.
        key_frames: list[tuple[bytes, Callable[[], bytes]]] = []
        if opens:
            key_frames.append(self._key_frame(halves[0].static, first_time, new_shot=True))
        blocks: list[Callable[[], bytes]] = []
        if parts == 2:
            blocks.append(self._dynamics(halves[0], far_end=1.0))
            key_frames.append(self._key_frame(halves[1].static, second_time, new_shot=False))
            blocks.append(self._dynamics(halves[1], far_end=-1.0))
        second = self._num_key_frames - 1
        head = INTERVAL_HEAD.pack(self._num_intervals, second - (parts - 1), second, degree)
        self._num_intervals += 1

        def finish() -> list[tuple[bytes, bytes]]:
            records = [(KEY_FRAME, start + block()) for start, block in key_frames]
            return [*records, (INTERVAL, b"".join([head, *(block() for block in blocks)]))]

        return finish

    def _check_order(self, first_time: float, second_time: float, opens: bool) -> None:
        last = self._last_time
        follows = first_time > last if opens else first_time == last < second_time
        if not (follows and first_time <= second_time and abs(second_time) <= MAX_TIME):
            raise ValueError(
                f"SceneEncoder: an interval from {first_time} to {second_time} that opens "
                f"{'a' if opens else 'no'} shot does not follow a key frame at {last}."
            )

    def _key_frame(
        self, static: StaticGaussians, time: float, *, new_shot: bool
    ) -> tuple[bytes, Callable[[], bytes]]:
        """Return the head of a key frame's record, and what gives the rest."""
        grid = self.header.grid_size
        groups = quantize_static(static, grid, self._grade)
        (stored,) = (group.channels[0] for group in groups if group.kind == INVERSE_DEPTH)
        self._last_inverse_depths = stored.values
        self._shot += new_shot
        head = KEY_FRAME_HEAD.pack(self._num_key_frames, self._shot, time)
        self._num_key_frames += 1
        self._last_time = time
        return head, start_packing(groups, grid)

    def _dynamics(self, gaussians: IntervalArrays, far_end: float) -> Callable[[], bytes]:
        """Return what gives the dynamics of the key frame that was encoded last."""
        assert self._last_inverse_depths is not None
        groups = quantize_dynamics(
            gaussians.dynamics,
            gaussians.static.means[:, 1],
            self._last_inverse_depths,
            far_end,
            self.header.grid_size,
            self._grade,
        )
        return start_packing(groups, self.header.grid_size)
