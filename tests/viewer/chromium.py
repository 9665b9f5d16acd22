"""A headless Chromium, driven over its DevTools pipe."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty, Queue
from types import TracebackType
from typing import Any

EXECUTABLE = shutil.which("chromium") or shutil.which("google-chrome")
# Chromium reads the pipe at descriptor 3 and writes it at 4.
_AT_3_AND_4 = """
import fcntl, os, sys
pipes = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
for place, pipe in enumerate(pipes, 3):
    os.dup2(pipe, place)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Chromium:
    """One page of a fresh profile, as a context manager.

    Args:
        profile: An empty folder.
        size: Width and height of the page, CSS pixels.
        dark: Whether the person likes dark pages.
        mobile: Whether it is a telephone.
        patience: Seconds within which it answers; a busy machine needs more.
    """

    def __init__(
        self,
        profile: Path,
        size: tuple[int, int] = (420, 600),
        *,
        dark: bool = False,
        mobile: bool = False,
        patience: float = 120,
    ) -> None:
        assert EXECUTABLE is not None
        self._patience = patience
        self.errors: list[str] = []
        self._answers: Queue[dict[str, Any]] = Queue()
        self._number = 0
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        arguments = [
            *(EXECUTABLE, "--headless=new", "--no-sandbox", "--remote-debugging-pipe"),
            *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-first-run"),
            *("--force-color-profile=srgb", "--hide-scrollbars", f"--user-data-dir={profile}"),
            *("--disable-dev-shm-usage", "--disable-background-networking", "about:blank"),
        ]
        descriptors = [str(theirs_in), str(theirs_out)]
        command = [sys.executable, "-c", _AT_3_AND_4, *descriptors, *arguments]
        self._process = subprocess.Popen(
            command,
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._out = os.fdopen(ours_out, "wb", buffering=0)
        self._in = os.fdopen(ours_in, "rb")
        threading.Thread(target=self._listen, daemon=True).start()
        self._session: str | None = None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        width, height = size
        self.call(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    @property
    def pid(self) -> int:
        """Of the browser, whose other processes are its children."""
        return self._process.pid

    def __enter__(self) -> Chromium:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._out.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._in.close()

    def _listen(self) -> None:
        pending = b""
        try:
            while chunk := self._in.read1(1 << 20):  # pyright: ignore (a BufferedReader)
                *messages, pending = (pending + chunk).split(b"\0")
                for message in map(json.loads, messages):
                    self._take(message)
        except ValueError:
            return  # closed

    def _take(self, message: dict[str, Any]) -> None:
        method, details = message.get("method"), message.get("params", {})
        if "id" in message:
            self._answers.put(message)
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(details["exceptionDetails"]))
        elif (method == "Log.entryAdded" and details["entry"]["level"] == "error") or (
            method == "Runtime.consoleAPICalled" and details["type"] in ("error", "warning")
        ):
            self.errors.append(json.dumps(details))

    def call(self, method: str, **values: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": values}
        if self._session is not None:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        while True:
            try:
                answer = self._answers.get(timeout=self._patience)
            except Empty:
                raise TimeoutError(f"{method} takes more than {self._patience:g} s") from None
            if answer["id"] == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page; promises are awaited."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Wait until an expression in the page is true."""
        self.run(
            f"new Promise((done, fail) => {{ const end = Date.now() +"
            f" {1000 * self._patience - 2000}; const look = () => {{ if ({condition}) done(true);"
            " else if (Date.now() > end) fail(new Error(document.body.innerText));"
            " else setTimeout(look, 5); }; look(); })"
        )

    def picture(self, selector: str | None = None) -> bytes:
        """Return what is seen of an element, or of all, as a PNG."""
        values: dict[str, Any] = {}
        if selector is not None:
            box = self.run(
                f"(b => ({{x: b.x, y: b.y, width: b.width, height: b.height}}))"
                f"(document.querySelector('{selector}').getBoundingClientRect())"
            )
            values["clip"] = {**box, "scale": 1}
        return base64.b64decode(self.call("Page.captureScreenshot", format="png", **values)["data"])
