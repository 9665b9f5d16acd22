"""Write depth maps beside the images of a data set; ``--help`` lists the options."""

from __future__ import annotations

if __name__ == "__main__":
    import core.early_interrupt  # noqa: F401 (before the imports that take seconds)

import sys
from dataclasses import dataclass
from pathlib import Path

from core.checks import cli_errors
from core.command_line import parse
from core.depth.options import DepthOptions
from core.logging import configure_logging


@dataclass(frozen=True, kw_only=True)
class DavisOptions(DepthOptions):
    """Write the depth map of every image below a JPEGImages folder, with Depth Anything V2.

    For other data sets too, and the same for this one:
      python -m core.depth.preprocess davis ROOT_PATH
    """

    root_path: Path
    """Root of DAVIS, YouTube-VOS or any tree that holds JPEGImages folders."""


@cli_errors
def main() -> None:
    """Run from the command line."""
    configure_logging()
    options = parse(DavisOptions)
    # Here, since PyTorch takes seconds: help and wrong options are answered without it.
    from core.depth.dataset_maps import preprocess

    sys.exit(preprocess("davis", [options.root_path], options))


if __name__ == "__main__":
    main()
