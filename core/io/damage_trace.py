"""How far the damage of one packet reaches, in videos whose frames build on one another."""

from __future__ import annotations

from collections import deque

import av

_REMEMBERED = 512
"""Packets; no decoder of FFmpeg's holds back as many."""


class DamageTrace:
    """Tells the frames that build on damaged ones from the whole ones, while a video is decoded.

    A decoder goes on after damage, and what it makes of the frames that refer to it looks destroyed
    without being marked. Here all that follows in decoding order counts as such, up to the next key
    frame. Where the picture is refreshed bit by bit instead (x264's ``intra-refresh``) no frame is
    one: packets are marked where a refresh begins, and the second such mark says that one is over.
    """

    def __init__(self) -> None:
        self._sent = -1
        # Decoders work on several packets at once: a frame, or an error, comes some packets late.
        # FFmpeg gives with a frame the decoding time of the packet that brought it out.
        self._finished = -1
        self._by_pts: dict[int, int] = {}
        self._by_dts: dict[int, int] = {}
        self._key_packets: deque[int] = deque(maxlen=_REMEMBERED)
        self._first_damage: int | None = None
        self._last_damage = -1
        self._told = 0
        self._withheld = 0

    def add_packet(self, packet: av.Packet) -> None:
        """Take note of the next packet, in decoding order."""
        self._sent += 1
        for numbers, time in ((self._by_pts, packet.pts), (self._by_dts, packet.dts)):
            if time is not None:
                numbers[time] = self._sent
            if len(numbers) > _REMEMBERED:
                del numbers[next(iter(numbers))]
        if packet.is_keyframe:
            self._key_packets.append(self._sent)

    def add_damaged_packet(self) -> None:
        """Say that the newest packet is not given to the decoder."""
        self._mark(self._sent)
        self._told += 1

    def add_error(self) -> None:
        """Say that the decoder failed: at the packet after the one that it gave a frame for."""
        self._finished = min(self._finished + 1, self._sent)
        self._mark(self._finished)
        self._told += 1

    def is_whole(self, frame: av.VideoFrame) -> bool:
        """Take the next frame; return whether neither it nor what it builds on is damaged."""
        finished = self._sent if frame.dts is None else self._by_dts.get(frame.dts, self._sent)
        self._finished = max(self._finished, finished)
        number = finished if frame.pts is None else self._by_pts.get(frame.pts, finished)
        if frame.is_corrupt:
            self._mark(number)
        if self._first_damage is None or number < self._first_damage:
            return True
        if number > self._last_damage:
            marks = sum(self._last_damage < mark <= number for mark in self._key_packets)
            if frame.key_frame or marks > 1:
                self._close(number)
                return True
        self._told += 1
        return False

    def take_withheld(self, *, at_end: bool = False) -> int:
        """Return how many frames after damage the decoder kept to itself, since the last call.

        Args:
            at_end: Whether no frame follows, so that the damage ends here.
        """
        if at_end and self._first_damage is not None:
            self._close(self._sent + 1)
        count, self._withheld = self._withheld, 0
        return count

    def _mark(self, number: int) -> None:
        if self._first_damage is None or number < self._first_damage:
            self._first_damage = number
        self._last_damage = max(self._last_damage, number)

    def _close(self, number: int) -> None:
        """End the damage before a packet."""
        assert self._first_damage is not None
        self._withheld += max(0, number - self._first_damage - self._told)
        self._first_damage, self._told = None, 0
