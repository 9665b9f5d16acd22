"""Reads scene files: any interval, in any order; also files that are not complete."""

from __future__ import annotations

from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from core.checks import UserError
from core.scene_file.channels import unpack_groups
from core.scene_file.header import SceneHeader
from core.scene_file.key_frame_codec import STATIC_KINDS, StaticGaussians, restore_static
from core.scene_file.motion_codec import Dynamics, dynamic_kinds, restore_dynamics
from core.scene_file.records import (
    HEADER,
    INTERVAL,
    KEY_FRAME,
    SIGNATURE,
    Fields,
    Record,
    damaged,
    find_index,
    pack_record,
    read_record,
    scan_records,
)
from core.scene_file.timeline import (
    INTERVAL_HEAD,
    KEY_FRAME_HEAD,
    SceneTimeline,
)
from core.types import DynamicGaussians


class SceneReader:
    """An open scene file; see :func:`open_scene`."""

    def __init__(self, file: BinaryIO, where: str) -> None:
        self._file = file
        self.where = where
        """What messages call the file."""
        size = file.seek(0, 2)
        file.seek(0)
        if file.read(len(SIGNATURE)) != SIGNATURE:
            raise UserError(f"{where} is no scene file; splat_inference.py writes scene.ssplat.")
        head = read_record(file, len(SIGNATURE), size, where)
        if head is None or head.kind != HEADER:
            raise damaged(where, "it does not begin with a whole header")
        self.header = SceneHeader.unpack(head.payload, where)
        """What holds for the whole scene."""
        self._timeline = SceneTimeline(where)
        index = find_index(file, size, where)
        self.is_complete = index is not None
        """Whether the file was closed by its writer; else it ends with its last whole interval."""
        self._size = size
        self._scanned = head.end
        """How far the records were read, where there is no index."""
        if index is not None:
            self._timeline.unpack_index(index)
        else:
            self._scan()
        self.intervals = tuple(self._timeline.intervals)
        """All intervals in order of time."""
        # An interval and the next one share a key frame.
        self._key_frame = lru_cache(maxsize=2)(self._read_key_frame)

    def __enter__(self) -> SceneReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def look_again(self) -> None:
        """Take what was written since into :attr:`intervals` and :attr:`is_complete`.

        Raises:
            UserError: If that is damaged.
        """
        if self.is_complete:
            return
        self._size = self._file.seek(0, 2)
        self.is_complete = find_index(self._file, self._size, self.where) is not None
        self._scan()
        self.intervals = tuple(self._timeline.intervals)

    def _scan(self) -> None:
        for record in scan_records(self._file, self._scanned, self._size, self.where):
            self._timeline.add(record.kind, record.payload, record.offset)
            self._scanned = record.end

    @property
    def window(self) -> tuple[float, float]:
        """First and last time of the scene, seconds.

        Raises:
            UserError: If no interval is complete.
        """
        return self._timeline.window

    def locate(self, seconds: float) -> tuple[int, float]:
        """Return the number of the interval that shows a time, and the pair time in it.

        A key frame belongs to the interval that it closes; between two shots, the last key frame of
        the first one is shown.

        Raises:
            UserError: If there is no interval, or the time is outside of all of them.
        """
        return self._timeline.locate(seconds)

    def read_interval(self, number: int) -> DynamicGaussians:
        """Return one scene (b = 1) over pair times in [0, 1].

        The first key frame's grid in row-major order, anchored at 0, then the second one's,
        anchored at 1. A shot of one key frame has its own grid only, which neither moves nor fades.

        Raises:
            UserError: If the file is damaged there.
        """
        interval = self._timeline.intervals[number]
        record = self._record(interval.offset, INTERVAL)
        fields = Fields(record.payload, self.where)
        announced = (number, interval.first, interval.second, interval.motion_degree)
        if fields.unpack(INTERVAL_HEAD) != announced:
            raise damaged(self.where, f"the index and interval {number} differ")
        if interval.is_static:
            fields.finish()
            return _gaussians(self._key_frame(interval.first), _still(self.header), 0.0)
        grid, degree = self.header.grid_size, interval.motion_degree
        parts = []
        for anchor, key_frame in enumerate((interval.first, interval.second)):
            groups = unpack_groups(fields, grid, dynamic_kinds(degree))
            dynamics = restore_dynamics(groups, degree, self.where)
            parts.append(_gaussians(self._key_frame(key_frame), dynamics, float(anchor)))
        fields.finish()
        return DynamicGaussians.cat(parts, dim=1)

    def stored_interval(self, number: int) -> bytes:
        """Return the records of an interval as they are in the file.

        They are those of the key frames that no interval before it has, and its own.

        Raises:
            UserError: If the file is damaged there.
        """
        interval = self._timeline.intervals[number]
        key_frames = range(
            interval.first if interval.opens else interval.second, interval.second + 1
        )
        records = [
            *(self._record(self._timeline.key_frames[i].offset, KEY_FRAME) for i in key_frames),
            self._record(interval.offset, INTERVAL),
        ]
        return b"".join(pack_record(record.kind, bytes(record.payload)) for record in records)

    def _read_key_frame(self, number: int) -> StaticGaussians:
        key_frame = self._timeline.key_frames[number]
        record = self._record(key_frame.offset, KEY_FRAME)
        fields = Fields(record.payload, self.where)
        announced = (number, key_frame.shot, key_frame.time)
        if fields.unpack(KEY_FRAME_HEAD) != announced:
            raise damaged(self.where, f"the index and key frame {number} differ")
        groups = unpack_groups(fields, self.header.grid_size, STATIC_KINDS)
        fields.finish()
        return restore_static(groups, self.header.grid_size, self.where)

    def _record(self, offset: int, kind: bytes) -> Record:
        record = read_record(self._file, offset, self._size, self.where)
        if record is None or record.kind != kind:
            raise damaged(self.where, f"there is no {kind.decode()} record at byte {offset}")
        return record


def open_scene(path: str | Path) -> SceneReader:
    """Open a scene file, as a context manager.

    Only the header and the index are read. A file whose writer has not closed it is searched for
    complete records instead.

    Raises:
        UserError: If it cannot be read or is no scene file, is of a newer version, or is damaged.
    """
    try:
        with ExitStack() as stack:
            reader = SceneReader(stack.enter_context(Path(path).open("rb")), str(path))
            stack.pop_all()
            return reader
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error


def _still(header: SceneHeader) -> Dynamics:
    count = header.num_gaussians
    zeros = np.zeros(count, np.float32)
    return Dynamics(np.zeros((count, 0, 3), np.float32), zeros, np.full_like(zeros, 0.5))


def _gaussians(static: StaticGaussians, dynamics: Dynamics, anchor: float) -> DynamicGaussians:
    def batch(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values))[None]

    return DynamicGaussians(
        means=batch(static.means),
        motion=batch(dynamics.motion),
        scales=batch(static.scales),
        quats=batch(static.quats),
        colors=batch(static.colors),
        opacities=batch(static.opacities),
        opacity_slopes=batch(dynamics.slopes),
        opacity_half_lives=batch(dynamics.half_lives),
        anchor_times=torch.full((1, len(static.opacities)), anchor),
    )
