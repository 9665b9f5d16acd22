"""Reconstructs a source while it comes and while browsers look."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from tqdm import tqdm

from core.checks import UserError
from core.depth.source import DepthSource
from core.geometry.fit import FrameFit
from core.io import Frame, FrameSource
from core.io.video import usual_rate
from core.logging import get_logger
from core.scene_file import SceneEncoder, SceneHeader
from core.scene_file.records import pack_record
from core.streaming import Interval, Session
from core.streaming.reconstruct import ClipReconstructor
from core.viewer.feed import LiveFeed, LivePart
from core.viewer.server import ViewerServer

_logger = get_logger(__name__)


def warm_up(session: Session, depth: DepthSource | None, frame: Frame) -> None:
    """Let everything run once on a frame, since the first time takes seconds."""
    for stamp in (0.0, 1.0):
        values = None if depth is None else depth.inverse_depth(frame)
        session.push(frame.image, stamp, values)
    session.end_shot()
    session.reset()


@dataclass(frozen=True)
class LiveScene:
    """A source, what reconstructs it, and who shows it."""

    name: str
    """Of the source, for people."""
    source: FrameSource
    """Live and timed: frames are dropped that come faster than the model works."""
    reconstructor: ClipReconstructor
    """Takes the frames."""
    fit: FrameFit
    """How frames enter the model."""
    feed: LiveFeed
    """Where the intervals go."""
    server: ViewerServer
    """Shows the feed."""

    def run(self) -> None:
        """Reconstruct until the source ends, or cannot be read on, which viewers are told."""
        reason = f"{self.name} has ended"
        try:
            for part in self._parts():
                self.server.call(self.feed.put, part)
        except UserError as error:
            reason = str(error).rstrip(".")
        if self.source.dropped:
            _logger.warning(
                "%d frames came faster than the model works and were dropped.", self.source.dropped
            )
        if self.feed.skipped:
            _logger.warning(
                "%d key frames were skipped by viewers that were slower, or paused.",
                self.feed.skipped,
            )
        self.server.call(self.feed.end, f"{reason}.")
        _logger.info("%s; its last seconds can be seen until Ctrl-C.", reason)

    def _parts(self) -> Iterator[LivePart]:
        """Yield the intervals, coded."""
        arrivals: dict[float, float] = {}

        def note(time: float, frame: Frame) -> None:
            arrivals[time] = frame.arrived

        encoder: SceneEncoder | None = None
        newest_key_frame = b""
        with tqdm(unit=" key frames", disable=None) as progress:
            for interval in self.reconstructor.intervals(self.source, note):
                encoder = encoder or self._begin(interval)
                coded = encoder.encode(
                    interval.own_gaussians.to("cpu"),
                    interval.first_time,
                    interval.second_time,
                    opens=interval.opens,
                )
                records = [pack_record(kind, payload) for kind, payload in coded]
                yield LivePart(
                    first_time=interval.first_time,
                    second_time=interval.second_time,
                    first_key_frame=b"" if interval.opens else newest_key_frame,
                    records=b"".join(records),
                    arrived=arrivals[interval.second_time],
                    dropped=self.source.dropped,
                )
                newest_key_frame = records[-2]
                delay = time.monotonic() - arrivals[interval.second_time]
                for stamp in [stamp for stamp in arrivals if stamp <= interval.second_time]:
                    del arrivals[stamp]
                progress.set_postfix(
                    delay=f"{delay:.2f} s",
                    dropped=self.source.dropped,
                    skipped=self.feed.skipped,
                    viewers=self.server.num_viewers,
                    refresh=False,
                )
                progress.update()

    def _begin(self, interval: Interval) -> SceneEncoder:
        header = SceneHeader.of_clip(
            self.fit,
            interval.num_first,
            frames_per_second=float(usual_rate(self.source.fps)),
            source=self.name,
        )
        self.server.call(self.feed.begin, header)
        return SceneEncoder(header)
