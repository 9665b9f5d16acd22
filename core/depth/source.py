"""Where the relative inverse depth of a frame comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from core.checks import UserError
from core.depth import (
    DepthAnythingV2,
    find_depth_weights,
    how_to_get_weights,
    load_depth_anything,
)
from core.geometry.resample import resize
from core.io import DepthFolder, Frame, FrameSource
from core.io.stills.depth_maps import check_orientation
from core.logging import get_logger

DepthChoice = Literal["auto", "folder", "model", "motion", "none"]
_logger = get_logger(__name__)


class DepthSource(Protocol):
    """Gives the relative inverse depth (large is near) of one frame after another."""

    description: str
    """A short name for messages."""

    def inverse_depth(self, frame: Frame) -> Float[Tensor, "1 1 h w"] | None:
        """Return the map of ``frame``, at the frame's size, in arbitrary units; None for none."""
        ...

    def check_end(self, num_frames: int) -> None:
        """Learn that the clip has ended after ``num_frames``."""
        ...


class NoDepth:
    """No depth."""

    description = "none"

    def inverse_depth(self, frame: Frame) -> None:
        """Return None."""

    def check_end(self, num_frames: int) -> None:
        """Do nothing."""


class FileDepth:
    """Maps from files; one of another size than its frame is resampled."""

    def __init__(self, folder: DepthFolder) -> None:
        self._folder = folder
        self._warned = False
        self.description = f"files in {folder.path.name}"

    def inverse_depth(self, frame: Frame) -> Float[Tensor, "1 1 h w"]:
        """Read the map of ``frame``; warn of the first that holds no depth.

        Raises:
            UserError: If there is none, it cannot be read, or lies on its side.
        """
        values = torch.from_numpy(self._folder.read(frame.index))
        if values.min() == values.max() and not self._warned:
            self._warned = True
            _logger.warning(
                "%s holds one value only, which stands for no depth.",
                self._folder.file(frame.index),
            )
        size = (frame.image.shape[0], frame.image.shape[1])
        check_orientation((values.shape[0], values.shape[1]), size, self._folder.file(frame.index))
        return resize(values[None, None], size)

    def check_end(self, num_frames: int) -> None:
        """Warn of maps that no frame has asked for."""
        self._folder.check_end(num_frames)


class NetworkDepth:
    """Depth Anything V2, run on one frame at a time."""

    def __init__(self, network: DepthAnythingV2, name: str) -> None:
        self._network = network
        self.description = f"Depth Anything V2 ({name})"

    @torch.inference_mode()
    def inverse_depth(self, frame: Frame) -> Float[Tensor, "1 1 h w"]:
        """Estimate the map of ``frame``."""
        device = next(self._network.parameters()).device
        image = torch.from_numpy(frame.image).to(device)
        return self._network.infer(rearrange(image, "h w c -> 1 c h w").float() / 255)

    def check_end(self, num_frames: int) -> None:
        """Do nothing."""


def open_depth(
    folder: Path | None, frames: FrameSource, device: torch.device, weights_folder: Path
) -> DepthSource:
    """Choose where depth comes from, and log it: files, else the network, else nothing.

    Args:
        folder: Depth maps of the clip; None if the user gave none.
        frames: The clip, whose frames the maps must match.
        device: Where the network runs.
        weights_folder: Where the network's weights are looked for.

    Raises:
        UserError: If ``folder`` does not hold a map for every frame, or the weights are broken.
    """
    if folder is not None:
        return FileDepth(DepthFolder(folder, frames.names))
    weights = find_depth_weights(weights_folder)
    if weights is not None:
        source = NetworkDepth(load_depth_anything(weights, device), weights.stem)
        _logger.info("depth: %s.", source.description)
        return source
    _logger.warning(
        "depth: none; for depth give a folder of depth maps, or %s.",
        how_to_get_weights(weights_folder),
    )
    return NoDepth()


def choose_depth(
    choice: DepthChoice,
    folder: Path | None,
    frames: FrameSource,
    device: torch.device,
    weights_folder: Path,
) -> DepthSource | None:
    """Open the chosen source, and log it.

    Args:
        choice: ``auto`` takes the folder, else the network if it has weights, else motion.
        folder: See :func:`open_depth`.
        frames: See there.
        device: See there.
        weights_folder: See there.

    Returns:
        None for motion, which a session finds itself
        (:class:`core.depth.motion.MotionDepth`).

    Raises:
        UserError: As of :func:`open_depth`, or if the network is asked for and has no weights.
    """
    weights = find_depth_weights(weights_folder)
    if choice == "none":
        _logger.info("depth: none but the model's own.")
        return NoDepth()
    if choice == "model" and weights is None:
        raise UserError(f"--depth model needs weights: {how_to_get_weights(weights_folder)}.")
    if choice == "auto" and folder is None and weights is None:
        _logger.info(
            "depth: from the motion of the camera, and the model's own where it has no parallax; "
            "instead, you can give a folder of depth maps, or %s.",
            how_to_get_weights(weights_folder),
        )
        return None
    if choice == "motion":
        _logger.info("depth: from the motion of the camera.")
        return None
    return open_depth(folder, frames, device, weights_folder)
