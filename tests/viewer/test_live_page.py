"""The page of a server, in a real browser."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from core.io.video import VideoWriter
from core.scene_file import SceneEncoder, SceneHeader, open_scene
from core.scene_file.records import pack_record
from core.viewer import write_player
from core.viewer.feed import LiveFeed, LivePart, RecordedFeed
from core.viewer.parts import find_parts
from core.viewer.server import ViewerServer
from tests.viewer.chromium import Chromium
from tests.viewer.conftest import GRID, WriteScene, interval, key_frame
from tests.viewer.test_player import press, seek, seen

pytestmark = pytest.mark.slow
HEADER = SceneHeader((144, 256), GRID, (90, 160), frames_per_second=10, source="synthetic")


@contextmanager
def publishing(server: ViewerServer, feed: LiveFeed, *, every: float) -> Iterator[None]:
    """Give the feed a scene that goes on, an interval of a second each time."""
    stop = threading.Event()
    frames = [key_frame(seed, turned_in_picture=True) for seed in range(3)]
    encoder = SceneEncoder(HEADER)

    def publish() -> None:
        server.call(feed.begin, HEADER)
        newest, number = b"", 0
        while not stop.wait(every):
            pair = interval(frames[number % 3], frames[(number + 1) % 3])
            coded = encoder.encode(pair, number, number + 1, opens=number == 0)
            records = [pack_record(kind, payload) for kind, payload in coded]
            part = LivePart(number, number + 1, newest, b"".join(records), time.monotonic(), 7)
            server.call(feed.put, part)
            newest, number = records[-2], number + 1

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        yield
    finally:
        stop.set()
        publisher.join()


def visit(browser: Chromium, server: ViewerServer) -> None:
    browser.call("Page.navigate", url=server.address)
    browser.wait_for("document.readyState === 'complete' && clock.textContent !== ''")


def status(browser: Chromium) -> str:
    return browser.run("document.getElementById('feed').textContent")


def wait_until_reloaded(browser: Chromium) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with suppress(AssertionError):  # while the page is being left
            if browser.run("!window.isFirst"):
                return
        time.sleep(0.05)
    pytest.fail("the page is still that of the first server")


def test_a_live_page_follows_holds_and_stays_playable(browser: Chromium) -> None:
    feed = LiveFeed()
    with ViewerServer(feed, "127.0.0.1", 0) as server:
        with publishing(server, feed, every=0.1):
            visit(browser, server)
            browser.wait_for("/^Live · \\d+ ms · 7 frames dropped/.test(feed.textContent)")
            first = seen(browser)
            browser.wait_for("+time.max > 12")
            assert np.abs(seen(browser) - first).max() > 0.1, "it goes on"
            assert 0 < browser.run("time.max - time.min") <= 10, "no more is kept"
            browser.run("play.click()")
            browser.wait_for("/^Paused/.test(feed.textContent)")
            time.sleep(0.3)
            window = browser.run("[+time.min, +time.max]")
            seek(browser, window[0] + 0.5)
            held = seen(browser)
            seek(browser, window[0] + 2.5)
            assert np.abs(seen(browser) - held).max() > 0.1, "the slider"
            assert browser.run("[+time.min, +time.max]") == window, "it holds still"
            browser.run(
                "window.skipped = () => +(/(\\d+) key/.exec(feed.textContent) ?? [0, 0])[1]"
            )
            browser.run("window.before = skipped(); live.click()")
            browser.wait_for("/^Live/.test(feed.textContent) && skipped() > before + 1")
            browser.wait_for(
                f"+time.max > {window[1]} && +clock.textContent.split(' ')[0] > {window[1]}"
            )
            # Choosing a time holds it as well.
            seek(browser, browser.run("+time.max") - 0.5)
            browser.wait_for("/^Paused/.test(feed.textContent)")
            browser.run("live.click()")
        server.call(feed.end, "camera 0 has ended.")
        browser.wait_for("/^camera 0 has ended ·/.test(feed.textContent)")
        browser.wait_for("play.dataset.state === 'paused' && live.disabled")
    last = seen(browser)
    seek(browser, browser.run("+time.max") - 1.5)
    assert np.abs(seen(browser) - last).max() > 0.1, "without the server"
    assert browser.run("note.hidden")


def test_a_page_outlives_its_server_and_finds_the_next(browser: Chromium) -> None:
    feed = LiveFeed()
    with ViewerServer(feed, "127.0.0.1", 0) as server, publishing(server, feed, every=0.1):
        visit(browser, server)
        port = int(server.address.split(":")[2].strip("/"))
        browser.run("window.isFirst = true")
    browser.wait_for("note.textContent === 'The server does not answer; trying again …'")
    assert status(browser).startswith("No connection")
    feed = LiveFeed()
    with ViewerServer(feed, "127.0.0.1", port) as server, publishing(server, feed, every=0.1):
        wait_until_reloaded(browser)
        browser.wait_for("document.getElementById('feed') && /^Live/.test(feed.textContent)")
    with ViewerServer(feed, "0.0.0.0", port):
        browser.wait_for("/^The server was started anew/.test(note.textContent)")
    assert all("ERR_" in error or "403" in error for error in browser.errors)
    browser.errors.clear()


def test_a_result_is_played_from_the_server(
    browser: Chromium, write_scene: WriteScene, tmp_path: Path
) -> None:
    scene, video = write_scene(), tmp_path / "input.mp4"
    with VideoWriter(video, (90, 160), 10) as writer:
        for i in range(31):
            writer.write(np.full((90, 160, 3), 8 * i, np.uint8))
    write_player(scene.with_suffix(".html"), scene, video)
    with (
        open_scene(scene) as reader,
        ViewerServer(RecordedFeed(reader, find_parts(scene)), "127.0.0.1", 0) as server,
    ):
        visit(browser, server)
        browser.wait_for("note.hidden && +time.max === 3")
        assert browser.run("document.getElementById('feed')") is None
        end = time.monotonic() + 5
        while server.num_viewers and time.monotonic() < end:
            time.sleep(0.01)
        assert server.num_viewers == 0, "the page has all of it"
    first = seen(browser)
    seek(browser, 1.5)
    assert np.abs(seen(browser) - first).max() > 0.1
    press(browser, "t")
    drawn = "trails.getContext('2d').getImageData(0, 0, trails.width, trails.height).data"
    browser.wait_for(f"!trails.hidden && {drawn}.some(value => value > 0)")
    press(browser, "i")
    browser.wait_for("video.checkVisibility() && video.duration > 3 && video.currentTime > 1.4")
