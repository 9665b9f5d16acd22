"""Who may see what the server shows."""

from __future__ import annotations

import hmac
import ipaddress
import re
from dataclasses import dataclass
from http import HTTPStatus

PAGE, SOCKET = "", "live"
"""What there is behind the address of the server: the page, and where its records come from."""


@dataclass(frozen=True)
class Request:
    """What a browser asks for."""

    path: str
    """With what follows a question mark."""
    host: str | None
    """The server's name and port, as the browser knows them."""
    origin: str | None
    """Address of the site whose page asks; browsers send it with every WebSocket."""


@dataclass(frozen=True)
class Access:
    """The rules of one server."""

    token: str | None
    """What the address must hold; None for a server that only this computer reaches."""

    @property
    def root(self) -> str:
        """The path of the page."""
        return "/" if self.token is None else f"/{self.token}/"

    def check(self, request: Request) -> tuple[HTTPStatus, str]:
        """Return whether a request is granted, and what it asks for: ``PAGE`` or ``SOCKET``.

        Refused is what lacks the token; on a server without one, what knows it by another name than
        that of this computer, as a page does whose name was pointed to it meanwhile (DNS
        rebinding); and a WebSocket of a page that is not the server's.
        """
        path = request.path.partition("?")[0]
        name = path[1:]
        if self.token is not None:
            given, _, name = name.partition("/")
            if not hmac.compare_digest(given.encode(), self.token.encode()):
                return HTTPStatus.FORBIDDEN, PAGE
        elif not is_this_computer(_without_port(request.host or "")):
            return HTTPStatus.FORBIDDEN, PAGE
        own = (f"http://{request.host}", f"https://{request.host}")
        if name == SOCKET and request.origin not in own:
            return HTTPStatus.FORBIDDEN, SOCKET
        return (HTTPStatus.OK if name in (PAGE, SOCKET) else HTTPStatus.NOT_FOUND), name


def is_this_computer(host: str) -> bool:
    """Return whether a name or an IP address always stands for the computer that uses it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _without_port(host: str) -> str:
    """Return the name or IP address of a Host header."""
    match = re.fullmatch(r"\[(.*)\](:\d*)?|([^:]*)(:\d*)?", host)
    return "" if match is None else match[1] or match[3] or ""
