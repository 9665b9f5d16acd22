"""Write depth maps beside the images of a data set; ``--help`` lists the options."""

from __future__ import annotations

if __name__ == "__main__":
    import core.early_interrupt  # noqa: F401 (before the imports that take seconds)

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from core.checks import cli_errors
from core.depth.preprocess import DepthOptions, preprocess
from core.logging import configure_logging


@dataclass(frozen=True, kw_only=True)
class DavisOptions(DepthOptions):
    """Write the depth map of every image below a JPEGImages folder, with Depth Anything V2.

    The same as ``python -m core.depth.preprocess davis ROOT_PATH``, which also knows other data
    sets.
    """

    root_path: Path
    """Root of DAVIS, YouTube-VOS or any tree that holds JPEGImages folders."""


@cli_errors
def main() -> None:
    """Run from the command line."""
    configure_logging()
    options = tyro.cli(DavisOptions, use_underscores=True)
    sys.exit(preprocess("davis", [options.root_path], options))


if __name__ == "__main__":
    main()
