"""The server, asked by plain clients."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from core.checks import UserError
from core.depth.source import NoDepth
from core.geometry.fit import FrameFit
from core.io.frame_source import Frame
from core.io.streams.stream import StreamSource
from core.models import StreamSplatConfig, build_model
from core.scene_file import SceneHeader, open_scene
from core.scene_file.records import HEADER, pack_record
from core.streaming import Session
from core.streaming.reconstruct import ClipReconstructor
from core.viewer.access import Access
from core.viewer.feed import LiveFeed, LivePart, RecordedFeed
from core.viewer.live import LiveScene, warm_up
from core.viewer.server import ViewerServer
from tests.viewer.conftest import WriteScene

HEADER_RECORD = pack_record(HEADER, SceneHeader((48, 80), (6, 10), (96, 160)).pack())


def feed_with_header() -> LiveFeed:
    feed = LiveFeed()
    feed.begin(SceneHeader((48, 80), (6, 10), (96, 160)))
    return feed


def part(number: int, size: int = 10) -> LivePart:
    first = f"<{number}>".encode()
    return LivePart(number, number + 1, first, bytes([number]) * size, time.monotonic(), 0)


async def take(feed: LiveFeed, puts: list[list[int]]) -> list[tuple[object, bytes]]:
    """Ask after each group of parts; return how many were skipped, and the records."""
    messages, taken = feed.follow(), []
    for numbers in puts:
        for number in numbers:
            feed.put(part(number))
        facts, records = await anext(messages)
        taken.append((facts["skipped"], records.removeprefix(HEADER_RECORD)))
    return taken


def records(number: int, *, joins: bool) -> bytes:
    return (b"" if joins else f"<{number}>".encode()) + bytes([number]) * 10


def test_a_late_viewer_begins_at_the_newest_key_frame_and_then_gets_all() -> None:
    taken = asyncio.run(take(feed_with_header(), [[0, 1, 2], [3], [4, 5], []]))
    assert taken == [
        (0, records(2, joins=False)),
        (0, records(3, joins=True)),
        (0, records(4, joins=True)),
        (0, records(5, joins=True)),
    ]


def test_a_slow_viewer_goes_on_with_the_newest_and_is_told_what_it_missed() -> None:
    taken = asyncio.run(take(feed_with_header(), [[0], [1, 2, 3, 4], [5]]))
    assert taken == [
        (0, records(0, joins=False)),
        (3, records(4, joins=False)),
        (3, records(5, joins=True)),
    ]


@pytest.mark.parametrize(("most_bytes", "kept"), [(64 << 20, 10), (35, 3)])
def test_what_is_kept_is_bounded_and_is_sent_after_the_end(
    monkeypatch: pytest.MonkeyPatch, most_bytes: int, kept: int
) -> None:
    monkeypatch.setattr("core.viewer.feed.KEPT_BYTES", most_bytes)
    feed = feed_with_header()
    for number in range(50):
        feed.put(part(number))
    feed.end("over.")

    async def everything() -> list[tuple[dict[str, object], bytes]]:
        return [message async for message in feed.follow()]

    *parts, last = asyncio.run(everything())
    assert [data[-1] for _, data in parts] == list(range(50 - kept, 50))
    assert last == ({"ended": "over."}, b"")


def get(server: ViewerServer, path: str, host: str | None = None) -> tuple[int, bytes]:
    port = int(server.address.split(":")[2].split("/")[0])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest("GET", path, skip_host=host is not None)
    if host is not None:
        connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read()


def look(server: ViewerServer, *, origin: str | None = None) -> connect:
    address = server.address.replace("http", "ws") + "live"
    own = "/".join(server.address.split("/")[:3])
    return connect(address, additional_headers={"Origin": origin or own}, compression=None)


@pytest.fixture
def server() -> Iterator[ViewerServer]:
    with ViewerServer(feed_with_header(), "127.0.0.1", 0) as started:
        yield started


def test_there_is_the_page_and_nothing_else(server: ViewerServer) -> None:
    status, page = get(server, "/")
    assert status == 200
    assert b">live</script>" in page
    secret = Path(__file__).name
    for path in (
        f"/{secret}",
        "/../../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/live/../scene.ssplat",
        "/scene.ssplat",
    ):
        assert get(server, path) == (404, b"Not Found\n"), path


def test_other_names_of_the_computer_and_pages_of_other_sites_are_refused(
    server: ViewerServer,
) -> None:
    port = server.address.split(":")[2].strip("/")
    for host in (f"evil.example:{port}", "evil.example", "127.0.0.1.evil.example", "", "[::1"):
        assert get(server, "/", host)[0] == 403, host
    for host in ("localhost", f"localhost:{port}", "[::1]:9000", "127.0.0.1"):
        assert get(server, "/", host)[0] == 200, host
    with look(server):
        pass
    for origin in (
        "http://evil.example",
        "http://localhost:1",
        "null",
        f"http://127.0.0.1:{port}0",
    ):
        with pytest.raises(InvalidStatus, match="403"), look(server, origin=origin):
            pass


def test_elsewhere_the_address_needs_its_token() -> None:
    # Bound to all addresses, so that others could reach it.
    with ViewerServer(feed_with_header(), "0.0.0.0", 0) as server:
        token = server.address.split("/")[3]
        assert len(token) > 20
        assert get(server, f"/{token}/")[0] == 200
        for path in ("/", f"/{token[:-1]}/", f"/{token}x/", "/live", "/%00/", f"//{token}/"):
            assert get(server, path)[0] == 403, path
        assert get(server, f"/{token}/../etc/passwd")[0] == 404
        port = server.address.split(":")[2].split("/")[0]
        address = f"127.0.0.1:{port}"
        with (
            pytest.raises(InvalidStatus, match="403"),
            connect(f"ws://{address}/live", additional_headers={"Origin": f"http://{address}"}),
        ):
            pass
    assert Access("a").root != Access("b").root


def test_a_port_in_use_is_one_line(server: ViewerServer) -> None:
    port = int(server.address.split(":")[2].strip("/"))
    with pytest.raises(UserError, match=f"cannot listen at port {port} of 127.0.0.1: Address alr"):
        ViewerServer(LiveFeed(), "127.0.0.1", port).__enter__()


def test_viewers_that_leave_or_take_nothing_hold_up_nobody() -> None:
    feed, large = feed_with_header(), 600_000  # bytes; more than is read ahead
    with ViewerServer(feed, "127.0.0.1", 0) as server:
        with look(server) as quick, look(server) as stuck, look(server) as leaving:
            for viewer in (quick, stuck, leaving):
                assert json.loads(viewer.recv())["live"]
                viewer.send("next")
            leaving.socket.shutdown(socket.SHUT_RDWR)
            for number in range(5):
                server.call(feed.put, part(number, large))
                json.loads(quick.recv(timeout=5))
                assert len(quick.recv(timeout=5)) >= large
                quick.send("next")
        end = time.monotonic() + 5
        while server.num_viewers and time.monotonic() < end:
            time.sleep(0.01)
        assert server.num_viewers == 0


def test_what_speaks_another_language_is_dropped(server: ViewerServer) -> None:
    port = int(server.address.split(":")[2].strip("/"))
    with socket.create_connection(("127.0.0.1", port), 5) as raw:
        raw.sendall(bytes(range(256)) * 40 + b"\r\n\r\n")
        with suppress(ConnectionError):
            while raw.recv(1 << 16):
                pass
    with look(server) as viewer:
        viewer.recv()
        viewer.send(b"x" * 5000)
        with pytest.raises(ConnectionClosedError, match="1009"):
            viewer.recv(timeout=5)
    with look(server) as viewer:
        viewer.recv()
        viewer.socket.sendall(b"\xff" * 300)  # no frame of a WebSocket
        with pytest.raises(ConnectionClosedError):
            viewer.recv(timeout=5)
    assert get(server, "/")[0] == 200


def receive(path: Path) -> tuple[bytes, str]:
    """Return the records that are sent of a file, and what is said at the end."""
    with (
        open_scene(path) as reader,
        ViewerServer(RecordedFeed(reader), "127.0.0.1", 0) as server,
        look(server) as viewer,
    ):
        assert json.loads(viewer.recv())["live"] is False
        received = b""
        while True:
            viewer.send("next")
            facts = json.loads(viewer.recv())
            if "ended" in facts:
                return received, facts["ended"]
            received += viewer.recv()


def test_a_file_is_sent_as_far_as_it_goes(write_scene: WriteScene) -> None:
    path = write_scene()
    stored = path.read_bytes()
    received, ended = receive(path)
    assert ended == ""
    assert stored[8 : 8 + len(received)] == received, "all but signature and index"
    assert stored[8 + len(received) + 4 :][:4] == b"INDX"
    second = stored.index(b"INTV", stored.index(b"INTV") + 4)
    path.write_bytes(stored[: second + 30] + b"x" + stored[second + 31 :])
    sound, ended = receive(path)
    assert stored[8:].startswith(sound)
    assert sound.count(b"INTV") == 1
    assert "is damaged: the checksum of the record at byte" in ended
    path.write_bytes(stored[:second])
    assert receive(path) == (sound, "The file is cut short: the scene ends at 1.00 s.")


class Camera(StreamSource):
    """Gives pictures that drift, 100 a second, whether they are taken or not."""

    def __init__(self, seconds: float) -> None:
        super().__init__("camera", live=True)
        self._seconds = seconds

    @property
    def is_timed(self) -> bool:
        return True

    def _decode(self) -> Generator[Frame, None, None]:
        base = np.random.default_rng(0).integers(0, 255, (9, 16, 3), np.uint8)
        picture = base.repeat(4, 0).repeat(4, 1)
        start = time.monotonic()
        for index in range(round(100 * self._seconds)):
            time.sleep(max(start + index / 100 - time.monotonic(), 0))
            yield Frame(index, f"{index}", np.roll(picture, index, 1), index / 100)


@pytest.mark.slow
def test_a_source_faster_than_the_model_is_never_late(small_config: StreamSplatConfig) -> None:
    class Slow(Session):
        def push(self, *args, **options):
            time.sleep(0.05)
            return super().push(*args, **options)

    feed, camera = LiveFeed(), Camera(2.0)
    session = Slow(build_model(small_config).eval(), frame_gap=2, detect_cuts=False)
    fit = FrameFit((36, 64), (32, 64), "stretch")
    ages: list[float] = []

    warm_up(session, NoDepth(), Camera(1).peek())
    with session, ViewerServer(feed, "127.0.0.1", 0) as server:

        def watch() -> None:
            with look(server) as viewer:
                viewer.recv()
                while True:
                    viewer.send("next")
                    facts = json.loads(viewer.recv())
                    if "ended" in facts:
                        break
                    ages.append(facts["age"])
                    viewer.recv()

        watching = threading.Thread(target=watch)
        watching.start()
        LiveScene("camera", camera, ClipReconstructor(session, NoDepth()), fit, feed, server).run()
        watching.join(10)
    assert camera.dropped > 100
    assert len(ages) > 5
    # The first ones include what happens once.
    assert np.median(ages[2:]) < 400, ages
    assert np.median(ages[-4:]) < np.median(ages[2:6]) + 150, "it grows"


@pytest.mark.slow
@pytest.mark.parametrize("stop", [2, 15])
def test_signals_end_it_cleanly(write_scene: WriteScene, stop: int) -> None:
    command = [sys.executable, "-m", "core.viewer", str(write_scene()), "--port", "0"]
    program = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert program.stderr is not None
    line = program.stderr.readline()
    assert line.startswith("http://127.0.0.1:")
    program.send_signal(stop)
    assert program.stderr.read() == "stopped.\n"
    assert program.wait(10) == 0
