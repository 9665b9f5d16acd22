"""Network playlists (HLS), every part of which is fetched from the host that was asked."""

from __future__ import annotations

import base64
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO
from urllib.parse import unquote, urlsplit

from core.checks import UserError
from core.logging import get_logger

PLAYLIST_PARTS = "mpegts,mov,matroska,aac,mp3,ac3,eac3,webvtt"
"""FFmpeg's formats that the parts of a playlist may have."""
_PORTS = {"http": 80, "https": 443}
_logger = get_logger(__name__)


class HostReader:
    """Opens addresses for FFmpeg as long as they are on one host.

    Args:
        address: The URL that the user gave; its host and port are those that may be asked.
        name: What messages call it.
        timeout_s: How long to wait for an answer.
    """

    def __init__(self, address: str, name: str, timeout_s: float) -> None:
        self._host = _host(address)
        self._name = name
        self._timeout_s = timeout_s
        self._opener = urllib.request.build_opener(_Redirects(self))

    def check(self, url: str) -> None:
        """Refuse an address on another host, and what is no address of the web.

        Raises:
            UserError: If it is one.
        """
        if _host(url) != self._host:
            place = _place(url)
            raise UserError(
                f"{self._name} is a playlist that leads to "
                + (f"another host, {place}" if place else "another place than its host")
                + "; give --allow_other_hosts if you trust it."
            )

    def __call__(self, url: str, flags: int, options: Mapping[str, str]) -> Part:
        """Open a part, as ``io_open`` of ``av.open``; one that is not there is an empty one.

        Raises:
            UserError: If it is on another host.
        """
        self.check(url)
        request = urllib.request.Request(_without_user(url), headers=_headers(url, options))
        try:
            return Part(self._opener.open(request, timeout=self._timeout_s))
        except (urllib.error.URLError, HTTPException, OSError, ValueError) as error:
            _logger.warning("%s: a part of it cannot be fetched: %s.", self._name, error)
            return Part(None)


class Part:
    """What FFmpeg reads from: a file object without places to go to."""

    def __init__(self, response: HTTPResponse | None) -> None:
        self._response = response

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most ``size``; none at the end, or where the line broke."""
        try:
            return b"" if self._response is None else self._response.read1(size)
        except (HTTPException, OSError):
            return b""

    def close(self) -> None:
        """Close the connection."""
        if self._response is not None:
            self._response.close()


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows answers that name another address, on the same host."""

    def __init__(self, reader: HostReader) -> None:
        self._reader = reader

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Check the address first; see the base class."""
        self._reader.check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _place(url: str) -> str | None:
    """Return the name of the host in an address; None if it has none."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _host(url: str) -> tuple[str, int] | None:
    """Return host and port of an address of the web; None for others."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme.lower())
    except ValueError:
        return None
    if parts.scheme.lower() not in _PORTS or parts.hostname is None or port is None:
        return None
    return parts.hostname.lower(), 0 if port in _PORTS.values() else port


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _headers(url: str, options: Mapping[str, str]) -> dict[str, str]:
    headers = {"User-Agent": "Lavf"}
    user = urlsplit(url).netloc.rpartition("@")[0]
    if user:
        secret = base64.b64encode(unquote(user).encode()).decode()
        headers["Authorization"] = f"Basic {secret}"
    if "offset" in options:
        last = int(options["end_offset"]) - 1 if "end_offset" in options else ""
        headers["Range"] = f"bytes={options['offset']}-{last}"
    return headers
