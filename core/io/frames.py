"""Frames from wherever the user keeps them."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from core.checks import UserError
from core.io.frame_source import Frame, FrameSource, OnError
from core.io.images import IMAGE_EXTENSIONS, list_frames, read_image
from core.io.video_source import VideoSource


class FolderSource(FrameSource):
    """The images of a folder in natural order of their names.

    Raises:
        UserError: If the folder does not exist or holds no image.
    """

    def __init__(self, path: str | Path, *, on_error: OnError = "skip") -> None:
        super().__init__(Path(path), on_error)
        self._files = list_frames(self.path)

    @property
    def names(self) -> list[str]:
        """Stems of the image files."""
        return [file.stem for file in self._files]

    def _decode(self) -> Generator[Frame, None, None]:
        for index, file in enumerate(self._files):
            try:
                image = read_image(file)
            except UserError as error:
                self._skip(str(error))
            else:
                yield Frame(index, file.stem, image)


def open_frames(path: str | Path, *, on_error: OnError = "skip") -> FrameSource:
    """Open a folder of images or a video file.

    Args:
        path: A folder with image files, or any video that FFmpeg decodes.
        on_error: ``"skip"`` leaves unreadable frames out, warns and counts them in ``skipped``;
            ``"raise"`` stops with a ``UserError``.

    Raises:
        UserError: If the path does not exist, the folder holds no image, or the file is no video.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path} does not exist; give a folder of images or a video file.")
    if path.is_dir():
        return FolderSource(path, on_error=on_error)
    if path.suffix.lower() in IMAGE_EXTENSIONS:
        raise UserError(f"{path} is a single image; give a folder of images or a video file.")
    return VideoSource(path, on_error=on_error)
