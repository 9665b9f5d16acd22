"""Image files, in and out: 8-bit RGB arrays, whatever the file holds."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8, UInt16

from core.checks import UserError
from core.io.atomic import write_bytes

IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
_SHOWN_FOLDERS = 3

# A damaged file is reported by the error raised here; OpenCV would print a line of its own as well.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
# Every marker that begins a segment or ends the file, not those that occur within compressed data.
_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_JPEG_RESERVED = range(0x02, 0xC0)
_JPEG_END = b"\xff\xd9"
_PNG_BEGIN, _PNG_END = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82"


def natural_key(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Return a sort key by which ``frame2`` comes before ``frame10``."""
    parts = re.split(r"(\d+)", path.name.lower())
    key = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]
    return key, path.name


def list_files(folder: str | Path, extensions: tuple[str, ...]) -> list[Path]:
    """List the files of a folder that have one of ``extensions``, in natural order.

    Hidden files, such as the ``._name`` companions that macOS leaves on foreign disks, are not
    listed; upper and lower case of the extension are alike.

    Raises:
        UserError: If the folder does not exist or may not be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise UserError(f"{folder} {what}; give a folder of {_either(extensions)} files.")
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise UserError(f"cannot read the folder {folder}: {error.strerror or error}.") from error
    found = [
        entry
        for entry in entries
        if entry.suffix.lower() in extensions and not entry.name.startswith(".") and entry.is_file()
    ]
    return sorted(found, key=natural_key)


def list_frames(folder: str | Path) -> list[Path]:
    """List the images of a folder in natural order; there is at least one.

    Raises:
        UserError: If the folder does not exist or holds no image.
    """
    folder = Path(folder)
    frames = list_files(folder, IMAGE_EXTENSIONS)
    if not frames:
        folders = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
        hint = f" Its sub-folders: {', '.join(folders[:_SHOWN_FOLDERS])}." if folders else ""
        raise UserError(f"{folder} holds no images ({_either(IMAGE_EXTENSIONS)}).{hint}")
    return frames


def read_image(path: str | Path) -> UInt8[np.ndarray, "h w 3"]:
    """Read an image file as 8-bit RGB.

    Deeper files keep their upper 8 bits, grey becomes three equal channels, an alpha channel is
    dropped, and the orientation that a camera noted is applied.

    Raises:
        UserError: If the file cannot be read or decoded, for example because it is cut short.
    """
    pixels = decode_image(path, cv2.IMREAD_COLOR)
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def decode_image(path: str | Path, flags: int) -> np.ndarray:
    """Read and decode a file with OpenCV's ``flags``; channels, where there are three, are BGR.

    Raises:
        UserError: If the file cannot be read or decoded.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the image {path}: {error.strerror or error}.") from error
    return decode_bytes(data, flags, path)


def decode_bytes(data: bytes, flags: int, source: str | Path) -> np.ndarray:
    """Decode the content of an image file; see :func:`decode_image`.

    Args:
        data: The content.
        flags: OpenCV's, which choose bit depth, channels and reduction.
        source: Where it comes from, for the message of an error.

    Raises:
        UserError: If it cannot be decoded.
    """
    pixels = None
    if data and not _is_damaged_jpeg(data) and not _is_cut_png(data):
        # Decoding from memory also serves paths that OpenCV's own file access cannot spell.
        with suppress(cv2.error):
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None:
        what = "it is empty" if not data else "it is damaged, or not an image"
        raise UserError(f"cannot decode the image {source}: {what}; replace or remove the file.")
    return pixels


def write_png(
    path: str | Path,
    image: UInt8[np.ndarray, "h w 3"] | UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"],
) -> None:
    """Write RGB or grey as a PNG of the array's bit depth; the file appears whole or not at all.

    Raises:
        ValueError: If the array is neither uint8 nor uint16, or neither grey nor RGB.
        UserError: If the file cannot be written.
    """
    rgb = image.ndim == 3 and image.shape[2] == 3
    if image.dtype not in (np.uint8, np.uint16) or not (rgb or image.ndim == 2):
        raise ValueError(
            f"write_png: got {image.dtype} of shape {image.shape}; expected uint8 or uint16 of "
            "shape (h, w) or (h, w, 3)."
        )
    ok, encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if rgb else image)
    if not ok:
        raise ValueError(f"write_png: an image of shape {image.shape} cannot be encoded as PNG.")
    write_bytes(path, encoded.tobytes())


def is_whole_png(path: str | Path) -> bool:
    """Whether a file begins and ends as a PNG does; the rest is not checked."""
    try:
        with Path(path).open("rb") as file:
            begins = file.read(len(_PNG_BEGIN)) == _PNG_BEGIN
            file.seek(-len(_PNG_END), os.SEEK_END)
            return begins and file.read() == _PNG_END
    except OSError:
        return False


def _is_cut_png(data: bytes) -> bool:
    """Whether a PNG lacks its end, of which libpng would warn on standard error as well."""
    return data.startswith(_PNG_BEGIN) and _PNG_END not in data


def _is_damaged_jpeg(data: bytes) -> bool:
    """Whether a JPEG ends before its end marker, or has markers that no JPEG has.

    Decoders fill what is missing with grey, and what is overwritten with noise.
    """
    if not data.startswith(b"\xff\xd8"):
        return False
    at = 2
    while marker := _JPEG_MARKER.search(data, at):
        at = marker.end()
        if marker[0] == _JPEG_END:
            return False
        if marker[0][1] in _JPEG_RESERVED:
            return True
        at += int.from_bytes(data[at : at + 2], "big")
    return True


def _either(extensions: tuple[str, ...]) -> str:
    return ", ".join(extensions)
