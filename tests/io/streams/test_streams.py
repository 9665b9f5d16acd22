from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from core.checks import UserError
from core.io import Frame
from core.io.frames import open_frames
from core.io.streams import network, pipe
from core.io.streams.network import NetworkSource
from core.io.streams.stream import StreamSource

ROOT = Path(__file__).parents[2]
SIZE = (48, 64)


class FakeCamera(StreamSource):
    """Gives ``count`` frames, one every ``pause`` seconds."""

    def __init__(self, count: int, pause: float, *, live: bool = True) -> None:
        super().__init__("fake camera", live=live)
        self.count = count
        self.pause = pause
        self.closed = threading.Event()

    def _decode(self) -> Generator[Frame, None, None]:
        try:
            for index in range(self.count):
                time.sleep(self.pause)
                yield Frame(index, str(index), np.full((*SIZE, 3), index % 256, np.uint8))
        finally:
            self.closed.set()


def test_a_live_source_faster_than_its_reader_gives_the_newest_frame() -> None:
    camera = FakeCamera(60, 0.005)
    seen = []
    for frame in camera:
        seen.append(frame.index)
        time.sleep(0.05)
    assert seen == sorted(set(seen))
    assert len(seen) < 20
    assert len(seen) + camera.dropped == 60, "each frame is either given or counted"
    assert seen[-1] == 59, "the last one is not overtaken"
    lags = np.diff(seen)
    assert lags[1:-1].min() >= 3, "no old frames are worked off"


def test_a_live_source_slower_than_its_reader_drops_nothing() -> None:
    camera = FakeCamera(10, 0.01)
    assert [frame.index for frame in camera] == list(range(10))
    assert camera.dropped == 0


def test_a_stream_that_is_not_live_waits() -> None:
    camera = FakeCamera(12, 0.0, live=False)
    seen = []
    for frame in camera:
        time.sleep(0.005)
        seen.append(frame.index)
    assert seen == list(range(12))
    assert camera.dropped == 0


@pytest.mark.parametrize("live", [True, False])
def test_ctrl_c_is_heard_while_nothing_comes(live: bool) -> None:
    class Stalled(FakeCamera):
        def _decode(self) -> Generator[Frame, None, None]:
            yield from super()._decode()
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            threading.Event().wait(8)

    start = time.perf_counter()
    seen = []
    with pytest.raises(KeyboardInterrupt):
        seen.extend(frame.index for frame in Stalled(2, 0.02, live=live))
    assert seen == [0, 1]
    assert time.perf_counter() - start < 4


@pytest.mark.parametrize("live", [True, False])
def test_the_first_frame_can_be_looked_at_and_is_given_all_the_same(live: bool) -> None:
    camera = FakeCamera(3, 0.02, live=live)
    assert camera.peek().index == camera.peek().index == 0
    assert [frame.index for frame in camera] == [0, 1, 2]
    with pytest.raises(UserError, match="only once"):
        list(camera)


def test_a_live_walk_that_is_left_early_closes_the_camera() -> None:
    camera = FakeCamera(10_000, 0.001)
    for frame in camera:
        if frame.index >= 3:
            break
    del frame
    camera._walk = None
    assert camera.closed.wait(2)


def test_an_error_of_a_live_source_comes_after_its_frames() -> None:
    class Unplugged(FakeCamera):
        def _decode(self) -> Generator[Frame, None, None]:
            yield from super()._decode()
            raise UserError("fake camera: the cable is gone.")

    seen = []
    with pytest.raises(UserError, match="cable"):
        seen.extend(frame.index for frame in Unplugged(3, 0.02))
    assert seen == [0, 1, 2]


