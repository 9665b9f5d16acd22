"""Folders of clips in the manner of DAVIS: which clips there are and which files belong to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.checks import UserError
from core.io.images import list_files, list_frames, natural_key

_IMAGES, _MASKS, _DEPTHS = "JPEGImages", "Annotations", "depthImages"
_DEPTH_SUFFIX = "_pred"


@dataclass(frozen=True)
class ClipFiles:
    """The files of one clip, frame by frame."""

    name: str
    """Name of the clip's folder."""
    frames: tuple[Path, ...]
    """Images, in order."""
    masks: tuple[Path | None, ...]
    """Moving-object mask of each frame (0 is background), where there is one."""
    depths: tuple[Path | None, ...]
    """Relative inverse depth of each frame, where there is one."""

    def __len__(self) -> int:
        return len(self.frames)


def find_clips(root: str | Path) -> list[ClipFiles]:
    """Find the clips ``<root>/<clip>/JPEGImages/*``, in natural order.

    ``Annotations/<stem>.png`` and ``depthImages/<stem>_pred.png`` belong to the frame of that
    stem; either folder may be missing, or hold fewer files.

    Raises:
        UserError: If ``root`` holds no clips, or one of them holds no images.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"--clips_path {root}: there is no such folder; give one that holds clips.")
    if (root / _IMAGES).is_dir():
        raise UserError(f"--clips_path {root} is one clip; give the folder that holds the clips.")
    folders = [entry for entry in root.iterdir() if (entry / _IMAGES).is_dir()]
    if not folders:
        raise UserError(
            f"--clips_path {root} holds no clips; expected {root}/<clip>/{_IMAGES}/*.jpg."
        )
    return [_find_files(folder) for folder in sorted(folders, key=natural_key)]


def _find_files(folder: Path) -> ClipFiles:
    frames = list_frames(folder / _IMAGES)
    masks, depths = _by_stem(folder / _MASKS), _by_stem(folder / _DEPTHS)
    return ClipFiles(
        name=folder.name,
        frames=tuple(frames),
        masks=tuple(masks.get(frame.stem) for frame in frames),
        depths=tuple(depths.get(frame.stem + _DEPTH_SUFFIX) for frame in frames),
    )


def _by_stem(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in list_files(folder, (".png",))} if folder.is_dir() else {}
