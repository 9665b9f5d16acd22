"""Files in repositories of the Hugging Face hub.

Its library is imported where it is used: most runs use local files only, and it takes a while.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from core.checks import UserError

RepositoryType = Literal["model", "dataset"]
CARD = "README.md"
_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def is_repository_id(reference: str) -> bool:
    """Return whether this could be the id of a repository, owner/name."""
    return _ID.fullmatch(reference) is not None


def download(repository: str, name: str, kind: RepositoryType = "model") -> Path:
    """Return the path of a repository's file in the hub's cache, where it is put first if needed.

    Raises:
        UserError: If the hub does not give it.
    """
    from huggingface_hub import hf_hub_download

    with _quiet(), _one_line(f"{repository}: no such file or folder here, and", "give"):
        return Path(hf_hub_download(repository, name, repo_type=kind))


def upload(
    repository: str,
    files: Mapping[str, Path],
    card: str,
    kind: RepositoryType = "model",
    *,
    private: bool = False,
) -> str:
    """Put files into a repository by one commit; the repository is made if it is not there.

    Args:
        repository: Its id, owner/name.
        files: Their names in the repository, and where they are.
        card: What the repository's page says if ``files`` and repository have no README.md.
        kind: Of weights or of data.
        private: Whether a repository that is made is hidden from others.

    Returns:
        The address of the repository.

    Raises:
        UserError: If the id is none, or the hub does not take the files.
    """
    if not is_repository_id(repository):
        raise UserError(f"{repository}: expected the id of a repository like owner/name.")
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi()
    with _quiet(), _one_line(f"{repository}:", "take", "`hf auth login` gives it your rights"):
        address = api.create_repo(repository, repo_type=kind, private=private, exist_ok=True)
        operations = [CommitOperationAdd(name, str(path)) for name, path in files.items()]
        if CARD not in files and not api.file_exists(repository, CARD, repo_type=kind):
            operations.append(CommitOperationAdd(CARD, card.encode()))
        message = f"Upload {', '.join(files)}"
        api.create_commit(repository, operations, commit_message=message, repo_type=kind)
    return str(address)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the library's logger: its retries would each be a line."""
    from huggingface_hub.utils import logging as hub_logging

    verbosity = hub_logging.get_verbosity()
    hub_logging.set_verbosity_error()
    try:
        yield
    finally:
        hub_logging.set_verbosity(verbosity)


@contextmanager
def _one_line(before: str, verb: str, hint: str = "") -> Iterator[None]:
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HTTPError,  # pyright: ignore[reportPrivateImportUsage] (of the client library in use)
    )

    try:
        yield
    except (HfHubHTTPError, HTTPError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()
        raise UserError(
            f"{before} the Hugging Face hub did not {verb} it "
            f"({type(error).__name__}: {reason[0] if reason else 'no reason given'})"
            f"{'; ' if hint else ''}{hint}."
        ) from error
