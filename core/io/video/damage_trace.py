"""Which frames of a video depend on a damaged packet."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import av

_REMEMBERED = 512
"""Packets; no decoder of FFmpeg's holds back as many."""
_MAX_WAITING = 16
"""Frames; no codec reorders more."""


class DamageTrace:
    """Separates the frames that depend on damaged ones from the whole ones, during decoding.

    A decoder continues after damage, and does not mark the frames that refer to it. Here all frames
    that follow in decoding order count as damaged, up to the next key frame. With x264's
    ``intra-refresh`` there are no key frames: packets are marked where a refresh begins, and the
    second such mark ends the damage.

    Damage that only shows in the decoded frame is noticed late where frames are shown in another
    order than they are decoded in. A frame that may refer to one which is shown later waits for it.
    """

    def __init__(self) -> None:
        self._sent = -1
        # Decoders work on several packets at once: a frame, or an error, comes some packets late.
        # FFmpeg gives with a frame the decoding time of the packet that brought it out.
        self._finished = -1
        self._by_pts: dict[int, int] = {}
        self._by_dts: dict[int, int] = {}
        self._to_come: dict[int, int] = {}
        self._key_packets: deque[int] = deque(maxlen=_REMEMBERED)
        self._first_damage: int | None = None
        self._last_damage = -1
        self._waiting: deque[tuple[int, av.VideoFrame]] = deque()
        self._reported = 0
        self._withheld = 0

    def add_packet(self, packet: av.Packet) -> None:
        """Register the next packet, in decoding order."""
        self._sent += 1
        for numbers, time in (
            (self._by_pts, packet.pts),
            (self._to_come, packet.pts),
            (self._by_dts, packet.dts),
        ):
            if time is not None:
                numbers[time] = self._sent
            if len(numbers) > _REMEMBERED:
                del numbers[next(iter(numbers))]
        if packet.is_keyframe:
            self._key_packets.append(self._sent)

    def add_damaged_packet(self) -> None:
        """Register that the newest packet is not given to the decoder."""
        self._add_lost(self._sent)

    def add_error(self) -> None:
        """Register that the decoder failed: at the packet after that of its last frame."""
        self._finished = min(self._finished + 1, self._sent)
        self._add_lost(self._finished)

    def add_frame(self, frame: av.VideoFrame) -> Iterator[tuple[av.VideoFrame, bool]]:
        """Take the next frame that is shown; yield those that can be classified now.

        Yields:
            A frame, and whether neither it nor what it builds on is damaged.
        """
        finished = self._sent if frame.dts is None else self._by_dts.get(frame.dts, self._sent)
        self._finished = max(self._finished, finished)
        number = finished
        if frame.pts is not None:
            number = self._by_pts.get(frame.pts, finished)
            # Frames that should have been shown by now do not come any more.
            self._to_come = {pts: n for pts, n in self._to_come.items() if pts > frame.pts}
        if frame.is_corrupt:
            self._mark(number)
        self._waiting.append((number, frame))
        while self._waiting:
            number, frame = self._waiting[0]
            is_early = any(other < number for other in self._to_come.values())
            if is_early and len(self._waiting) <= _MAX_WAITING:
                break
            self._waiting.popleft()
            yield frame, self._is_whole(number, frame)

    def flush(self) -> Iterator[tuple[av.VideoFrame, bool]]:
        """Yield the frames that still wait, once no frame follows."""
        while self._waiting:
            number, frame = self._waiting.popleft()
            yield frame, self._is_whole(number, frame)

    def _is_whole(self, number: int, frame: av.VideoFrame) -> bool:
        if self._first_damage is None or number < self._first_damage:
            return True
        if number > self._last_damage:
            marks = sum(self._last_damage < mark <= number for mark in self._key_packets)
            if frame.key_frame or marks > 1:
                self._close(number)
                return True
        self._reported += 1
        return False

    def take_withheld(self, *, at_end: bool = False) -> int:
        """Return how many frames after damage the decoder did not return, since the last call.

        Args:
            at_end: Whether no frame follows, so that the damage ends here.
        """
        if at_end and self._first_damage is not None:
            self._close(self._sent + 1)
        count, self._withheld = self._withheld, 0
        return count

    def _add_lost(self, number: int) -> None:
        self._to_come = {pts: n for pts, n in self._to_come.items() if n != number}
        self._mark(number)
        self._reported += 1

    def _mark(self, number: int) -> None:
        if self._first_damage is None or number < self._first_damage:
            self._first_damage = number
        self._last_damage = max(self._last_damage, number)

    def _close(self, number: int) -> None:
        """End the damage before a packet."""
        assert self._first_damage is not None
        self._withheld += max(0, number - self._first_damage - self._reported)
        self._first_damage, self._reported = None, 0
