"""Shows a scene to the browsers that ask for it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import aclosing
from http import HTTPStatus
from types import TracebackType
from typing import TypeVar

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

from core.checks import UserError
from core.logging import get_logger
from core.viewer.access import PAGE, Access, Request, is_this_computer
from core.viewer.feed import Feed
from core.viewer.html import served_player

_logger = get_logger(__name__)
_OPEN_TIMEOUT_S = 2
"""How long to wait for a request. Browsers open connections ahead, which the end waits for."""
_CLOSE_TIMEOUT_S = 0.5
T = TypeVar("T")


class ViewerServer:
    """Serve the player and a feed for it, in a thread of its own, as a context manager.

    There are two addresses, the page and its WebSocket; files are not served. Viewers come and go;
    each asks for its next message when it has shown the last one, so that none holds up another or
    whoever feeds them.

    Args:
        feed: What viewers see.
        host: Name or IP address to listen at. Unless it is this computer's own (loopback), the
            address holds a random token, without which everything is refused.
        port: Where to listen; 0 takes any that is free.
    """

    def __init__(self, feed: Feed, host: str, port: int) -> None:
        token = None if is_this_computer(host) else secrets.token_urlsafe(16)
        self._access = Access(token)
        self._feed = feed
        self._host, self._port = host, port
        self._greeting = json.dumps({**feed.greeting, "session": secrets.token_hex(8)})
        self._page = served_player()
        self._joined = threading.Event()
        self._num_viewers = 0
        self._listening: Future[tuple[asyncio.AbstractEventLoop, int]] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="viewer", daemon=True)

    def __enter__(self) -> ViewerServer:
        """Listen.

        Raises:
            UserError: If that is not possible.
        """
        self._thread.start()
        try:
            self._loop, self._port = self._listening.result()
        except (OSError, UnicodeError) as error:
            raise UserError(
                f"cannot listen at port {self._port} of {self._host}: {_reason(error)}; choose "
                "another --host or --port, of which 0 is any that is free."
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def address(self) -> str:
        """What to open in a browser."""
        is_any = self._host in ("0.0.0.0", "::", "")
        name = socket.gethostname() if is_any else self._host
        return f"http://{f'[{name}]' if ':' in name else name}:{self._port}{self._access.root}"

    @property
    def num_viewers(self) -> int:
        """How many browsers look."""
        return self._num_viewers

    def wait_for_viewer(self) -> None:
        """Wait until the first one looks."""
        self._joined.wait()

    def call(self, function: Callable[[T], None], argument: T) -> None:
        """Call a function of the feed from another thread than the server's, soon."""
        self._loop.call_soon_threadsafe(function, argument)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        quiet = logging.getLogger("streamsplat.websockets")
        quiet.setLevel(logging.CRITICAL)  # a viewer that leaves, or speaks no HTTP, is no error
        try:
            server = await serve(
                self._show,
                self._host,
                self._port,
                process_request=self._respond,
                compression=None,  # images are compressed
                max_size=1 << 10,
                open_timeout=_OPEN_TIMEOUT_S,
                close_timeout=_CLOSE_TIMEOUT_S,
                server_header=None,
                logger=quiet,
            )
        except Exception as error:
            self._listening.set_exception(error)
            return
        async with server:
            port = next(iter(server.sockets)).getsockname()[1]
            self._listening.set_result((asyncio.get_running_loop(), port))
            await self._stop.wait()

    def _respond(self, connection: ServerConnection, request: HttpRequest) -> Response | None:
        """Answer what is no WebSocket; None lets one be opened."""
        hosts = request.headers.get_all("Host")
        asked = Request(
            request.path, hosts[0] if len(hosts) == 1 else None, request.headers.get("Origin")
        )
        status, name = self._access.check(asked)
        if status != HTTPStatus.OK:
            return connection.respond(status, f"{status.phrase}\n")
        if name != PAGE:
            return None
        headers = Headers(
            {
                "Content-Type": "text/html; charset=utf-8",
                "Content-Length": str(len(self._page)),
                "Cache-Control": "no-store",
                "Connection": "close",
            }
        )
        return Response(status.value, status.phrase, headers, self._page)

    async def _show(self, connection: ServerConnection) -> None:
        """Send the feed to a viewer until it leaves."""
        self._num_viewers += 1
        self._joined.set()
        tasks = [
            asyncio.create_task(self._send(connection)),
            asyncio.create_task(connection.wait_closed()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._num_viewers -= 1
            for task in tasks:
                task.cancel()

    async def _send(self, connection: ServerConnection) -> None:
        try:
            await connection.send(self._greeting)
            async with aclosing(self._feed.follow()) as messages:
                while True:
                    await connection.recv()  # the viewer asks for the next message
                    facts, records = await anext(messages)
                    await connection.send(json.dumps(facts))
                    if records:
                        await connection.send(records)
        except (ConnectionClosed, StopAsyncIteration):
            pass
        except Exception:
            _logger.exception("a viewer cannot be served")


def _reason(error: OSError | UnicodeError) -> str:
    """Say in words why there is no listening; asyncio's own text repeats the address."""
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return str(getattr(error, "strerror", error))  # of names that are unknown, or none
