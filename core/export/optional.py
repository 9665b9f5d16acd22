"""Packages that only some formats need."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from core.checks import UserError


def require(package: str, extra: str) -> Any:
    """Import a package that is not installed with the project.

    Args:
        package: Its name for ``import``.
        extra: The extra of the project that installs it.

    Raises:
        UserError: If it is missing, with the command that installs it.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise UserError(
            f"this format needs the package {package} ({error}); install it with: "
            f'pip install "streamsplat[{extra}]", or -e ".[{extra}]" in the project\'s folder.'
        ) from error
