"""Measure a network beside baselines and other methods; ``--help`` lists the options."""

from __future__ import annotations

if __name__ == "__main__":
    import core.early_interrupt
    import core.early_launcher  # noqa: F401 (both before the imports that take seconds)

import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from configs.options_evaluation import EvaluationOptions
from core.checks import cli_errors
from core.command_line import parse
from core.logging import configure_logging, get_logger

if TYPE_CHECKING:
    from core.evaluation.data.clips import Clip
    from core.evaluation.run import Evaluation

_logger = get_logger(__name__)


def build(options: EvaluationOptions, command: Sequence[str]) -> Evaluation:
    """Open the clips and load the networks."""
    # Here, since PyTorch takes seconds: help and wrong options are answered without it.
    import torch

    from core.depth import find_depth_weights, load_depth_anything
    from core.devices import choose_device
    from core.evaluation.data.open import choose_clips
    from core.evaluation.measure import Measurement, check_names
    from core.evaluation.methods.frame_folders import parse_method
    from core.evaluation.methods.network import NetworkMethod
    from core.evaluation.run import Evaluation
    from core.evaluation.scores.frames import FrameScorer
    from core.io.digest import file_digest
    from core.metrics.lpips import VGG16_FILE, load_lpips
    from core.models import StreamSplat, load_model, weights_file
    from core.models.fast.acceleration import FastModel
    from core.models.model_files import CHECKPOINTS
    from core.models.transformer.dino import DINO_FILE

    device = choose_device(options.device)
    torch.backends.cudnn.allow_tf32 = False  # LPIPS in full precision
    others = [parse_method(text) for text in options.method]
    check_names(others)
    model = load_model(options.resume, dinov2_path=options.dinov2_path).to(device)
    size = (model.config.image_height, model.config.image_width)
    clips = choose_clips(open_clips(options, size), options.clips)
    depth_weights = find_depth_weights(CHECKPOINTS)
    lpips_weights = options.lpips_path or CHECKPOINTS / VGG16_FILE
    if options.lpips_path is None and not lpips_weights.is_file():
        _logger.warning("no LPIPS: %s is not there.", lpips_weights)
        lpips_weights = None
    dinov2_weights = options.dinov2_path or CHECKPOINTS / DINO_FILE
    takes_dino = isinstance(model, StreamSplat) and model.dino is not None
    weights = {
        "network": weights_file(options.resume),
        "dinov2": dinov2_weights if takes_dino and dinov2_weights.is_file() else None,
        "depth": depth_weights,
        "lpips": lpips_weights,
    }
    network = NetworkMethod(
        FastModel(
            model,
            precision=options.precision,
            acceleration="graphs" if device.type == "cuda" else "none",
        ),
        size,
        device,
        depth=None if depth_weights is None else load_depth_anything(depth_weights, device),
        context=options.context,
    )
    lpips = None if lpips_weights is None else load_lpips(lpips_weights).to(device)
    measurement = Measurement(
        network=network,
        frames=FrameScorer(options.protocol, lpips),
        gaps=options.gaps,
        max_pairs=options.max_pairs or None,
        others=others,
        frames_folder=options.output_dir / "frames" if options.save_frames else None,
    )
    return Evaluation(
        clips=clips,
        measurement=measurement,
        settings={
            "sha256": {name: path and file_digest(path) for name, path in weights.items()},
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "precision": options.precision,
            "device": device.type,
            "data": options.data,
        },
        command=shlex.join(["python", "evaluate.py", *without_output(command)]),
        output=options.output_dir,
    )


def open_clips(options: EvaluationOptions, size: tuple[int, int]) -> Sequence[Clip]:
    """Open what the options name."""
    from configs.options import PATHS
    from core.evaluation.data.layered import open_layered
    from core.evaluation.data.open import open_dataset_clips, open_frame_clips
    from core.evaluation.data.scenes import open_scenes

    if options.data == "videos":
        return open_frame_clips(options.videos)
    if options.data == "procedural":
        return open_scenes(options.scenes, size)
    if options.data == "layered":
        assert options.layered_path is not None  # the options check it
        return open_layered(options.layered_path, options.scenes, size)
    if options.data == "frames":
        folders = [PATHS.locate("frames", folder) for folder in options.frames_path or (None,)]
    else:
        given: Path | None = getattr(options, f"{options.data}_path")
        folders = [PATHS.locate(options.data, given)]
    return open_dataset_clips(
        options.data,
        folders,
        davis_resolution=options.davis_resolution,
        allow_pickle_depth=options.allow_pickle_depth,
    )


def without_output(command: Sequence[str]) -> list[str]:
    """Return a command line without --output_dir, which changes no number."""
    kept, skip = [], False
    for word in command:
        name, equals, _ = word.replace("-", "_").partition("=")
        if name == "__output_dir":
            skip = not equals
        elif skip:
            skip = False
        else:
            kept.append(word)
    return kept


@cli_errors
def main() -> None:
    """Parse, build, run."""
    options = parse(EvaluationOptions)
    from core.evaluation.processes import Processes
    from core.evaluation.run import run

    processes = Processes.from_environment()
    configure_logging(level=logging.INFO if processes.rank == 0 else logging.ERROR)
    run(build(options, sys.argv[1:]), processes)


if __name__ == "__main__":
    main()
