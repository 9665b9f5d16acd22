"""Image files, in and out: 8-bit RGB arrays, whatever the file holds."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8, UInt16

from core.checks import UserError
from core.io.atomic import write_bytes
from core.io.reading import one_line_errors, read_file
from core.io.stills.headers import PNG_SIGNATURE, image_kind, image_size, is_damaged_jpeg
from core.io.stills.jpeg import decode_jpeg
from core.io.stills.png_stream import PngStream, read_png_stream
from core.io.stills.size_limit import check_size

IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
_SHOWN_FOLDERS = 3
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}

# A damaged file is reported by the error raised here; OpenCV would print a line of its own as well.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def natural_key(path: Path, *, decimals: bool = False) -> tuple[list[tuple[int, float, str]], str]:
    """Return a sort key by which ``frame2`` comes before ``frame10``.

    Args:
        path: Only its name counts.
        decimals: Whether ``69.9`` is a decimal number, and not 69 and 9.
    """
    number = r"(\d+\.\d+|\d+)" if decimals else r"(\d+)"
    parts = re.split(number, path.stem.lower() if decimals else path.name.lower())
    key = [
        (0, _number(part), "") if part[:1].isdecimal() else (1, 0, part) for part in parts if part
    ]
    return key, path.name


def sort_naturally(paths: Iterable[Path]) -> list[Path]:
    """Sort by :func:`natural_key`.

    Names like ``69.85``, ``69.9`` and ``70.0`` are taken for decimal numbers, as time stamps are;
    if one of them ends in a zero that such a number would not have, as ``1.10`` does, for counters.
    """
    paths = list(paths)
    fractions = [match[1] for path in paths if (match := re.search(r"\d\.(\d+)$", path.stem))]
    is_decimal = all(len(digits) == 1 or digits[-1] != "0" for digits in fractions)
    decimals = bool(fractions) and is_decimal
    return sorted(paths, key=lambda path: natural_key(path, decimals=decimals))


def _number(digits: str) -> float:
    return float(digits) if "." in digits else int(digits)


def list_files(folder: str | Path, extensions: tuple[str, ...]) -> list[Path]:
    """List the files of a folder that have one of ``extensions``, in natural order.

    Hidden files, such as the ``._name`` companions that macOS leaves on foreign disks, are not
    listed; upper and lower case of the extension are alike. A link to a file that is gone is
    listed: it is a file that cannot be read, not one that never was.

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
        if entry.suffix.lower() in extensions
        and not entry.name.startswith(".")
        and not os.path.isdir(entry)  # noqa: PTH112 (raises nothing where a link leads nowhere)
    ]
    return sort_naturally(found)


def list_frames(folder: str | Path) -> list[Path]:
    """List the images of a folder in natural order; there is at least one.

    Raises:
        UserError: If the folder does not exist, holds no image, or two of one name.
    """
    folder = Path(folder)
    frames = list_files(folder, IMAGE_EXTENSIONS)
    check_stems(folder, [frame.name for frame in frames])
    if not frames:
        folders = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
        hint = f" Its sub-folders: {', '.join(folders[:_SHOWN_FOLDERS])}." if folders else ""
        raise UserError(f"{folder} holds no images ({_either(IMAGE_EXTENSIONS)}).{hint}")
    return frames


def check_stems(folder: Path, names: Iterable[str]) -> None:
    """Refuse images whose names differ in their extension only: which of them is the frame?

    Raises:
        UserError: If there are two of one name; it names them.
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(Path(name).stem, name)
        if other != name:
            raise UserError(
                f"{folder} holds both {other} and {name}, which would be two frames of one moment; "
                "leave one image for each frame there, and put others, such as masks, elsewhere."
            )


def read_image(path: str | Path) -> UInt8[np.ndarray, "h w 3"]:
    """Read an image file as 8-bit RGB.

    Deeper files keep their upper 8 bits, grey becomes three equal channels, an alpha channel is
    dropped, and the orientation that a camera noted is applied.

    Raises:
        UserError: If the file cannot be read or decoded, for example because it is cut short.
    """
    return decode_image(read_file(path, "image"), path)


def decode_image(data: bytes, source: str | Path, reduction: int = 1) -> UInt8[np.ndarray, "h w 3"]:
    """Decode the content of an image file as 8-bit RGB; see :func:`read_image`.

    Args:
        data: The content.
        source: Where it comes from, for the message of an error.
        reduction: 1, 2, 4 or 8: the share of its rows and columns that is wanted.

    Raises:
        UserError: If it cannot be decoded, or has more pixels than the limit.
    """
    with one_line_errors(_damaged(data, source)):
        kind = _check(data, source)
        if kind == "jpeg":
            return decode_jpeg(data, reduction)
        if kind == "png":
            data = read_png_stream(data, source).packed()
        return cv2.cvtColor(_decode(data, _REDUCED[reduction], source), cv2.COLOR_BGR2RGB)


def decode_values(data: bytes, source: str | Path) -> np.ndarray:
    """Decode the content of an image file as it is stored: any depth, grey or BGR or BGRA.

    Raises:
        UserError: If it cannot be decoded, or has more pixels than the limit.
    """
    with one_line_errors(_damaged(data, source)):
        kind = _check(data, source)
        if kind == "jpeg":
            return decode_jpeg(data)[..., ::-1]
        if kind == "png":
            data = read_png_stream(data, source).packed()
        return _decode(data, cv2.IMREAD_UNCHANGED, source)


def open_png(data: bytes, source: str | Path) -> PngStream:
    """Inflate the rows of a PNG without decoding them.

    Raises:
        UserError: If it is damaged, or has more pixels than the limit.
    """
    with one_line_errors(_damaged(data, source)):
        return read_png_stream(data, source)


def decode_png(stream: PngStream, source: str | Path, *, as_grey: bool = False) -> np.ndarray:
    """Decode the rows of a PNG as :func:`decode_values` does.

    Args:
        stream: From :func:`open_png`.
        source: Where it comes from, for the message of an error.
        as_grey: Take the indices of a palette for grey values.
    """
    packed = stream.packed(as_grey=as_grey)
    with one_line_errors(_damaged(packed, source)):
        return _decode(packed, cv2.IMREAD_UNCHANGED, source)


def _check(data: bytes, source: str | Path) -> str:
    """Return the kind of an image that may be decoded."""
    kind, size = image_kind(data), image_size(data)
    if kind is None or size is None or (kind == "jpeg" and is_damaged_jpeg(data)):
        raise UserError(_damaged(data, source))
    check_size(*size, source)
    return kind


def _decode(data: bytes, flags: int, source: str | Path) -> np.ndarray:
    # From memory, which also serves paths that OpenCV's own file access cannot spell.
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None and flags != cv2.IMREAD_UNCHANGED:
        stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if stored is not None:
            raise UserError(
                f"{source} holds {stored.dtype} values; expected an image of 8 or 16 bits. Convert "
                "it, for example to PNG."
            )
    if pixels is None:
        raise UserError(_damaged(data, source))
    return pixels


def _damaged(data: bytes, source: str | Path) -> str:
    formats = "JPEG, PNG, WebP, BMP or TIFF"
    what = "it is empty" if not data else f"it is damaged, or not an image ({formats})"
    return f"cannot decode the image {source}: {what}; replace or remove the file."


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
            begins = file.read(len(PNG_SIGNATURE)) == PNG_SIGNATURE
            file.seek(-len(_PNG_END), os.SEEK_END)
            return begins and file.read() == _PNG_END
    except OSError:
        return False


def _either(extensions: tuple[str, ...]) -> str:
    return ", ".join(extensions)
