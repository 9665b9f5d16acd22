"""Cameras of this computer."""

from __future__ import annotations

import time
from collections.abc import Generator

import cv2
import numpy as np

from core.checks import UserError
from core.io.frame_source import Frame, OnError
from core.io.streams.stream import StreamSource

_MOST_FAILURES = 30
"""Reads that may fail one after the other before a camera counts as gone."""


class WebcamSource(StreamSource):
    """Camera ``number`` as the operating system counts them, from 0; live.

    Raises:
        UserError: If there is no such camera, or another program holds it.
    """

    def __init__(self, number: int, *, on_error: OnError = "skip") -> None:
        super().__init__(f"camera {number}", live=True, on_error=on_error)
        level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            self._camera = cv2.VideoCapture(number)
        finally:
            cv2.utils.logging.setLogLevel(level)
        if not self._camera.isOpened():
            raise UserError(
                f"camera {number} cannot be opened; is there one, and is it free? "
                "Give a number from 0, or a URL."
            )

    @property
    def is_timed(self) -> bool:
        """Frames have the times at which they came."""
        return True

    def _decode(self) -> Generator[Frame, None, None]:
        delivered = failures = 0
        start: float | None = None
        try:
            while failures < _MOST_FAILURES:
                there, image = self._camera.read()
                if not there:
                    failures += 1
                    self._skip(f"{self.path}: a frame did not come", quiet=self.skipped > 0)
                    continue
                failures = 0
                index = delivered + self.skipped
                start = time.monotonic() if start is None else start
                since = time.monotonic() - start
                yield Frame(index, f"{index:05d}", np.ascontiguousarray(image[..., ::-1]), since)
                delivered += 1
            self._broken_off = f"{self.path} stopped after {delivered} frames"
        finally:
            self._camera.release()
