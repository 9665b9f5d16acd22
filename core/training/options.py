"""How a run is conducted: how long, how large, where to, and what is told on the way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.checks import UserError


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The run."""

    workspace: Path
    """Folder that receives weights (config.json, model.safetensors), checkpoint_latest/, log.jsonl
    and samples/."""
    steps: int = 100_000
    """Optimiser steps of the whole run, over which the learning rate falls."""
    batch_size: int = 8
    """Samples a step and process."""
    seed: int = 0
    """Chooses initial weights, order and content of the samples, and all noise of training."""
    mixed_precision: Literal["no", "bf16"] = "bf16"
    """Precision of the networks' matrix products; heads, rendering and losses stay in float32."""
    resume: bool = False
    """Go on from checkpoint_latest/ in the workspace; without one, start from the beginning."""
    max_minutes: float | None = None
    """Stop cleanly after this many minutes, with everything saved; --resume goes on."""
    save_every: int = 1000
    """Steps between two checkpoints; the last step is always saved."""
    log_every: int = 50
    """Steps between two lines of log.jsonl."""
    eval_every: int = 1000
    """Steps between two validations, each with a picture in samples/; 0 leaves them out."""
    eval_samples: int = 8
    """Samples a validation set."""
    eval_clips_path: Path | None = None
    """Folder of clips for validation, beside the held-back procedural scenes."""
    tracker: Literal["none", "wandb", "tensorboard"] = "none"
    """Where metrics go besides log.jsonl."""

    def __post_init__(self) -> None:
        at_least_one = ("steps", "batch_size", "save_every", "log_every", "eval_samples")
        for name in at_least_one:
            if getattr(self, name) < 1:
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least 1.")
        for name in ("seed", "eval_every"):
            if getattr(self, name) < 0:
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least 0.")
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise UserError(f"--max_minutes is {self.max_minutes}; expected more than 0.")
        if self.workspace.exists() and not self.workspace.is_dir():
            raise UserError(f"--workspace {self.workspace} is a file; expected a folder.")
