"""Scene files in dataset repositories of the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from core.checks import UserError
from core.io.hub import download, is_repository_id, upload
from core.scene_file.reader import open_scene

SCENE_NAME = "scene.ssplat"
"""Name of the scene file in a result's folder and in a repository."""


def find_scene(reference: str | Path) -> Path:
    """Return the path of a scene file.

    Args:
        reference: The file; a folder that holds scene.ssplat; the id of a dataset repository on the
            hub that does, owner/name; or owner/name/file.ssplat for another file of it.

    Raises:
        UserError: If there is none.
    """
    path = Path(reference)
    if path.is_file():
        return path
    if path.is_dir():
        if not (path / SCENE_NAME).is_file():
            raise UserError(
                f"{path} holds no {SCENE_NAME}; name a folder that splat_inference.py wrote, or a "
                "scene file."
            )
        return path / SCENE_NAME
    parts = str(reference).split("/")
    repository, name = "/".join(parts[:2]), "/".join(parts[2:]) or SCENE_NAME
    is_file = len(parts) == 2 and parts[1].endswith(Path(SCENE_NAME).suffix)
    if not is_repository_id(repository) or is_file:
        raise UserError(
            f"{reference}: no such file or folder; expected a scene file, a folder that holds "
            f"{SCENE_NAME}, or a hub id like owner/name."
        )
    return download(repository, name, "dataset")


def push_scene(path: str | Path, repository: str, *, private: bool = False) -> str:
    """Put a scene file into a dataset repository, from where :func:`find_scene` takes it.

    Args:
        path: The file, which keeps its name.
        repository: Its id, owner/name; it is made if it is not there.
        private: Whether a repository that is made is hidden from others.

    Returns:
        The address of the repository.

    Raises:
        UserError: If it is no complete scene file, or the hub does not take it.
    """
    path = Path(path)
    with open_scene(path) as reader:
        if not reader.is_complete:
            raise UserError(f"{path} is not complete; wait until it is, or run its program again.")
    name = path.name
    reference = repository if name == SCENE_NAME else f"{repository}/{name}"
    card = f"""\
---
tags:
- 3d-gaussian-splatting
- streamsplat
---

# {repository.split("/")[-1]}

A dynamic scene of StreamSplat. `python render.py {reference}` renders it,
`python export.py {reference} --format sog` writes it for other programs.
"""
    return upload(repository, {name: path}, card, "dataset", private=private)
