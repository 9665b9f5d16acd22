"""Video streams from URLs, standard input and named pipes, read by FFmpeg."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

import av.error
from av.container import InputContainer

from core.checks import UserError
from core.io.background import await_result
from core.io.frame_source import Frame, OnError
from core.io.reading import one_line_errors
from core.io.streams.pipe import open_pipe
from core.io.streams.playlist import PLAYLIST_PARTS, HostReader
from core.io.streams.stream import StreamSource
from core.io.video.clock import FrameClock
from core.io.video.decoding import VideoDecoder
from core.io.video.opening import FORMATS, find_video, is_other_format, open_container, reason_of
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
_PROTOCOLS = (
    "http,https,httpproxy,tcp,tls,udp,rtp,srtp,rtsp,rtmp,rtmpe,rtmps,rtmpt,rtmpte,rtmpts,"
    "ffrtmphttp,ffrtmpcrypt,mmsh,mmst,srt,ftp,sftp"
)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://.+")
_logger = get_logger(__name__)


def is_url(text: str) -> bool:
    """Return whether ``text`` is an address with a protocol."""
    return _URL.fullmatch(text) is not None


class NetworkSource(StreamSource):
    """A video stream that FFmpeg reads from a URL, a named pipe or standard input (``-``).

    Streams of the protocols of cameras, and those over HTTP that announce neither duration nor
    size, are live unless ``live`` says otherwise; pipes are not: their sender waits. HTTP
    that announces no size ends when the server closes the connection; where such a connection is
    lost, by a reset or by silence, and is live, it is asked for again, a few times within seconds.
    After any other loss, or before the end that the header announces, the stream ends, and
    :attr:`broken_off` says so. A playlist stays on the host that was asked.

    Args:
        address: A URL, the path of a pipe, or ``-``.
        live: Whether the newest frame wins; None decides as above.
        on_error: What becomes of packets that cannot be decoded.
        other_hosts: Whether a playlist may lead to other hosts.

    Raises:
        UserError: If it cannot be opened, or holds no video.
    """

    def __init__(
        self,
        address: str,
        *,
        live: bool | None = None,
        on_error: OnError = "skip",
        other_hosts: bool = False,
    ) -> None:
        name = "standard input" if address == STANDARD_INPUT else source_name(address)
        self._address = address if is_url(address) else _local_address(address)
        self._other_hosts = other_hosts
        # Opened once: some senders serve a single connection, and what came by it is not repeated.
        # FFmpeg ignores Ctrl-C while it waits for the first bytes, of a pipe without limit.
        self._container = await_result(lambda: _open(self._address, name, other_hosts))
        stream = find_video(self._container, name)
        self._fps = stream.average_rate or stream.guessed_rate
        is_http = _scheme(address).startswith("http")
        is_playlist = self._container.format.name in _PLAYLISTS
        # The size of a playlist is not that of what it leads to.
        is_sized = (self._container.size or 0) > 0 and not is_playlist
        self._is_endless = is_http and self._container.duration is None and not is_sized
        self._ends_by_closing = is_http and not is_sized and not is_playlist
        if live is None:
            live = _scheme(address) in _LIVE_SCHEMES or self._is_endless
        super().__init__(name, live=live, on_error=on_error)

    @property
    def is_timed(self) -> bool:
        """Frames have times."""
        return True

    @property
    def fps(self) -> Fraction | None:
        """Average frame rate in 1/s; None when the stream does not say."""
        return self._fps

    def _decode(self) -> Generator[Frame, None, None]:
        delivered = 0
        clock = FrameClock(self._fps)
        pauses_s = iter(_PAUSES_S)
        container: InputContainer | None = self._container
        while container is not None:
            opened = time.monotonic()
            damaged = f"{self.path} cannot be read as a video; is it damaged?"
            with one_line_errors(damaged), container:
                stream = find_video(container, str(self.path))
                decoder = VideoDecoder(container, stream, self._skip_packet)
                clock.restart()
                for frame in decoder:
                    index = delivered + self.skipped
                    yield Frame(index, f"{index:05d}", frame.image, clock.time(frame.stamp))
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
        closed = isinstance(decoder.failure, OSError) and decoder.failure.errno == errno.EIO
        if decoder.failure is None or (closed and self._ends_by_closing):
            return None
        return reason_of(decoder.failure)

    def _open_again(self, pauses_s: Iterator[float]) -> InputContainer | None:
        """Ask for a lost connection until it is there; None once the tries are spent."""
        for pause_s in pauses_s:
            _logger.warning("%s is lost; it is asked for again.", self.path)
            time.sleep(pause_s)
            with suppress(UserError):
                return _open(self._address, str(self.path), self._other_hosts)
        return None

    def _skip_packet(self, reason: str) -> None:
        self._skip(f"{self.path}: a packet cannot be decoded: {reason}", quiet=self.skipped > 0)


def _local_address(path: str) -> str:
    """Return what FFmpeg calls standard input, an open pipe or a device."""
    if path == STANDARD_INPUT:
        return "pipe:0"
    return f"pipe:{open_pipe(path)}" if Path(path).is_fifo() else f"file:{path}"


def _open(address: str, name: str, other_hosts: bool) -> InputContainer:
    is_pipe = not is_url(address)
    hint = "give a URL that FFmpeg can read"
    if is_pipe:
        hint = (
            "pipe in a format that can be read from start to end, for example MPEG-TS or Matroska"
        )
    with one_line_errors(f"{name} cannot be read as a video; {hint}."):
        try:
            if is_pipe:
                container = open_container(address, address.partition(":")[0], timeout=TIMEOUT_S)
            else:
                container = _open_url(address, name, other_hosts)
        except (av.error.FFmpegError, OSError) as error:
            other = is_other_format(error)
            reason = "it is of no format that is read" if other else reason_of(error)
            raise UserError(f"{name} cannot be opened as a video: {reason}; {hint}.") from error
        try:
            find_video(container, name)
        except UserError:
            container.close()
            raise
    return container


def _open_url(address: str, name: str, other_hosts: bool) -> InputContainer:
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
    formats = f"{FORMATS},rtsp,rtp"
    try:
        return open_container(
            address, _PROTOCOLS, formats=formats, options=options, timeout=TIMEOUT_S
        )
    except av.error.FFmpegError as error:
        if not (is_other_format(error) and scheme.startswith("http")):
            raise
    # A playlist, perhaps.
    if other_hosts:
        formats = ",".join((*_PLAYLISTS, PLAYLIST_PARTS))
        protocols = f"{_PROTOCOLS},crypto,data"
        return open_container(address, protocols, formats=formats, timeout=TIMEOUT_S)
    # FFmpeg fetches the parts of DASH by itself wherever they are, those of HLS by the reader.
    reader = HostReader(address, name, TIMEOUT_S)
    return open_container(
        address,
        _PROTOCOLS,
        format="hls",
        formats=f"hls,{PLAYLIST_PARTS}",
        options={"http_persistent": "0", "http_multiple": "0"},
        io_open=reader,
        timeout=TIMEOUT_S,
    )


def _scheme(address: str) -> str:
    return urlsplit(address).scheme.lower()
