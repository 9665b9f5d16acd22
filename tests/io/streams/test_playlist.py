"""Network playlists stay on the host that was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest

from core.checks import UserError
from core.io.frames import open_frames
from core.io.streams.playlist import HostReader

_HEAD = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n"
_END = "#EXT-X-ENDLIST\n"


def _segments(folder: Path) -> list[bytes]:
    """Return two parts of one video, ten frames each."""
    options = {"hls_time": "1", "hls_flags": "independent_segments"}
    with av.open(str(folder / "list.m3u8"), "w", format="hls", options=options) as container:
        stream = container.add_stream("libx264", rate=10, options={"g": "10", "bf": "0"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for index in range(20):
            image = np.full((48, 64, 3), 8 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return [(folder / f"list{index}.ts").read_bytes() for index in range(2)]


@pytest.fixture
def site(tmp_path) -> Iterator[dict[str, bytes | str]]:
    """Serve a dictionary: paths to contents, or to addresses that an answer leads to."""
    files: dict[str, bytes | str] = {
        f"/{i}.ts": content for i, content in enumerate(_segments(tmp_path))
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files.get(self.path)
            if isinstance(content, bytes):
                self.send_response(200)
                if content.startswith(b"#EXTM3U"):
                    self.send_header("Content-Type", "application/vnd.apple.mpegurl")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            elif content is None:
                self.send_error(404)
            else:
                self.send_response(302)
                self.send_header("Location", content)
                self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    files["host"] = f"http://127.0.0.1:{server.server_port}"
    files["other host"] = f"http://localhost:{server.server_port}"
    yield files
    server.shutdown()
    server.server_close()


def _playlist(*parts: str) -> bytes:
    return (_HEAD + "".join(f"#EXTINF:1.0,\n{part}\n" for part in parts) + _END).encode()


@pytest.mark.parametrize("name", ["/list.m3u8", "/video.mp4"])
def test_a_playlist_of_the_same_host_is_read(site, name) -> None:
    site[name] = _playlist("0.ts", f"{site['host']}/1.ts")
    frames = list(open_frames(site["host"] + name))
    assert len(frames) == 20
    assert frames[-1].time == pytest.approx(1.9)


@pytest.mark.parametrize("where", ["part", "list", "answer", "file"])
def test_a_playlist_that_leads_elsewhere_is_refused_unless_allowed(site, tmp_path, where) -> None:
    other = site["other host"]
    if where == "part":
        site["/a"] = _playlist(f"{other}/0.ts", f"{other}/1.ts")
    elif where == "list":
        site["/b"] = _playlist("0.ts", "1.ts")
        lines = f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\n{other}/b\n"
        site["/a"] = lines.encode()
    elif where == "answer":
        site["/a"] = _playlist("far.ts", "far.ts")
        site["/far.ts"] = f"{other}/0.ts"
    else:
        site["/a"] = _playlist((tmp_path / "list0.ts").as_uri())
    with pytest.raises(UserError, match=r"leads to another.*--allow_other_hosts"):
        list(open_frames(f"{site['host']}/a"))
    if where == "file":  # never, from the network
        with pytest.raises(UserError):
            list(open_frames(f"{site['host']}/a", other_hosts=True))
    elif where != "answer":
        assert len(list(open_frames(f"{site['host']}/a", other_hosts=True))) == 20


def test_a_part_that_is_not_there_is_told(site, monkeypatch) -> None:
    site["/a"] = _playlist("0.ts", "gone.ts")
    said: list[str] = []
    monkeypatch.setattr(
        "core.io.streams.playlist._logger.warning", lambda text, *values: said.append(text % values)
    )
    assert len(list(open_frames(f"{site['host']}/a"))) == 10
    assert len(said) == 1
    assert "404" in said[0]


@pytest.mark.parametrize(
    ("url", "is_same"),
    [
        ("http://a/x", True),
        ("https://A:443/x", True),
        ("http://user:word@a/x", True),
        ("http://a:8080/x", False),
        ("http://a.b/x", False),
        ("http://a@b/x", False),
        ("file:///etc/passwd", False),
        ("/etc/passwd", False),
        ("crypto+http://a/x", False),
        ("http://[::1", False),
    ],
)
def test_what_counts_as_the_same_host(url: str, is_same: bool) -> None:
    check: Callable[[str], None] = HostReader("http://a/list.m3u8", "list", 1).check
    if is_same:
        check(url)
    else:
        with pytest.raises(UserError, match="another"):
            check(url)
