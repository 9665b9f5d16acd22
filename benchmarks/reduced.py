"""A training program on a network for small frames: ``reduced.py HEIGHT WIDTH PROGRAM ARGUMENTS``.

Everything else is as in the program itself, for benchmarks whose answer does not depend on the size
of the network and which would take minutes on a CPU otherwise.
"""

from __future__ import annotations

import runpy
import sys
from dataclasses import replace
from pathlib import Path

from core.models import PRESETS, MatchingConfig, ModelConfig


def reduced(config: ModelConfig, size: tuple[int, int]) -> ModelConfig:
    """Return a network of the same kind, a layer deep, for frames of another size."""
    if isinstance(config, MatchingConfig):
        return replace(config, image_height=size[0], image_width=size[1], matcher_layers=1)
    return replace(
        config,
        image_height=size[0],
        image_width=size[1],
        window=8,
        encoder_layers=1,
        decoder_layers=1,
    )


def main() -> None:
    """Run the program in place of this one."""
    size = (int(sys.argv[1]), int(sys.argv[2]))
    PRESETS.update({name: reduced(config, size) for name, config in PRESETS.items()})
    program = Path(sys.argv[3])
    sys.argv = sys.argv[3:]
    sys.path.insert(0, str(program.parent))
    runpy.run_path(str(program), run_name="__main__")


if __name__ == "__main__":
    main()
