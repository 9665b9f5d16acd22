"""Write depth maps for whole data sets: ``python -m core.depth.preprocess LAYOUT PATH...``."""

from __future__ import annotations

import sys

from core.checks import cli_errors
from core.command_line import parse
from core.depth.options import PreprocessOptions
from core.logging import configure_logging


@cli_errors
def main() -> None:
    """Run from the command line."""
    configure_logging()
    options = parse(PreprocessOptions, prog="python -m core.depth.preprocess")
    # Here, since PyTorch takes seconds: help and wrong options are answered without it.
    from core.depth.dataset_maps import preprocess

    sys.exit(preprocess(options.layout, options.paths, options))


if __name__ == "__main__":
    main()
