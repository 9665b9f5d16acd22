"""Where frames come from: a folder of images, a video, a camera or a network stream."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from core.checks import UserError
from core.io.frame_source import Frame, FrameSource, OnError
from core.io.stills.focal_length import field_of_view_of_image
from core.io.stills.images import IMAGE_EXTENSIONS, list_frames, read_image
from core.io.streams.network import STANDARD_INPUT, NetworkSource, is_url
from core.io.streams.webcam import WebcamSource
from core.io.video import VideoSource


class FolderSource(FrameSource):
    """The images of a folder in natural order of their names.

    Raises:
        UserError: If the folder does not exist or holds no image.
    """

    def __init__(self, path: str | Path, *, on_error: OnError = "skip") -> None:
        super().__init__(Path(path), on_error)
        self._files = list_frames(Path(path))

    @property
    def names(self) -> list[str]:
        """Stems of the image files."""
        return [file.stem for file in self._files]

    @property
    def field_of_view(self) -> float | None:
        """That of the first image, if its Exif tells the focal length."""
        return field_of_view_of_image(self._files[0])

    def _decode(self) -> Generator[Frame, None, None]:
        for index, file in enumerate(self._files):
            try:
                image = read_image(file)
            except UserError as error:
                self._skip(str(error))
            else:
                yield Frame(index, file.stem, image)


def open_frames(
    path: str | Path,
    *,
    on_error: OnError | None = "skip",
    live: bool | None = None,
    other_hosts: bool = False,
) -> FrameSource:
    """Open a folder of images, a video file or a stream.

    Args:
        path: A folder with image files; any video that FFmpeg decodes; the number of a camera of
            this computer; a URL; a named pipe; or ``-``, a video on standard input.
        on_error: ``"skip"`` leaves unreadable frames out, warns and counts them in ``skipped``;
            ``"raise"`` stops with a ``UserError``; None raises for folders, whose files can be
            mended, and skips in videos and streams.
        live: Whether frames that come faster than they are fetched are dropped for the newest; by
            default for cameras and live URLs. Only streams can be live.
        other_hosts: Whether a network playlist may lead to other hosts than the one in its URL.

    Raises:
        UserError: If there is nothing of that name, or it is no source of frames.
    """
    name = str(path)
    if is_url(name) and urlsplit(name).scheme.lower() == "file":
        path = name = unquote(urlsplit(name).path).replace("\0", "")  # no path has a zero byte
    if name == STANDARD_INPUT or is_url(name):
        return NetworkSource(name, live=live, on_error=on_error or "skip", other_hosts=other_hosts)
    path = Path(path)
    if on_error is None:
        on_error = "raise" if path.is_dir() else "skip"
    if name.isdecimal() and not path.exists():
        return WebcamSource(int(name), on_error=on_error)
    if not path.exists():
        raise UserError(
            f"{path} does not exist; give a folder of images, a video file, a URL, the number of "
            "a camera, or - for standard input."
        )
    if path.is_dir():
        return FolderSource(path, on_error=on_error)
    if not path.is_file():
        # A pipe or a device: it comes once, and opening it waits for a sender.
        return NetworkSource(name, live=live, on_error=on_error)
    if path.suffix.lower() in IMAGE_EXTENSIONS:
        raise UserError(f"{path} is a single image; give a folder of images or a video file.")
    return VideoSource(path, on_error=on_error)
