"""How text that comes from outside, such as the name of a file, is shown to people."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

_USER = re.compile(r"(?<=://)[^/?#\s]*@")
_QUERY = re.compile(r"(?<=://)([^\s?#'\"]*)[?#][^\s'\"]*")
_HIDDEN = "?..."


def printable(text: str) -> str:
    r"""Return text on one line that does nothing to a terminal and that every encoding writes.

    Control and format characters, line breaks among them, and bytes of a file's name that are not
    UTF-8 become escapes such as ``\x1b``.
    """
    return "".join(
        character
        if character.isprintable() or unicodedata.category(character) == "Zs"
        else _escape(character)
        for character in text
    )


def without_secrets(text: str) -> str:
    """Leave out of all URLs in a text what may be secret: user, password and everything after ?."""
    return _QUERY.sub(rf"\1{_HIDDEN}", _USER.sub("", text))


def source_name(source: str | Path) -> str:
    """Return how a source of frames, or another path or URL, is called wherever people read it."""
    text = str(source)
    if "://" in text:  # as a whole, since a query may hold a space
        place, *hidden = re.split(r"[?#]", text, maxsplit=1)
        text = _USER.sub("", place) + (_HIDDEN if hidden else "")
    return printable(text)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that could not be decoded, as os.fsdecode gives it
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
