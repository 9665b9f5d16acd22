"""Stage 2: train the decoder, which finds out what happens between two frames.

python train_decoder.py synthetic --preset tiny --workspace DIR --encoder_path STATIC_WEIGHTS
accelerate launch --config_file acc_configs/gpu8.yaml train_decoder.py combined ...
"""

from __future__ import annotations

if __name__ == "__main__":
    import core.early_interrupt
    import core.early_launcher  # noqa: F401 (both before the imports that take seconds)

import sys

import tyro

from configs.options_decoder import Options
from core.checks import cli_errors
from core.logging import configure_logging
from core.models.config import PRESETS
from core.training import DynamicStage, train


@cli_errors
def main() -> None:
    """Parse, build, run."""
    configure_logging()
    options = tyro.cli(
        Options,  # type: ignore[arg-type]
        description=__doc__,
        use_underscores=True,
    )
    stage = DynamicStage(PRESETS[options.model.preset], options.model)
    sys.exit(train(stage, options.data, options.run, options.optimizer).exit_status)


if __name__ == "__main__":
    main()
