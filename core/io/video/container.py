"""Opens videos and streams through PyAV, in all its versions that are supported."""

from __future__ import annotations

from typing import Any

import av
from av.container import InputContainer

# From 19 on PyAV has no such argument, and reads tags that are not UTF-8 without an error.
_METADATA = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


def open_container(address: str, **options: Any) -> InputContainer:
    """Open what FFmpeg reads, whatever its tags hold; ``options`` are those of ``av.open``.

    Raises:
        av.error.FFmpegError: If it cannot be opened.
        OSError: If it cannot be read.
        ValueError: For an address that FFmpeg does not take.
    """
    return av.open(address, **_METADATA, **options)
