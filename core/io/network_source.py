"""URLs and standard input, read by FFmpeg as they come."""

from __future__ import annotations

import re
from collections.abc import Generator
from urllib.parse import urlsplit

import av
import av.error
from av.container import InputContainer

from core.checks import UserError
from core.io.frame_source import Frame, OnError
from core.io.stream_source import StreamSource
from core.io.video_decoding import VideoWalk, reason_of

STANDARD_INPUT = "-"
TIMEOUT_S = 10
"""How long a connection, or the next packet, is waited for."""
_LIVE_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "rtp", "udp", "srt", "tcp", "mms")
_PLAYLISTS = ("hls", "dash")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://.+")


def is_url(text: str) -> bool:
    """Return whether ``text`` names something by a protocol."""
    return _URL.fullmatch(text) is not None


class NetworkSource(StreamSource):
    """A video stream that FFmpeg reads from a URL or from standard input (``-``).

    Streams of the protocols of cameras, and those over HTTP that announce neither duration nor
    size, are live unless ``live`` says otherwise; standard input is not: its sender waits. Where a
    live HTTP connection is lost FFmpeg asks for it again for a few seconds; after any other loss,
    or before the end that the header announces, the walk ends, and :attr:`broken_off` says so.

    Args:
        address: A URL, or ``-``.
        live: Whether the newest frame wins; None decides as above.
        on_error: What becomes of packets that cannot be decoded.

    Raises:
        UserError: If it cannot be opened, or holds no video.
    """

    def __init__(
        self, address: str, *, live: bool | None = None, on_error: OnError = "skip"
    ) -> None:
        is_pipe = address == STANDARD_INPUT
        name = "standard input" if is_pipe else _without_password(address)
        scheme = _scheme(address)
        is_http = scheme.startswith("http")
        address = "pipe:0" if is_pipe else address
        container = _open(address, name, again=is_http and live is True)
        if live is None:
            endless = is_http and _is_endless(container)
            live = scheme in _LIVE_SCHEMES or endless
            if endless:
                # Asked again, a recording would begin anew: only now is it known to be none.
                container.close()
                container = _open(address, name, again=True)
        self._container = container
        super().__init__(name, live=live, on_error=on_error)

    def _decode(self) -> Generator[Frame, None, None]:
        with self._container as container:
            walk = VideoWalk(container, self._skip_packet)
            delivered = 0
            for image in walk:
                index = delivered + self.skipped
                yield Frame(index, f"{index:05d}", image)
                delivered += 1
            if walk.failure is not None:
                self._broken_off = f"{self.path} was lost after {delivered} frames: {walk.failure}"
            elif walk.shortfall is not None:
                self._broken_off = f"{self.path} {walk.shortfall[1]}"

    def _skip_packet(self, reason: str) -> None:
        self._skip(f"{self.path}: a packet cannot be decoded: {reason}", quiet=self.skipped > 0)


def _open(address: str, name: str, *, again: bool) -> InputContainer:
    """Open an address; ``again`` is whether a lost HTTP connection is asked for anew."""
    scheme = _scheme(address)
    options = {}
    if scheme in _LIVE_SCHEMES:
        options["fflags"] = "nobuffer"  # what was read to find the format is old by then
    if scheme.startswith("rtsp"):
        options["rtsp_transport"] = "tcp"
    elif scheme.startswith("http"):
        streamed = "1" if again else "0"
        options = {"reconnect": "1", "reconnect_streamed": streamed, "reconnect_delay_max": "4"}
    try:
        container = av.open(address, options=options, timeout=TIMEOUT_S, metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        hint = "give a URL that FFmpeg can read"
        if address.startswith("pipe:"):
            hint = (
                "pipe in a format that can be read from start to end, for example MPEG-TS or "
                "Matroska"
            )
        raise UserError(
            f"{name} cannot be opened as a video: {reason_of(error)}; {hint}."
        ) from error
    if container.format.name == "tty" or not container.streams.video:
        container.close()
        raise UserError(f"{name} holds no video stream.")
    return container


def _is_endless(container: InputContainer) -> bool:
    # The size of a playlist is not that of what it leads to.
    sized = container.size > 0 and container.format.name not in _PLAYLISTS
    return container.duration is None and not sized


def _scheme(address: str) -> str:
    return urlsplit(address).scheme.lower()


def _without_password(url: str) -> str:
    """Leave out what a log should not show."""
    return re.sub(r"(?<=://)[^/@]*@", "", url)
