"""Write depth maps beside the images of a data set; ``--help`` lists the options."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import tyro
from tqdm import tqdm

from core.checks import UserError, cli_errors
from core.depth import Encoder, find_depth_weights, how_to_get_weights, load_depth_anything
from core.depth.preprocess import davis_jobs, write_depths
from core.devices import choose_device
from core.logging import configure_logging, get_logger

_logger = get_logger(__name__)


@dataclass(frozen=True)
class PreprocessOptions:
    """Write the depth map of every image below a JPEGImages folder, with Depth Anything V2.

    The map of JPEGImages/.../00000.jpg is depthImages/.../00000_pred.png: relative inverse depth
    (large is near), normalised to [0, 1] by itself, 16 bits. A run that was broken off goes on
    where it stopped.
    """

    root_path: Path
    """Root of DAVIS, YouTube-VOS or any tree that holds JPEGImages folders."""
    encoder: Encoder = "vits"
    """Size of the network. vits is Apache-2.0; the larger ones are CC-BY-NC-4.0."""
    checkpoint: Path = Path("checkpoints")
    """Folder with depth_anything_v2_<encoder>.pth, or a weight file, which then tells the size."""
    device: str = "auto"
    """auto (CUDA if there is one), cpu, cuda or cuda:N."""
    batch_size: int = 4
    """Images of one size that are estimated together."""
    overwrite: bool = False
    """Write maps anew that are there already."""
    autocast: bool = False
    """Run the transformer in float16: faster, CUDA only."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UserError(f"--batch_size is {self.batch_size}; expected at least 1")


def run(options: PreprocessOptions) -> int:
    """Do it, and return the exit status: 1 if an image could not be read."""
    jobs = davis_jobs(options.root_path)
    device = choose_device(options.device)
    if options.autocast and device.type != "cuda":
        raise UserError(f"--autocast needs a CUDA device; this is {device}.")
    weights = options.checkpoint
    if not weights.is_file():
        found = find_depth_weights(weights, options.encoder)
        if found is None:
            raise UserError(
                f"no weights in {weights}: {how_to_get_weights(weights, options.encoder)}."
            )
        weights = found
    network = load_depth_anything(weights, device)
    try:
        with tqdm(total=len(jobs), unit="image", desc="depth") as bar:
            report = write_depths(
                jobs,
                partial(network.infer, autocast=options.autocast),
                device=device,
                batch_size=options.batch_size,
                overwrite=options.overwrite,
                on_progress=bar.update,
            )
    except torch.cuda.OutOfMemoryError as error:
        raise UserError(
            f"the device's memory is too small for --batch_size {options.batch_size}; lower it. "
            "What was finished so far is kept."
        ) from error
    _logger.info("%d maps written, %d were there.", report.written, report.existing)
    for failure in report.failures:
        _logger.error("failed: %s", failure.reason)
    return 1 if report.failures else 0


@cli_errors
def main() -> None:
    """Run from the command line."""
    options = tyro.cli(PreprocessOptions)
    configure_logging()
    sys.exit(run(options))


if __name__ == "__main__":
    main()
