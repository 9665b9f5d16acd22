"""How late a live scene is seen, and whether memory grows: ``python benchmarks/live_soak.py``.

Shows the demo clip over and over, at its own rate, by the server of ``python -m core.viewer``, with
two viewers that only take records: one that asks at once, and one that takes a second for each key
frame. ``--browser`` adds a page in headless Chromium, which draws in software on the processor that
the model works on.

* ``age``: from when a frame was decoded to when the records of its key frame are sent, as the
  server says it; what a viewer waits for its next key frame is not in it.
* ``delay``: from when what is seen was in front of the camera to the picture, as the page says it:
  read four times a second.
* ``memory``: resident, of the program and of the browser's process that holds the page with its
  worker, and the page's JavaScript heap; of the page after collection of garbage.

Memory is compared between the second and the last minute (of less than four minutes, quarter), and
the exit status is 1 where it grows by more than 2 % and 1 MiB.
"""

from __future__ import annotations

import datetime
import json
import re
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import psutil
from streaming_soak import memory_bytes
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from configs.options_inference import EMBEDDED_MODEL
from core.checks import UserError, cli_errors
from core.command_line import parse
from core.depth.source import NoDepth
from core.devices import choose_device
from core.io.frame_source import Frame, FrameSource
from core.io.streams.paced import PacedSource
from core.io.video import VideoSource
from core.logging import configure_logging
from core.models import load_model
from core.models.fast.acceleration import FastModel
from core.streaming import Session
from core.streaming.reconstruct import ClipReconstructor, choose_fit
from core.viewer.feed import LiveFeed
from core.viewer.live import LiveScene, warm_up
from core.viewer.server import ViewerServer

DEMO_CLIP = EMBEDDED_MODEL.parent / "demo_clip" / "clip.mp4"
_MOST_GROWTH = 0.02
_LONGEST_SPAN_S = 60.0


@dataclass(frozen=True)
class Options:
    """Show a live scene for a while; measure how late it is, and memory."""

    seconds: float = 600
    """For how long, at least 40."""
    frame_gap: int = 3
    """Distance between key frames."""
    device: str = "cpu"
    """cpu or cuda."""
    browser: bool = False
    """Whether a page looks as well."""

    def __post_init__(self) -> None:
        if self.seconds < 40:
            raise UserError(f"--seconds is {self.seconds:g}; expected at least 40")


class Repeated(FrameSource):
    """A clip over and over, decoded once."""

    def __init__(self, path: Path, seconds: float) -> None:
        clip = VideoSource(path)
        super().__init__(path, "raise")
        self._fps = clip.fps or Fraction(24)
        self._frames = list(clip)
        self._count = round(seconds * self._fps)

    @property
    def fps(self) -> Fraction:
        """Frames a second."""
        return self._fps

    def _decode(self) -> Generator[Frame, None, None]:
        for index in range(self._count):
            frame = self._frames[index % len(self._frames)]
            yield replace(frame, index=index, name=str(index), time=float(index / self._fps))


@dataclass
class Readings:
    """Values and when they were read, seconds."""

    times: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, value: float) -> None:
        """Take a value that was read now."""
        self.times.append(time.monotonic())
        self.values.append(value)

    def between(self, first: float, last: float) -> np.ndarray:
        """Return the values of a span of time."""
        chosen = [v for t, v in zip(self.times, self.values, strict=True) if first <= t < last]
        return np.array(chosen or [np.nan])


class Viewer(threading.Thread):
    """Takes records and drops them.

    Args:
        address: The server's.
        pause: Seconds that it takes for each key frame.
    """

    def __init__(self, address: str, pause: float) -> None:
        super().__init__(daemon=True)
        self._address, self._pause = address, pause
        self.ages = Readings()
        self.skipped = 0

    def run(self) -> None:
        """Look until the scene ends."""
        origin = {"Origin": self._address.rstrip("/")}
        address = self._address.replace("http", "ws") + "live"
        try:
            with connect(address, additional_headers=origin, compression=None) as socket:
                socket.recv()
                while True:
                    socket.send("next")
                    facts = json.loads(socket.recv())
                    if "ended" in facts:
                        return
                    socket.recv()
                    self.ages.add(facts["age"])
                    self.skipped = facts["skipped"]
                    time.sleep(self._pause)
        except ConnectionClosed:
            return


