"""Options of a run: its length, size and place, what it saves and reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from core.checks import UserError


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What a run reports on the way."""

    log_every: int = 50
    """Steps between two lines of log.jsonl, and of the tracker."""
    picture_every: int = 1000
    """Steps between two sheets of pictures in samples/, and in the tracker; 0 leaves them out."""
    eval_every: int | None = None
    """Steps between two validations; every epoch by default, 0 leaves them out."""
    eval_samples: int = 8
    """Samples a validation set."""
    eval_clips_path: Path | None = None
    """Folder of clips for validation, beside the held-back procedural scenes."""
    tracker: Literal["none", "wandb", "tensorboard"] = "none"
    """Where metrics and pictures go besides the workspace."""
    wandb_mode: Literal["online", "offline", "disabled"] = "online"
    """Whether wandb sends what is logged, keeps it in the workspace until `wandb sync`, or does
    nothing."""
    project: str = "streamsplat"
    """Project of the tracker that the run belongs to."""
    run_name: str | None = None
    """Name of the run within the project; by default that of the workspace's folder."""

    def __post_init__(self) -> None:
        for name in ("log_every", "eval_samples"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least 1.")
        if self.picture_every < 0:
            raise UserError(f"--picture_every is {self.picture_every}; expected at least 0.")
        if self.eval_every is not None and self.eval_every < 0:
            raise UserError(f"--eval_every is {self.eval_every}; expected at least 0.")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The run. The same command resumes what its workspace holds."""

    workspace: Path
    """Folder that receives weights (config.json, model.safetensors), checkpoint_latest/, log.jsonl
    and samples/. A run that was stopped resumes from there. Processes on several machines need it
    on a file system that they share."""
    epochs: int = 250
    """Passes over the training data, over which the learning rate falls."""
    steps_per_epoch: int | None = None
    """Steps that count as an epoch; by default one pass over the data, 1000 where all samples are
    procedural."""
    steps: int | None = None
    """Steps of the whole run, instead of --epochs."""
    batch_size: int = 32
    """Samples a step and process."""
    seed: int = 0
    """Chooses initial weights, order and content of the samples, and all noise of training."""
    mixed_precision: Literal["no", "bf16"] = "bf16"
    """Precision of the networks' matrix products; heads, rendering and losses stay in float32."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Compile the transformer blocks and the perceptual loss with torch.compile; auto does on CUDA
    devices of a machine with a C compiler, which torch.compile needs."""
    max_minutes: float | None = None
    """Stop cleanly after this many minutes, with everything saved."""
    max_skipped_steps: int = 10
    """Steps in a row whose loss or gradients are not finite, after which the run ends; single ones
    are skipped and counted."""
    save_every_epochs: int = 10
    """Epochs between two checkpoints; the last step is always saved."""
    save_every_minutes: float = 30.0
    """Minutes after which a checkpoint is written in any case."""
    resume_with_changes: bool = False
    """Resume although options differ from those of the run that wrote the checkpoint."""
    report: ReportOptions = field(default_factory=ReportOptions)
    """What is reported on the way."""

    @property
    def half_precision(self) -> bool:
        """Whether matrix products take bfloat16 rather than float32."""
        return self.mixed_precision == "bf16"

    def __post_init__(self) -> None:
        at_least_one = ("epochs", "batch_size", "max_skipped_steps", "save_every_epochs")
        given = [name for name in ("steps", "steps_per_epoch") if getattr(self, name) is not None]
        for name in (*at_least_one, *given):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least 1.")
        if not 0 <= self.seed < 2**63:
            raise UserError(f"--seed is {self.seed}; expected a number from 0 to 2**63 - 1.")
        for name in ("max_minutes", "save_every_minutes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UserError(f"--{name} is {value}; expected more than 0.")
        if self.workspace.exists() and not self.workspace.is_dir():
            raise UserError(f"--workspace {self.workspace} is a file; expected a folder.")


@dataclass(frozen=True, kw_only=True)
class DynamicRunOptions(RunOptions):
    """The run of stage 2, shorter and of larger samples."""

    epochs: int = 200
    """Passes over the training data, over which the learning rate falls."""
    batch_size: int = 16
    """Samples a step and process."""
