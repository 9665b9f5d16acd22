"""Write miniature data sets: ``python -m core.data.miniature {davis,...,all} <folder>``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from core.checks import cli_errors
from core.command_line import parse
from core.logging import configure_logging, get_logger

_logger = get_logger(__name__)


@dataclass(frozen=True)
class MiniatureOptions:
    """Write a small, valid instance of a data set's layout, made of procedural scenes.

    The same options make the same files. An older miniature in the folder is replaced; a folder
    that holds anything else is left alone.
    """

    layout: tyro.conf.Positional[Literal["davis", "vos", "co3d", "re10k", "frames", "all"]]
    """Which data set; all writes each to a folder of its name."""
    folder: tyro.conf.Positional[Path]
    """Where it goes; made if missing."""
    sequences: int = 3
    """Sequences of each split."""
    frames: int = 8
    """Frames of a sequence."""
    height: int = 72
    """Height of the images in pixels."""
    width: int = 128
    """Width of the images in pixels."""
    seed: int = 0
    """Chooses the scenes."""
    depth: bool = True
    """Write depth maps too."""


def write(options: MiniatureOptions) -> None:
    """Write what the options say.

    Raises:
        UserError: If a folder holds other files, or cannot be written to.
    """
    from tqdm import tqdm

    from core.data.miniature import LAYOUTS, count_clips, write_miniature

    roots = {options.layout: options.folder}
    if options.layout == "all":
        roots = {layout: options.folder / layout for layout in LAYOUTS}
    total = sum(count_clips(layout, options.sequences) for layout in roots)
    with tqdm(total=total, unit="sequence", desc="miniature", delay=0.5) as bar:
        for layout, root in roots.items():
            write_miniature(
                layout,
                root,
                sequences=options.sequences,
                frames=options.frames,
                image_size=(options.height, options.width),
                seed=options.seed,
                depth=options.depth,
                on_progress=bar.update,
            )
    for layout, root in roots.items():
        _logger.info("wrote %s; check it with: python -m core.data.check %s %s", root, layout, root)


@cli_errors
def main() -> None:
    """Write miniatures from the command line."""
    options = parse(MiniatureOptions)
    configure_logging()
    # Here, since PyTorch takes seconds: help and wrong options are answered without it.
    import torch

    torch.set_num_threads(1)  # the scenes are small: more threads would wait for one another
    write(options)


if __name__ == "__main__":
    main()