class Page(threading.Thread):
    """Looks at the page's own figures in a browser."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self._address = address
        self.delays, self.heap, self.resident = Readings(), Readings(), Readings()
        self.status = ""
        self.stop = threading.Event()

    def run(self) -> None:
        """Look until told to stop."""
        sys.path.append(str(Path(__file__).parents[1]))
        from tests.viewer.chromium import Chromium

        with tempfile.TemporaryDirectory() as folder, Chromium(Path(folder), (640, 480)) as browser:
            browser.call("Page.navigate", url=self._address)
            browser.wait_for("document.readyState === 'complete' && clock.textContent !== ''")
            count = 0
            while not self.stop.wait(0.25):
                self.status = browser.run("feed.textContent")
                if delay := re.match(r"Live · (\d+) ms", self.status):
                    self.delays.add(float(delay[1]))
                count += 1
                if count % 20 == 0:
                    browser.call("HeapProfiler.collectGarbage")
                    self.heap.add(browser.call("Runtime.getHeapUsage")["usedSize"])
                    children = psutil.Process().children(recursive=True)
                    pages = [child for child in children if "--type=renderer" in child.cmdline()]
                    self.resident.add(sum(child.memory_info().rss for child in pages))


@dataclass(frozen=True)
class Measured:
    """What was read from the beginning to the end, times in seconds of the monotonic clock."""

    begin: float
    end: float
    dropped: int
    quick: Viewer
    slow: Viewer
    page: Page | None
    memory: Readings


@contextmanager
def read_memory(readings: Readings) -> Iterator[None]:
    """Read this program's memory every second."""
    stop = threading.Event()

    def read() -> None:
        while not stop.wait(1.0):
            readings.add(memory_bytes(choose_device("cpu")))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def watch(options: Options) -> Measured:
    """Show the clip to all viewers to its end."""
    device = choose_device(options.device)
    model = load_model(EMBEDDED_MODEL).to(device)
    clip = Repeated(DEMO_CLIP, options.seconds)
    source = PacedSource(clip)
    fit = choose_fit(clip, (model.config.image_height, model.config.image_width), "stretch")
    acceleration = "graphs" if device.type == "cuda" else "none"
    session = Session(
        FastModel(model, acceleration=acceleration), frame_gap=options.frame_gap, detect_cuts=False
    )
    feed, memory = LiveFeed(), Readings()
    warm_up(session, NoDepth(), clip.peek())
    with session, ViewerServer(feed, "127.0.0.1", 0) as server:
        quick, slow = Viewer(server.address, 0.0), Viewer(server.address, 1.0)
        page = Page(server.address) if options.browser else None
        viewers = [viewer for viewer in (quick, slow, page) if viewer is not None]
        for viewer in viewers:
            viewer.start()
        begin = time.monotonic()
        with read_memory(memory):
            reconstructor = ClipReconstructor(session, NoDepth())
            LiveScene("demo clip", source, reconstructor, fit, feed, server).run()
        end = time.monotonic()
        if page is not None:
            page.stop.set()
        for viewer in viewers:
            viewer.join(30)
    return Measured(begin, end, source.dropped, quick, slow, page, memory)


def report(options: Options, measured: Measured) -> list[str]:
    """Print tables; return what grows."""
    begin, end, page = measured.begin, measured.end, measured.page
    count = len(measured.quick.ages.values) + measured.quick.skipped
    print(
        f"{datetime.date.today()}; {end - begin:.0f} s of the demo clip on {options.device}, key "
        f"frames every {options.frame_gap} frames that are taken: one in "
        f"{(end - begin) / count:.2f} s; {measured.dropped} frames dropped"
    )
    ages = {"viewer that asks at once": measured.quick, "viewer that takes a second": measured.slow}
    span = min(_LONGEST_SPAN_S, options.seconds / 4)
    spans = ((begin + span, begin + 2 * span), (end - span, end))
    print(f"spans of {span:.0f} s; medians")
    print("\n| ms | all | 95 % | second span | last span |")
    print("|---|---:|---:|---:|---:|")
    shown = [(f"age, {name}", viewer.ages) for name, viewer in ages.items()]
    if page is not None:
        shown.append(("delay of the page", page.delays))
    for name, readings in shown:
        values = readings.between(begin + 5, end)
        medians = [np.median(readings.between(*part)) for part in spans]
        figures = (np.median(values), np.percentile(values, 95), *medians)
        print(f"| {name} | {' | '.join(f'{figure:.0f}' for figure in figures)} |")
    skipped = [f"{viewer.skipped} by the {name}" for name, viewer in ages.items()]
    print(f"\nkey frames skipped: {', '.join(skipped)}")
    memory = {"program": measured.memory}
    if page is not None:
        print(f"the page says: {page.status}")
        memory |= {"page, heap": page.heap, "page, resident": page.resident}
    print("\n| memory, MiB | second span | last span | growth |\n|---|---:|---:|---:|")
    growing = []
    for name, readings in memory.items():
        first, last = (float(np.median(readings.between(*part))) / 2**20 for part in spans)
        print(f"| {name} | {first:.1f} | {last:.1f} | {100 * (last / first - 1):+.2f} % |")
        if last > (1 + _MOST_GROWTH) * first and last > first + 1:
            growing.append(name)
    return growing


@cli_errors
def main() -> None:
    """Run from the command line."""
    options = parse(Options)
    configure_logging()
    growing = report(options, watch(options))
    if growing:
        sys.exit(f"the memory grows: {', '.join(growing)}")


if __name__ == "__main__":
    main()
