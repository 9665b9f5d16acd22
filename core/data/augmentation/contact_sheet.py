"""Show augmented samples: ``python -m core.data.augmentation.contact_sheet davis <path>``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from core.checks import UserError, cli_errors
from core.command_line import parse
from core.data.augmentation.augment import augment
from core.data.augmentation.options import AugmentationOptions
from core.data.datasets import DatasetName, Split, open_dataset
from core.data.layered import LayeredOptions, LayeredSource, TextureBank
from core.data.procedural import ProceduralOptions, ProceduralSource
from core.data.sampling.scene_clips import SceneClips, SceneSource
from core.data.sampling.sequence_source import SequenceSource
from core.io.stills.images import write_png
from core.io.stills.sheets import Panel, color_inverse_depth, color_motion, draw_sheet
from core.logging import configure_logging, get_logger
from core.types import ClipBatch

_PANEL_WIDTH = 160
_logger = get_logger(__name__)


@dataclass(frozen=True)
class ContactSheetOptions:
    """Show training samples before and after augmentation: frames, depth, masks and motion.

    A sample has a row of its frames as they are, then rows of its frames, depth maps (bright is
    near), masks and motion (hue is direction, white is unknown) as the network gets them.
    """

    dataset: tyro.conf.Positional[Literal[DatasetName, "procedural", "layered"]]
    """Where samples come from; procedural scenes need no files."""
    path: tyro.conf.Positional[Path | None] = None
    """Folder of the dataset, or of the photographs of layered samples."""
    output: Path = Path("contact_sheet.png")
    """The picture (.png)."""
    split: Split = "train"
    """The part for training or the one for validation."""
    samples: int = 4
    """Samples shown."""
    first: int = 0
    """Position of the first of them in the stream of samples."""
    num_frames: int = 6
    """Frames of a sample."""
    height: int = 144
    """Height of the frames in pixels."""
    width: int = 256
    """Width of the frames in pixels."""
    seed: int = 0
    """Seed of the stream of samples and of what happens to them."""
    allow_pickle_depth: bool = False
    """Unpickle published depth chunks of RealEstate10K, which runs the code in them."""
    augmentation: AugmentationOptions = field(default_factory=AugmentationOptions)
    """What happens to them."""

    def __post_init__(self) -> None:
        limits = {"samples": 1, "first": 0, "num_frames": 1, "height": 16, "width": 16, "seed": 0}
        for name, least in limits.items():
            if getattr(self, name) < least:
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least {least}.")
        if self.output.suffix.lower() != ".png":
            raise UserError(f"--output {self.output}: expected the name of a .png file.")
        if (self.dataset == "procedural") != (self.path is None):
            raise UserError(
                "give the folder of a dataset behind its name, and none behind procedural."
            )


def draw_contact_sheet(options: ContactSheetOptions) -> UInt8[np.ndarray, "h w 3"]:
    """Draw the samples that the options name.

    Raises:
        UserError: If the dataset cannot be read.
    """
    positions = range(options.first, options.first + options.samples)
    batch = _read_samples(options, positions)
    changed = augment(batch, seed=options.seed, positions=positions, options=options.augmentation)
    rows: list[list[Panel]] = []
    for row, position in enumerate(positions):
        rows.append(_row(f"sample {position}", [_to_image(f) for f in batch.frames[row]]))
        rows.append(_row("augmented", [_to_image(f) for f in changed.frames[row]]))
        if changed.has_depth[row]:
            depths = changed.inverse_depths[row, :, 0].numpy()
            rows.append(_row("depth", [color_inverse_depth(depth) for depth in depths]))
        if changed.has_mask[row]:
            masks = changed.masks[row].expand(-1, 3, -1, -1)
            rows.append(_row("mask", [_to_image(mask) for mask in masks]))
        if changed.motion_known[row].any():
            rows.append(_motion_row(changed.motion[row], changed.motion_known[row]))
    return draw_sheet(rows, min_panel_width=_PANEL_WIDTH)


def _read_samples(options: ContactSheetOptions, positions: range) -> ClipBatch:
    size = (options.height, options.width)
    if options.path is None:
        scenes = ProceduralOptions(height=options.height, width=options.width)
        return _draw(options, ProceduralSource(scenes, seed=options.seed), positions)
    if options.dataset == "layered":
        textures = TextureBank(options.path, min_side=min(size), budget_mib=256, device="cpu")
        layers = LayeredOptions(height=options.height, width=options.width)
        return _draw(options, LayeredSource(layers, textures, seed=options.seed), positions)
    assert options.dataset != "procedural"
    source = SequenceSource(
        open_dataset(
            options.dataset,
            options.path,
            split=options.split,
            allow_pickle_depth=options.allow_pickle_depth,
        ),
        size,
        num_frames=options.num_frames,
        seed=options.seed,
        reverse=False,
    )
    samples = [source.sample(position) for position in positions]
    for reason in dict.fromkeys(reason for sample in samples for reason in sample.unreadable):
        _logger.warning("another sample is shown in place of one: %s", reason)
    return ClipBatch.cat([sample.clips.unpack("cpu") for sample in samples])


def _draw(options: ContactSheetOptions, source: SceneSource, positions: range) -> ClipBatch:
    scenes = SceneClips(source, num_frames=options.num_frames, seed=options.seed)
    return scenes.batch(positions)


def _row(name: str, images: list[UInt8[np.ndarray, "h w 3"]]) -> list[Panel]:
    labels = [name, *(f"{place}" for place in range(1, len(images)))]
    return [Panel(label, image) for label, image in zip(labels, images, strict=True)]


def _motion_row(
    motion: Float[Tensor, "2 2 g_h g_w"], known: Bool[Tensor, "2 g_h g_w"]
) -> list[Panel]:
    rows, columns = motion.shape[-2:]
    pixels = motion * torch.tensor([columns, rows])[:, None, None]  # a canonical unit is half
    panels: list[Panel] = []
    for name, vectors, there in zip(("forward", "backward"), pixels, known, strict=True):
        longest = (vectors.norm(dim=0) * there).max().item()
        image = color_motion(vectors.numpy(), there.numpy())
        as_frames = image.repeat(2, axis=0).repeat(2, axis=1)
        panels.append(Panel(f"{name}, <= {longest:.0f} px", as_frames))
    return panels


def _to_image(values: Float[Tensor, "3 h w"]) -> UInt8[np.ndarray, "h w 3"]:
    return (values * 255.0).round().byte().permute(1, 2, 0).numpy()


@cli_errors
def main() -> None:
    """Draw from the command line."""
    options = parse(ContactSheetOptions)
    configure_logging()
    write_png(options.output, draw_contact_sheet(options))
    _logger.info("wrote %s.", options.output)


if __name__ == "__main__":
    main()
