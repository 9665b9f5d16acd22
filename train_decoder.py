"""Stage 2: train the decoder, which finds out what happens between two frames.

For example:
  python train_decoder.py synthetic --preset tiny --workspace DIR --encoder_path STATIC_WEIGHTS
  accelerate launch --config_file acc_configs/gpu8.yaml train_decoder.py combined ...
"""

from __future__ import annotations

if __name__ == "__main__":
    import core.early_interrupt
    import core.early_launcher  # noqa: F401 (both before the imports that take seconds)

import sys

from configs.options_decoder import PATHS, Options
from core.checks import cli_errors
from core.command_line import parse
from core.logging import configure_logging


@cli_errors
def main() -> None:
    """Parse, build, run."""
    configure_logging()
    options = parse(Options, description=__doc__)
    # Here, since PyTorch takes seconds: help and wrong options are answered without it.
    from core.models.config import PRESETS
    from core.training import DynamicStage, train

    stage = DynamicStage(PRESETS[options.model.preset], options.model)
    data = options.data.locate(PATHS)
    sys.exit(train(stage, data, options.run, options.optimizer).exit_status)


if __name__ == "__main__":
    main()
