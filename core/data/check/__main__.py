"""Check a dataset: ``python -m core.data.check {davis,vos,co3d,re10k,frames} <path>``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from core.checks import UserError, cli_errors
from core.command_line import parse
from core.data.datasets import DatasetName, Split
from core.logging import configure_logging, get_logger
from core.text import printable

if TYPE_CHECKING:
    from core.data.datasets.sequence_set import SequenceSet

_logger = get_logger(__name__)


@dataclass(frozen=True)
class CheckOptions:
    """Report what a dataset holds, what is missing, and whether it can be trained on.

    The exit status is 1 if training would fail. Every file is opened; --quick opens a few.
    """

    dataset: tyro.conf.Positional[DatasetName]
    """Its layout; frames are your own clips, <clip>/JPEGImages/*.jpg."""
    path: tyro.conf.Positional[Path]
    """Its folder."""
    split: Split = "train"
    """The part for training or the one for validation."""
    quick: bool = False
    """Open the first, the middle and the last frame of at most 200 sequences."""
    num_frames: int = 6
    """Frames of a training sample: 6 in stage 2, 1 in stage 1."""
    output: Path | None = None
    """File for a picture of some samples with mask and depth as overlays (.png)."""
    samples: int = 5
    """Sequences in the picture."""
    list_all: bool = False
    """Name every file that cannot be read."""
    threads: int = 0
    """Threads that open files; 0 for one a processor, at most 16."""
    allow_pickle_depth: bool = False
    """Unpickle published depth chunks of RealEstate10K, which runs the code in them."""

    def __post_init__(self) -> None:
        for name, least in (("num_frames", 1), ("samples", 1), ("threads", 0)):
            if getattr(self, name) < least:
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least {least}.")
        if self.output is not None and self.output.suffix.lower() != ".png":
            raise UserError(f"--output {self.output}: expected the name of a .png file.")
        if self.output is not None and self.output.resolve().is_relative_to(self.path.resolve()):
            raise UserError(
                f"--output {self.output} lies in the dataset, whose files it might replace or be "
                "taken for; choose another folder."
            )


def run(options: CheckOptions) -> int:
    """Check the dataset, and return the exit status.

    Raises:
        UserError: If there is no such dataset, or the picture cannot be written.
    """
    # Here, since PyTorch takes seconds: help and wrong options are answered without it.
    from tqdm import tqdm

    from core.data.check.findings import summarize
    from core.data.check.inspection import inspect, plan_frames
    from core.data.check.picture import draw_samples
    from core.io.stills.images import write_png

    dataset = _open(options)
    coverage = dataset.coverage()
    frames = plan_frames(dataset, quick=options.quick)
    with tqdm(total=sum(map(len, frames.values())), unit="frame", desc="check") as bar:
        inspection = inspect(
            dataset, frames, threads=options.threads or None, on_progress=bar.update
        )
    findings = summarize(dataset, coverage, inspection, num_frames=options.num_frames)
    part = "" if options.dataset == "frames" else f", {options.split}"
    print(f"{options.dataset}{part}: {printable(str(dataset.root))}")
    print(findings.text(list_all=options.list_all))
    if options.output is not None:
        picture = draw_samples(dataset, samples=options.samples, num_frames=options.num_frames)
        if picture is None:
            _logger.warning("no picture is written: there is no frame that can be read.")
        else:
            write_png(options.output, picture)
            _logger.info("wrote %s.", options.output)
    return 1 if findings.failures else 0


def _open(options: CheckOptions) -> SequenceSet:
    """Open the dataset, or raise an error that names the layout of the folder."""
    from core.data.check.layout_guess import Guess, guess_layout
    from core.data.datasets import open_dataset

    try:
        dataset = open_dataset(
            options.dataset,
            options.path,
            split=options.split,
            allow_pickle_depth=options.allow_pickle_depth,
        )
        if dataset.lengths.any():
            return dataset
        problem = f"{options.path} holds no images of {options.dataset}."
        for example in dataset.coverage().missing.examples[:1]:
            problem += f" Missing is for example {example}."
    except UserError as error:
        problem = str(error)
    guess = guess_layout(options.path, options.dataset) if options.path.is_dir() else None
    if guess is not None and guess != Guess(options.dataset, options.path):
        problem += (
            f" {guess.folder} looks like {guess.layout}; try: python -m core.data.check "
            f"{guess.layout} {guess.folder}"
        )
    raise UserError(problem)


@cli_errors
def main() -> None:
    """Check from the command line."""
    options = parse(CheckOptions)
    configure_logging()
    sys.exit(run(options))


if __name__ == "__main__":
    main()
