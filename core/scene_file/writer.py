"""Writes a scene file interval by interval; what is written can be read at any time."""

from __future__ import annotations

import math
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from core.checks import UserError
from core.scene_file.channels import pack_groups
from core.scene_file.grades import GRADES, Grade
from core.scene_file.header import SceneHeader
from core.scene_file.key_frame_codec import INVERSE_DEPTH, StaticGaussians, quantize_static
from core.scene_file.motion_codec import MAX_DEGREE, Dynamics, quantize_dynamics
from core.scene_file.records import HEADER, INDEX, INTERVAL, KEY_FRAME, SIGNATURE, pack_record
from core.scene_file.timeline import INTERVAL_HEAD, KEY_FRAME_HEAD, MAX_TIME, SceneTimeline
from core.types import DynamicGaussians


class SceneWriter:
    """Write a scene file, as a context manager.

    Each interval is on the disk when :meth:`append` returns, so that the file can be played while
    it grows; :meth:`close` adds the index. When the block raises, what was written stays, and is
    read up to its last complete interval.

    Args:
        path: The file, which is replaced.
        header: What holds for the whole scene.
        grade: How finely attributes are quantised.

    Raises:
        UserError: If the file cannot be written.
    """

    def __init__(
        self, path: str | Path, header: SceneHeader, grade: Grade = GRADES["fine"]
    ) -> None:
        self.path = Path(path)
        self.header = header
        self._grade = grade
        self._timeline = SceneTimeline(str(path))
        self._last_inverse_depths: np.ndarray | None = None
        self._file: BinaryIO | None = None
        self._offset = 0
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("wb")
        except OSError as error:
            raise self._failure(error) from error
        self._write(SIGNATURE)
        self._write(pack_record(HEADER, header.pack()))

    def __enter__(self) -> SceneWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        elif self._file is not None:
            self._file.close()

    @property
    def num_bytes(self) -> int:
        """How long the file is."""
        return self._offset

    def append(
        self, gaussians: DynamicGaussians, first_time: float, second_time: float, *, opens: bool
    ) -> None:
        """Write the next interval.

        Args:
            gaussians: One scene over pair times in [0, 1]: the grid of the first key frame in
                row-major order, anchored at 0, then that of the second one, anchored at 1; of a
                shot of one key frame its own grid only.
            first_time: When the first key frame is, seconds.
            second_time: When the second one is; ``first_time`` for a shot of one key frame.
            opens: Whether the interval begins a shot. Else its first key frame is the last one of
                the interval before, whose Gaussians at their anchor are in the file already.

        Raises:
            ValueError: If there are not as many Gaussians as the grid has, values that are not
                finite, too many motion coefficients, or times that do not follow.
            UserError: If the file cannot be written.
        """
        count = self.header.num_gaussians
        parts = 1 if first_time == second_time else 2
        if gaussians.means.shape[:2] != (1, parts * count):
            raise ValueError(
                f"SceneWriter: got {tuple(gaussians.means.shape[:2])} scenes and Gaussians; "
                f"expected one scene of {parts} times {count}."
            )
        degree = gaussians.motion.shape[2]
        if degree > MAX_DEGREE:
            raise ValueError(f"SceneWriter: motion of degree {degree}; at most {MAX_DEGREE}.")
        if not all(bool(torch.isfinite(tensor).all()) for tensor in gaussians.tensors()):
            raise ValueError("SceneWriter: the Gaussians have values that are not finite.")
        self._check_order(first_time, second_time, opens)
        halves = [gaussians.select(slice(i * count, (i + 1) * count), dim=1) for i in range(parts)]
        if opens:
            self._write_key_frame(halves[0], first_time, new_shot=True)
        blocks = []
        if parts == 2:
            blocks.append(self._pack_dynamics(halves[0], far_end=1.0))
            self._write_key_frame(halves[1], second_time, new_shot=False)
            blocks.append(self._pack_dynamics(halves[1], far_end=-1.0))
        number = len(self._timeline.intervals)
        second = self._timeline.key_frames[-1].number
        head = INTERVAL_HEAD.pack(number, second - (parts - 1), second, degree)
        self._add(INTERVAL, b"".join([head, *blocks]))

    def close(self) -> None:
        """Add the index."""
        if self._file is not None:
            self._write(pack_record(INDEX, self._timeline.pack_index(self._offset)))
            self._file.close()
            self._file = None

    def _check_order(self, first_time: float, second_time: float, opens: bool) -> None:
        key_frames = self._timeline.key_frames
        last = key_frames[-1].time if key_frames else -math.inf
        follows = first_time > last if opens else first_time == last < second_time
        if not (follows and first_time <= second_time and abs(second_time) <= MAX_TIME):
            raise ValueError(
                f"SceneWriter: an interval from {first_time} to {second_time} that opens "
                f"{'a' if opens else 'no'} shot does not follow a key frame at {last}."
            )

    def _write_key_frame(self, gaussians: DynamicGaussians, time: float, *, new_shot: bool) -> None:
        static = StaticGaussians(
            means=_array(gaussians.means),
            scales=_array(gaussians.scales),
            quats=_array(gaussians.quats),
            colors=_array(gaussians.colors),
            opacities=_array(gaussians.opacities),
        )
        grid = self.header.grid_size
        groups = quantize_static(static, grid, self._grade)
        (stored,) = (group.channels[0] for group in groups if group.kind == INVERSE_DEPTH)
        self._last_inverse_depths = stored.values
        before = self._timeline.key_frames[-1] if self._timeline.key_frames else None
        shot = (-1 if before is None else before.shot) + new_shot
        number = len(self._timeline.key_frames)
        head = KEY_FRAME_HEAD.pack(number, shot, time)
        self._add(KEY_FRAME, head + pack_groups(groups, grid))

    def _pack_dynamics(self, gaussians: DynamicGaussians, far_end: float) -> bytes:
        """Return the dynamics of the key frame that was written last."""
        assert self._last_inverse_depths is not None
        dynamics = Dynamics(
            motion=_array(gaussians.motion),
            slopes=_array(gaussians.opacity_slopes),
            half_lives=_array(gaussians.opacity_half_lives),
        )
        groups = quantize_dynamics(
            dynamics,
            _array(gaussians.means)[:, 1],
            self._last_inverse_depths,
            far_end,
            self.header.grid_size,
            self._grade,
        )
        return pack_groups(groups, self.header.grid_size)

    def _add(self, kind: bytes, payload: bytes) -> None:
        self._timeline.add(kind, memoryview(payload), self._offset)
        self._write(pack_record(kind, payload))

    def _write(self, data: bytes) -> None:
        assert self._file is not None, "the writer is closed"
        try:
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise self._failure(error) from error
        self._offset += len(data)

    def _failure(self, error: OSError) -> UserError:
        return UserError(
            f"cannot write {self.path}: {error.strerror or error}; choose a place with room and "
            "rights."
        )


def _array(batch: Tensor) -> np.ndarray:
    """Return the values of one scene."""
    return batch[0].detach().cpu().float().numpy()
