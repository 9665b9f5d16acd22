"""Video streams from URLs and standard input, read by FFmpeg."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import av.error
from av.container import InputContainer

from core.checks import UserError
from core.io.background import await_result
from core.io.frame_source import Frame, OnError
from core.io.streams.stream import StreamSource
from core.io.video.container import open_container
from core.io.video.decoding import VideoDecoder, reason_of
from core.logging import get_logger
from core.text import source_name

STANDARD_INPUT = "-"
TIMEOUT_S = 10
"""How long to wait for a connection, or for the next packet."""
_PAUSES_S = (0, 1, 3)
"""Pauses before the retries of a lost connection."""
_STEADY_S = 60
"""A connection that lasted as long counts as good: after it, all retries are available again."""
_LIVE_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "rtp", "udp", "srt", "tcp", "mms")
_PLAYLISTS = ("hls", "dash")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://.+")
_logger = get_logger(__name__)


def is_url(text: str) -> bool:
    """Return whether ``text`` is an address with a protocol."""
    return _URL.fullmatch(text) is not None


class NetworkSource(StreamSource):
    """A video stream that FFmpeg reads from a URL or from standard input (``-``).

    Streams of the protocols of cameras, and those over HTTP that announce neither duration nor
    size, are live unless ``live`` says otherwise; standard input is not: its sender waits. HTTP
    that announces no size ends when the server closes the connection; where such a connection is
    lost, by a reset or by silence, and is live, it is asked for again, a few times within seconds.
    After any other loss, or before the end that the header announces, the stream ends, and
    :attr:`broken_off` says so.

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
        name = "standard input" if is_pipe else source_name(address)
        self._address = "pipe:0" if is_pipe else address
        # Opened once: some senders serve a single connection, and what came by it is not repeated.
        # FFmpeg ignores Ctrl-C while it waits for the first bytes, on standard input without limit.
        self._container = await_result(lambda: _open(self._address, name))
        is_http = _scheme(address).startswith("http")
        is_playlist = self._container.format.name in _PLAYLISTS
        # The size of a playlist is not that of what it leads to.
        is_sized = (self._container.size or 0) > 0 and not is_playlist
        self._is_endless = is_http and self._container.duration is None and not is_sized
        self._ends_by_closing = is_http and not is_sized and not is_playlist
        if live is None:
            live = _scheme(address) in _LIVE_SCHEMES or self._is_endless
        super().__init__(name, live=live, on_error=on_error)

    def _decode(self) -> Generator[Frame, None, None]:
        delivered = 0
        pauses_s = iter(_PAUSES_S)
        container: InputContainer | None = self._container
        while container is not None:
            opened = time.monotonic()
            with container:
                decoder = VideoDecoder(container, self._skip_packet)
                for image in decoder:
                    index = delivered + self.skipped
                    yield Frame(index, f"{index:05d}", image)
                    delivered += 1
                shortfall = decoder.shortfall  # asks the container
            container = None
            loss = self._loss(decoder)
            if loss is not None and self.live and self._is_endless:
                if time.monotonic() - opened > _STEADY_S:
                    pauses_s = iter(_PAUSES_S)
                container = self._open_again(pauses_s)
            if loss is not None and container is None:
                self._broken_off = f"{self.path} was lost after {delivered} frames: {loss}"
            elif loss is None and shortfall is not None:
                self._broken_off = f"{self.path} {shortfall[1]}"

    def _loss(self, decoder: VideoDecoder) -> str | None:
        """Say how the connection was lost; None where the stream came to its end."""
        # FFmpeg calls it an error of input when the server closes, and a loss by another name.
        closed = decoder.failure is not None and decoder.failure.errno == errno.EIO
        if decoder.failure is None or (closed and self._ends_by_closing):
            return None
        return reason_of(decoder.failure)

    def _open_again(self, pauses_s: Iterator[float]) -> InputContainer | None:
        """Ask for a lost connection until it is there; None once the tries are spent."""
        for pause_s in pauses_s:
            _logger.warning("%s is lost; it is asked for again.", self.path)
            time.sleep(pause_s)
            with suppress(UserError):
                return _open(self._address, str(self.path))
        return None

    def _skip_packet(self, reason: str) -> None:
        self._skip(f"{self.path}: a packet cannot be decoded: {reason}", quiet=self.skipped > 0)


def _open(address: str, name: str) -> InputContainer:
    scheme = _scheme(address)
    options = {}
    if scheme in _LIVE_SCHEMES:
        options["fflags"] = "nobuffer"  # what was read to find the format is old by then
    if scheme.startswith("rtsp"):
        options["rtsp_transport"] = "tcp"
    elif scheme.startswith("http"):
        # What can be asked for from where it broke off. What cannot (``reconnect_streamed``) FFmpeg
        # would ask for again also after its end, which it takes for a loss where no size is known.
        options = {"reconnect": "1", "reconnect_delay_max": "4"}
    try:
        container = open_container(address, options=options, timeout=TIMEOUT_S)
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


def _scheme(address: str) -> str:
    return urlsplit(address).scheme.lower()
