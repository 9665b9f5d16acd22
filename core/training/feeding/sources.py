"""Opens the sources of samples that the user chose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from core.checks import UserError, naming
from core.data.augmentation.options import AugmentationOptions
from core.data.datasets import open_dataset
from core.data.datasets.sequence_set import SequenceSet
from core.data.layered import LayeredSource, TextureBank
from core.data.procedural import ProceduralOptions, ProceduralSource
from core.data.sampling.combination import CombinedSource
from core.data.sampling.scene_clips import SceneClips
from core.data.sampling.sequence_source import SequenceSource
from core.io.stills.size_limit import allow_megapixels
from core.logging import get_logger
from core.training.feeding.batches import Sources
from core.training.feeding.options import DataOptions, LayeredData
from core.training.stages.stage import Stage
from core.types import ClipBatch

_logger = get_logger(__name__)
HELD_BACK_SEED = -1
"""Seed of the procedural scenes of validation; seeds of training are never negative."""


def open_sources(options: DataOptions, stage: Stage, *, seed: int, device: torch.device) -> Sources:
    """Open what training samples are drawn from.

    Raises:
        UserError: If a dataset cannot be used.
    """
    if options.max_megapixels is not None:
        allow_megapixels(options.max_megapixels)
    files = _open_datasets(options, stage, seed) if options.datasets else None
    scenes: list[SceneClips] = []
    if options.procedural is not None:
        scenes.append(_open_procedural(options.procedural, stage, seed, device))
    if options.layered is not None:
        scenes.append(_open_layered(options.layered, stage, seed, device))
    return Sources(
        files=files,
        scenes=tuple(scenes),
        scene_shares=options.scene_shares,
        augmentation=options.augmentation,
        seed=seed,
    )


def _open_datasets(options: DataOptions, stage: Stage, seed: int) -> CombinedSource:
    sources: list[SequenceSource] = []
    room = options.cache_mib
    for dataset in options.datasets:
        sequences = open_dataset(
            dataset.name, dataset.path, allow_pickle_depth=dataset.allow_pickle_depth
        )
        source = SequenceSource(
            sequences,
            _image_size(stage),
            num_frames=stage.num_frames,
            reach=dataset.reach,
            seed=seed,
            reverse=options.augmentation != AugmentationOptions.none(),
            cache_mib=room,
            label_motion=options.label_motion,
        )
        room -= source.cached_mib
        sources.append(source)
    weights = [
        float(source.num_items) if dataset.weight is None else dataset.weight
        for dataset, source in zip(options.datasets, sources, strict=True)
    ]
    return CombinedSource(sources, weights)


def open_validation_sets(
    options: DataOptions,
    stage: Stage,
    *,
    eval_clips_path: Path | None,
    num_samples: int,
    device: torch.device,
) -> dict[str, list[ClipBatch]]:
    """Make the validation sets, each a list of samples on ``device``.

    Returns:
        ``"procedural"``: scenes of a seed that training never uses, at even times. Under a
        dataset's name: its part for validation, where that is there. ``"clips"``, if a folder is
        given: its clips. Of the latter, consecutive frames from start frames spread evenly.

    Raises:
        UserError: If the clips cannot be used.
    """
    scenes = _open_procedural(
        options.procedural or ProceduralOptions(), stage, HELD_BACK_SEED, device
    )
    sets = {"procedural": [scenes.even_batch([index]) for index in range(num_samples)]}
    for dataset in options.datasets:
        if dataset.name == "frames":  # has no parts
            continue
        try:
            sequences = open_dataset(
                dataset.name,
                dataset.path,
                split="val",
                allow_pickle_depth=dataset.allow_pickle_depth,
            )
            sets[dataset.name] = _read_evenly(sequences, stage, num_samples, device)
        except UserError as error:
            _logger.warning("%s is left out of validation: %s", dataset.name, error)
    if eval_clips_path is not None:
        with naming("--eval_clips_path"):
            sequences = open_dataset("frames", eval_clips_path)
            sets["clips"] = _read_evenly(sequences, stage, num_samples, device)
    return sets


def _read_evenly(
    sequences: SequenceSet, stage: Stage, num_samples: int, device: torch.device
) -> list[ClipBatch]:
    """Read samples from start frames that are spread evenly; leave out those that are damaged."""
    source = SequenceSource(
        sequences, _image_size(stage), num_frames=stage.num_frames, seed=0, reverse=False
    )
    count = min(num_samples, source.num_items)
    clips: list[ClipBatch] = []
    problem = ""
    for i in range(count):
        try:
            sample = source.consecutive((2 * i + 1) * source.num_items // (2 * count))
            clips.append(sample.unpack(device))
        except UserError as error:
            problem = str(error)
            _logger.warning("%s Its sample is left out of validation.", problem)
    if not clips:
        raise UserError(f"{sequences.root}: no sample for validation can be read; {problem}")
    return clips


def _open_procedural(
    options: ProceduralOptions, stage: Stage, seed: int, device: torch.device
) -> SceneClips:
    height, width = _image_size(stage)
    options = replace(options, height=height, width=width)
    source = ProceduralSource(options, seed=seed, device=device)
    return SceneClips(source, num_frames=stage.num_frames, seed=seed)


def _open_layered(data: LayeredData, stage: Stage, seed: int, device: torch.device) -> SceneClips:
    height, width = _image_size(stage)
    with naming("--layered_path"):
        textures = TextureBank(
            data.path, min_side=min(height, width), budget_mib=data.texture_mib, device=device
        )
    options = replace(data.options, height=height, width=width)
    source = LayeredSource(options, textures, seed=seed, device=device)
    return SceneClips(source, num_frames=stage.num_frames, seed=seed)


def _image_size(stage: Stage) -> tuple[int, int]:
    return stage.config.image_height, stage.config.image_width
