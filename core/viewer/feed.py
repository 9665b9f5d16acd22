"""What viewers are sent: records of a scene file, as they can take them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from core.checks import UserError
from core.logging import get_logger
from core.scene_file import SceneHeader, SceneReader
from core.scene_file.records import HEADER, pack_record
from core.viewer.parts import Parts

_logger = get_logger(__name__)

KEPT_SECONDS = 10.0
"""How much of a live scene is kept to go back to, seconds."""
KEPT_BYTES = 64 << 20
"""Most bytes of its records that are kept."""
_MOST_BEHIND = 2
"""Intervals that a viewer may be behind; further behind, it goes on with the newest."""
_FILE_PART = 1 << 20
"""Least bytes of a file that are sent together."""

Message = tuple[dict[str, object], bytes]
"""What is said of some records, for JSON, and the records."""


class Feed(Protocol):
    """Gives each viewer its messages; used within one event loop."""

    greeting: dict[str, object]
    """What a viewer is told first."""

    def follow(self) -> AsyncGenerator[Message, None]:
        """Yield the messages of one viewer, each chosen when it is asked for."""
        ...


@dataclass(frozen=True)
class LivePart:
    """An interval of a live scene, coded."""

    first_time: float
    """Time of its first key frame, seconds."""
    second_time: float
    """Time of its second key frame, seconds."""
    first_key_frame: bytes
    """Record of its first key frame; nothing where it is among ``records``."""
    records: bytes
    """Records of the key frames that no interval before it has, and its own."""
    arrived: float
    """When the frame at its second key frame was there, by :func:`time.monotonic`."""
    dropped: int
    """Frames of the source until then that came faster than the model works."""


class LiveFeed:
    """The newest seconds of a scene that is being reconstructed.

    A viewer begins with the newest interval and gets one after the other, when it asks. If it asks
    too seldom, it goes on with the newest, and is told how many key frames it has not seen. Once
    the scene has ended, all that is kept is sent.
    """

    def __init__(self) -> None:
        self.greeting: dict[str, object] = {
            "live": True,
            "seconds": KEPT_SECONDS,
            "bytes": KEPT_BYTES,
        }
        """What a viewer is told first."""
        self.skipped = 0
        """Key frames that viewers have not seen, of all viewers together."""
        self._header = b""
        self._parts: deque[LivePart] = deque()
        self._num_parts = 0
        self._end: str | None = None
        self._changed = asyncio.Event()

    def begin(self, header: SceneHeader) -> None:
        """Take what holds for the whole scene."""
        self._header = pack_record(HEADER, header.pack())

    def put(self, part: LivePart) -> None:
        """Take the next interval, and forget what is too old."""
        self._parts.append(part)
        self._num_parts += 1
        size = sum(len(kept.records) for kept in self._parts)
        while len(self._parts) > 1 and (
            part.second_time - self._parts[0].first_time > KEPT_SECONDS or size > KEPT_BYTES
        ):
            size -= len(self._parts.popleft().records)
        self._wake()

    def end(self, reason: str) -> None:
        """Take notice that nothing follows, and why, in one sentence."""
        self._end = reason
        self._wake()

    async def follow(self) -> AsyncGenerator[Message, None]:
        """Yield intervals, each chosen when it is asked for, and at last why the scene ends."""
        following, skipped, is_first = 0, 0, True
        while self._end is None or following < self._num_parts:
            if following >= self._num_parts:
                await self._changed.wait()
                continue
            oldest, newest = self._num_parts - len(self._parts), self._num_parts - 1
            number = max(following, oldest)
            if self._end is None and (is_first or newest - following >= _MOST_BEHIND):
                number = newest
            if not is_first:
                skipped += number - following
                self.skipped += number - following
            part = self._parts[number - oldest]
            joins = number == following and not is_first
            facts: dict[str, object] = {
                "age": round(1000 * (time.monotonic() - part.arrived)),
                "dropped": part.dropped,
                "skipped": skipped,
            }
            header = self._header if is_first else b""
            yield facts, header + (b"" if joins else part.first_key_frame) + part.records
            following, is_first = number + 1, False
        yield {"ended": self._end}, b""

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class RecordedFeed:
    """A scene file, from its beginning to its end.

    Args:
        reader: The open file; its owner closes it.
        parts: What is shown beside it, sent once the scene is.
    """

    def __init__(self, reader: SceneReader, parts: Future[Parts] | None = None) -> None:
        self.greeting: dict[str, object] = {"live": False}
        """What a viewer is told first."""
        self._reader = reader
        self._parts = parts

    async def follow(self) -> AsyncGenerator[Message, None]:
        """Yield the file, what belongs to it, and at last where it is damaged or cut short."""
        reader, ended = self._reader, ""
        if not reader.is_complete:
            ended = f"The file is cut short: the scene ends at {reader.window[1]:.2f} s."
        header = pack_record(HEADER, reader.header.pack())
        records, count = b"", len(reader.intervals)
        for number in range(count):
            try:
                records += (b"" if number else header) + reader.stored_interval(number)
            except UserError as error:
                ended = str(error)
                _logger.error("%s", error)
                break
            if len(records) >= _FILE_PART:
                yield {"share": (number + 1) / count}, records
                records = b""
        if records:
            yield {"share": 1.0}, records
        if self._parts is not None:
            # Shielded: a viewer that leaves must not cancel what others wait for.
            for name, data in (await asyncio.shield(asyncio.wrap_future(self._parts))).items():
                yield {"part": name}, data
        yield {"ended": ended}, b""