@pytest.fixture(scope="module")
def transport_stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 40 frames whose brightness rises, as MPEG-TS."""
    path = tmp_path_factory.mktemp("stream") / "rising.ts"
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=20)
        stream.height, stream.width, stream.pix_fmt, stream.gop_size = *SIZE, "yuv420p", 1
        stream.max_b_frames = 0
        texture = np.random.default_rng(0).integers(0, 60, (*SIZE, 3))
        for index in range(40):
            image = (texture + 4 * index).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def brightness(frames: Iterator[Frame]) -> list[float]:
    return [float(frame.image.mean()) for frame in frames]


READ_STANDARD_INPUT = """
from core.io.frames import open_frames
source = open_frames("-")
frames = list(source)
print(len(frames), frames[-1].index, source.skipped, source.dropped, source.is_stream)
print([round(float(f.image.mean())) for f in frames[::10]])
"""


def standard_input(data: bytes, program: str = READ_STANDARD_INPUT) -> tuple[list[str], str]:
    result = subprocess.run(
        [sys.executable, "-c", program], input=data, capture_output=True, check=False, cwd=ROOT
    )
    return result.stdout.decode().splitlines(), result.stderr.decode()


@pytest.mark.slow
def test_standard_input_is_read_as_it_comes(transport_stream: Path) -> None:
    lines, errors = standard_input(transport_stream.read_bytes())
    assert lines[0] == "40 39 0 0 True", errors
    rising = [int(value) for value in lines[1].strip("[]").split(",")]
    assert rising == sorted(rising)


@pytest.mark.slow
def test_damage_in_mid_stream_is_skipped_and_counted(transport_stream: Path) -> None:
    data = bytearray(transport_stream.read_bytes())
    middle = len(data) // 2 // 188 * 188
    data[middle : middle + 3 * 188] = bytes(3 * 188)
    (line, _), errors = standard_input(bytes(data))
    count, last, skipped, _, _ = line.split()
    assert 36 <= int(count) < 40, errors
    assert int(skipped) >= 1
    assert int(last) >= int(count)
    assert "Traceback" not in errors


@pytest.mark.slow
def test_standard_input_that_is_no_video_is_one_line() -> None:
    program = (
        "from core.io.frames import open_frames\nfrom core.checks import cli_errors\n"
        "cli_errors(lambda: print(list(open_frames('-'))))()"
    )
    for data in (b"", b"this is a text, not a video\n" * 50):
        lines, errors = standard_input(data, program)
        assert lines == []
        assert errors.count("\n") == 1
        assert errors.startswith("error: standard input")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "sent"), [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGTERM, 20)]
)
def test_standard_input_that_gives_too_little_can_be_stopped(
    transport_stream: Path, number: signal.Signals, sent: int
) -> None:
    program = (
        "from core.io.frames import open_frames; from core.checks import cli_errors\n"
        "cli_errors(lambda: (print('opening', flush=True), list(open_frames('-'))))()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        try:
            process.stdin.write(transport_stream.read_bytes()[: sent * 188])
            process.stdin.flush()
            process.stdout.readline()
            time.sleep(0.3)
            process.send_signal(number)
            assert process.wait(5) == 128 + number
        finally:
            process.kill()
        assert process.stderr.read().decode().startswith("interrupted; ")


def test_a_named_pipe_is_opened_once(tmp_path: Path, transport_stream: Path) -> None:
    path = tmp_path / "video.mp4"  # the name does not count
    os.mkfifo(path)
    sender = threading.Thread(target=path.write_bytes, args=(transport_stream.read_bytes(),))
    sender.start()
    source = open_frames(path)
    assert source.is_stream
    assert not source.live  # pyright: ignore[reportAttributeAccessIssue]
    assert source.peek().index == 0
    rising = brightness(iter(source))
    sender.join()
    assert len(rising) == 40
    assert rising == sorted(rising)


def test_a_pipe_without_a_sender_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(pipe, "SENDER_TIMEOUT_S", 0.05)
    with pytest.raises(UserError, match=r"nobody has opened the pipe .*start the sender first"):
        open_frames(tmp_path / "pipe")


def test_a_sender_that_is_slow_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport_stream: Path
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    monkeypatch.setattr(pipe, "SENDER_TIMEOUT_S", 0.05)

    def send() -> None:
        with path.open("wb") as file:
            opened.set()
            time.sleep(0.3)
            file.write(transport_stream.read_bytes())

    opened = threading.Event()
    keep = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # lets the sender open its end at once
    sender = threading.Thread(target=send)
    sender.start()
    opened.wait()
    source = open_frames(path)
    os.close(keep)
    assert len(list(source)) == 40
    sender.join()


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/full"])
def test_a_device_that_is_no_video_is_one_error(device: str) -> None:
    with pytest.raises(UserError, match=f"{device} cannot be opened as a video"):
        open_frames(device)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("has_sender", [False, True])
def test_a_pipe_on_which_nothing_comes_can_be_left(
    tmp_path: Path, number: signal.Signals, has_sender: bool
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    program = (
        "from core.io.frames import open_frames; from core.checks import cli_errors\n"
        f"cli_errors(lambda: (print('opening', flush=True), list(open_frames({str(path)!r}))))()"
    )
    sender = os.open(path, os.O_RDWR) if has_sender else None
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    ) as process:
        assert process.stdout
        try:
            process.stdout.readline()
            time.sleep(0.3)
            process.send_signal(number)
            assert process.wait(5) == 128 + number
        finally:
            process.kill()
            if sender is not None:
                os.close(sender)


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[BaseHTTPRequestHandler], None]], str]]:
    """Start a web server that answers as asked; gives its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Callable[[BaseHTTPRequestHandler], None]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/video"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_recording_behind_a_url_is_given_in_full(serve: Callable, transport_stream: Path) -> None:
    data = transport_stream.read_bytes()

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    source = open_frames(serve(answer))
    rising = brightness(iter(source))
    assert len(rising) == 40
    assert rising == sorted(rising)
    assert source.broken_off is None


