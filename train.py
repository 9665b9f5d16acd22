"""Stage 1: train the static network, which turns one frame into Gaussians.

python train.py procedural --workspace outputs/static --preset tiny
accelerate launch --config_file acc_configs/gpu8.yaml train.py frames --clips_path ...
"""

from __future__ import annotations

import tyro

from configs.options import Options
from core.checks import cli_errors
from core.logging import configure_logging
from core.models.config import PRESETS
from core.training import StaticStage, train


@cli_errors
def main() -> None:
    """Parse, build, run."""
    configure_logging()
    options = tyro.cli(
        Options,  # type: ignore[arg-type]
        description=__doc__,
        use_underscores=True,
        config=(tyro.conf.OmitArgPrefixes,),
    )
    stage = StaticStage(PRESETS[options.model.preset], options.model)
    train(stage, options.data, options.run, options.optimizer)


if __name__ == "__main__":
    main()
