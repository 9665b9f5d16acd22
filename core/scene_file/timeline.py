"""Which key frames and intervals a scene file holds, and where."""

from __future__ import annotations

import math
import struct
from bisect import bisect_left
from dataclasses import dataclass, field

from core.checks import UserError
from core.scene_file.motion_codec import MAX_DEGREE
from core.scene_file.records import INTERVAL, KEY_FRAME, Fields, Record, damaged

KEY_FRAME_HEAD = struct.Struct("<IId")
"""Number of the key frame, number of its shot, time in seconds."""
INTERVAL_HEAD = struct.Struct("<IIII")
"""Number of the interval, numbers of its key frames, motion degree."""
_COUNT = struct.Struct("<I")
_ENTRY = struct.Struct("<Q4s16s")
_INDEX_OFFSET = struct.Struct("<Q")


MAX_TIME = 1e12
"""Largest magnitude of a time, seconds."""


@dataclass(frozen=True)
class StoredKeyFrame:
    """A key frame of the file."""

    number: int
    """Counted from 0 since the file's beginning."""
    shot: int
    """Number of its shot, from 0."""
    time: float
    """Seconds."""
    offset: int
    """Where its record begins."""


@dataclass(frozen=True)
class SceneInterval:
    """The scene from one key frame to the next, or of a shot of one key frame."""

    first: int
    """Number of the key frame at pair time 0, counted from 0 since the file's beginning."""
    second: int
    """Number of the key frame at pair time 1; ``first`` again for a shot of one key frame."""
    first_time: float
    """Time of the first key frame, seconds."""
    second_time: float
    """Time of the second key frame, seconds."""
    shot: int
    """Number of its shot, from 0."""
    opens: bool
    """Whether its first key frame is the first of the shot."""
    motion_degree: int
    """Number of motion coefficients."""
    offset: int
    """Where its record begins."""

    @property
    def is_static(self) -> bool:
        """Whether it is a shot of one key frame."""
        return self.first == self.second


@dataclass
class SceneTimeline:
    """The key frames and intervals of a file, in order; each one is checked when it is added."""

    where: str
    """What error messages call the file."""
    key_frames: list[StoredKeyFrame] = field(default_factory=list)
    """In order of time."""
    intervals: list[SceneInterval] = field(default_factory=list)
    """In order of time."""

    def _add_key_frame(self, number: int, shot: int, time: float, offset: int) -> None:
        """Take the next key frame.

        Raises:
            UserError: If number, shot or time do not follow the one before.
        """
        before = self.key_frames[-1] if self.key_frames else StoredKeyFrame(-1, -1, -math.inf, 0)
        follows = number == before.number + 1 and before.shot <= shot <= before.shot + 1
        if not (follows and before.time < time <= MAX_TIME and time >= -MAX_TIME and shot >= 0):
            raise damaged(self.where, f"key frame {number} does not follow the one before")
        self.key_frames.append(StoredKeyFrame(number, shot, time, offset))

    def _add_interval(self, number: int, first: int, second: int, degree: int, offset: int) -> None:
        """Take the next interval.

        Raises:
            UserError: If it does not join the newest key frames of a shot.
        """
        last = self.key_frames[-1] if self.key_frames else None
        joins = last is not None and second == last.number and second - first in (0, 1)
        if not joins or number != len(self.intervals) or degree > MAX_DEGREE:
            raise damaged(self.where, f"interval {number} does not follow the one before")
        start, end = self.key_frames[first], self.key_frames[second]
        opens = first == 0 or self.key_frames[first - 1].shot != start.shot
        follows = not self.intervals or self.intervals[-1].second == first - opens
        if start.shot != end.shot or not follows or (first == second and not opens):
            raise damaged(self.where, f"interval {number} joins key frames {first} and {second}")
        self.intervals.append(
            SceneInterval(first, second, start.time, end.time, start.shot, opens, degree, offset)
        )

    def add(self, kind: bytes, payload: memoryview, offset: int) -> None:
        """Take a record of the file; those that are neither key frame nor interval are skipped.

        Args:
            kind: Its type.
            payload: The beginning of what it holds, at least.
            offset: Where it begins.
        """
        fields = Fields(payload, self.where)
        if kind == KEY_FRAME:
            number, shot, time = fields.unpack(KEY_FRAME_HEAD)
            self._add_key_frame(number, shot, time, offset)
        elif kind == INTERVAL:
            number, first, second, degree = fields.unpack(INTERVAL_HEAD)
            self._add_interval(number, first, second, degree, offset)

    def pack_index(self, offset: int) -> bytes:
        """Return the payload of an index whose record begins at ``offset``."""
        entries: list[tuple[int, bytes, bytes]] = []
        for key in self.key_frames:
            head = KEY_FRAME_HEAD.pack(key.number, key.shot, key.time)
            entries.append((key.offset, KEY_FRAME, head))
        for number, part in enumerate(self.intervals):
            head = INTERVAL_HEAD.pack(number, part.first, part.second, part.motion_degree)
            entries.append((part.offset, INTERVAL, head))
        packed = [_ENTRY.pack(*entry) for entry in sorted(entries)]
        return b"".join([_COUNT.pack(len(packed)), *packed, _INDEX_OFFSET.pack(offset)])

    def unpack_index(self, index: Record) -> None:
        """Take all records that an index names.

        Raises:
            UserError: If it breaks the format.
        """
        fields = Fields(index.payload, self.where)
        (count,) = fields.unpack(_COUNT)
        for _ in range(count):
            offset, kind, head = fields.unpack(_ENTRY)
            if offset >= index.offset:
                raise damaged(self.where, f"its index names byte {offset}")
            self.add(kind, memoryview(head), offset)
        fields.unpack(_INDEX_OFFSET)
        fields.finish()

    @property
    def window(self) -> tuple[float, float]:
        """First and last time of the scene, seconds.

        Raises:
            UserError: If there is no interval.
        """
        if not self.intervals:
            raise UserError(f"{self.where} holds no interval that is complete.")
        return self.intervals[0].first_time, self.intervals[-1].second_time

    def locate(self, seconds: float) -> tuple[int, float]:
        """Return the interval that shows a time, and the pair time in it.

        A key frame belongs to the interval that it closes; between two shots, the last key frame of
        the first one is shown.

        Raises:
            UserError: If there is no interval, or the time is outside of all of them.
        """
        start, end = self.window
        if not start <= seconds <= end:
            raise UserError(
                f"{self.where} holds times from {start:g} to {end:g} seconds; {seconds:g} is "
                "outside."
            )
        index = bisect_left(self.intervals, seconds, key=lambda part: part.second_time)
        part = self.intervals[index]
        if seconds < part.first_time:
            return index - 1, 0.0 if self.intervals[index - 1].is_static else 1.0
        if part.is_static:
            return index, 0.0
        return index, (seconds - part.first_time) / (part.second_time - part.first_time)