def test_a_recording_that_breaks_off_is_not_begun_anew(
    serve: Callable, transport_stream: Path
) -> None:
    data = transport_stream.read_bytes()

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data[: len(data) // 2])

    source = open_frames(serve(answer))
    rising = brightness(iter(source))
    assert 15 <= len(rising) < 22
    assert rising == sorted(rising)
    assert source.broken_off is not None
    assert f"was lost after {len(rising)} frames" in source.broken_off


@pytest.mark.slow
def test_a_piped_file_that_ends_too_early_says_so(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "clip.mkv"), "w") as container:
        stream = container.add_stream("mpeg2video", rate=20)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        for index in range(40):
            noise = np.random.default_rng(index).integers(0, 256, (*SIZE, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        container.mux(stream.encode(None))
    data = (tmp_path / "clip.mkv").read_bytes()
    program = (
        "from core.io.frames import open_frames; source = open_frames('-'); "
        "print(len(list(source))); print(source.broken_off)"
    )
    (count, reason), errors = standard_input(data[: len(data) // 2], program)
    assert 10 <= int(count) < 22, errors
    assert reason.startswith("standard input breaks off after ")
    assert "of 2.0 seconds" in reason


@pytest.fixture
def connections() -> Iterator[Callable[[list[Callable[[socket.socket], None]]], str]]:
    """Answer one connection after the other as listed; gives the address.

    Nothing listens after the last one, as with senders that serve a single connection.
    """
    listeners: list[socket.socket] = []

    def start(answers: list[Callable[[socket.socket], None]]) -> str:
        listening = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            for index, answer in enumerate(answers):
                connection, _ = listening.accept()
                if index == len(answers) - 1:
                    listening.close()
                with connection, suppress(OSError):
                    connection.recv(4096)
                    answer(connection)

        listeners.append(listening)
        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listening.getsockname()[1]}/camera"

    yield start
    for listening in listeners:
        listening.close()


def send_unsized(connection: socket.socket, data: bytes) -> None:
    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + data)


def send_and_reset(connection: socket.socket, data: bytes) -> None:
    send_unsized(connection, data)
    time.sleep(0.2)  # a reset overtakes what has not been read
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("live", [None, False])
def test_a_stream_without_a_size_ends_when_the_server_closes_it(
    serve: Callable, transport_stream: Path, live: bool | None
) -> None:
    requests = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        requests.append(request.path)
        request.send_response(200)
        request.end_headers()
        request.wfile.write(transport_stream.read_bytes())

    source = NetworkSource(serve(answer), live=live)
    assert source.live == (live is None)
    assert len(list(source)) + source.dropped == 40
    assert source.broken_off is None
    assert len(requests) == 1


def test_a_sender_that_serves_one_connection_is_enough(
    connections: Callable, transport_stream: Path
) -> None:
    data = transport_stream.read_bytes()
    source = NetworkSource(connections([lambda connection: send_unsized(connection, data)]))
    assert source.live
    assert len(list(source)) + source.dropped == 40
    assert source.broken_off is None


def test_a_live_connection_that_is_reset_is_asked_for_again(
    connections: Callable, transport_stream: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "_PAUSES_S", (0, 0, 0))
    data = transport_stream.read_bytes()
    half = data[: len(data) // 2 // 188 * 188]
    answers = [
        lambda connection: send_and_reset(connection, half),
        lambda connection: connection.sendall(b"HTTP/1.0 503 Busy\r\n\r\n"),
        lambda connection: send_unsized(connection, data),
    ]
    source = NetworkSource(connections(answers))
    frames = list(source)
    assert 55 <= len(frames) + source.dropped < 62
    assert [frame.index for frame in frames] == sorted({frame.index for frame in frames})
    assert source.broken_off is None


def test_a_connection_that_is_reset_each_time_is_given_up(
    connections: Callable, transport_stream: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "_PAUSES_S", (0,))
    data = transport_stream.read_bytes()
    source = NetworkSource(connections([lambda connection: send_and_reset(connection, data)] * 3))
    assert len(list(source)) + source.dropped == 80
    assert source.broken_off is not None
    assert "was lost after" in source.broken_off


def motion_jpeg(
    request: BaseHTTPRequestHandler, count: int, pause: float, *, damaged: tuple[int, ...] = ()
) -> None:
    """Answer as network cameras do: one JPEG after the other, without an end in sight."""
    request.send_response(200)
    request.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
    request.end_headers()
    texture = np.random.default_rng(0).integers(0, 40, (*SIZE, 3))
    for index in range(count):
        jpeg = cv2.imencode(".jpg", (texture + index).astype(np.uint8))[1].tobytes()
        jpeg = jpeg[: len(jpeg) // 2] if index in damaged else jpeg
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        request.wfile.write(head.encode() + jpeg + b"\r\n")
        time.sleep(pause)


def test_a_network_camera_is_live(serve: Callable) -> None:
    source = open_frames(serve(lambda request: motion_jpeg(request, 120, 0.004)))
    assert isinstance(source, NetworkSource)
    assert source.live
    seen = []
    for frame in source:
        seen.append(frame.index)
        time.sleep(0.05)
        if len(seen) == 5:
            break
    assert source.dropped > 5
    assert seen == sorted(set(seen))


def test_damaged_pictures_of_a_network_camera_are_skipped(serve: Callable) -> None:
    answer = serve(lambda request: motion_jpeg(request, 30, 0, damaged=(7, 11, 12)))
    source = open_frames(answer, live=False)
    assert [frame.index for frame in source] == [i for i in range(30) if i not in (7, 11, 12)]
    assert source.skipped == 3


def test_addresses_that_give_nothing_are_one_line(serve: Callable) -> None:
    def refuse(request: BaseHTTPRequestHandler) -> None:
        request.send_error(404)

    def text(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(b"<html>no video here</html>" * 20)

    closed = "rtsp://user:secret@127.0.0.1:9/camera"
    for address in (serve(refuse), serve(text), closed, "nosuch://host/video"):
        with pytest.raises(UserError, match=r"127\.0\.0\.1|nosuch") as caught:
            open_frames(address)
        assert "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)


class FakeCapture:
    """Stands for ``cv2.VideoCapture``: some reads fail, and the last frames never come."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.reads = 0
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802 (the library's name)
        return self.number == 0

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.reads += 1
        time.sleep(0.002)
        if self.reads == 3 or self.reads > 8:
            return False, None
        return True, np.full((*SIZE, 3), (0, 0, 255), np.uint8)

    def release(self) -> None:
        self.released = True


def test_a_webcam_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    source = open_frames("0")
    frames = list(source)
    assert 1 <= len(frames) <= 7
    assert len(frames) + source.dropped == 7
    assert frames[0].image[0, 0].tolist() == [255, 0, 0], "RGB"
    assert source.skipped >= 1
    assert source.broken_off is not None
    assert "camera 0 stopped" in source.broken_off
    with pytest.raises(UserError, match="camera 7 cannot be opened"):
        open_frames("7")


def test_a_camera_that_is_not_there_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="camera 99"):
        open_frames("99")
    assert capfd.readouterr().err == ""


def test_a_folder_may_be_called_like_a_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "0").mkdir()
    cv2.imwrite(str(tmp_path / "0" / "a.png"), np.zeros((*SIZE, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    assert open_frames("0").num_frames == 1
