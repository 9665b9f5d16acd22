"""Options of programs that write depth maps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from core.checks import UserError
from core.depth.config import Encoder
from core.depth.motion.camera.field_of_view import check_fov

Layout = Literal["davis", "vos", "co3d", "re10k", "frames"]


@dataclass(frozen=True, kw_only=True)
class DepthOptions:
    """How depth is estimated, for every data set."""

    source: Literal["model", "motion"] = "model"
    """Depth Anything V2 on each image alone, or the parallax of a clip's own camera, which needs no
    weights: the images of a folder are one clip. docs/depth.md compares them."""
    fov: float | None = None
    """Angle of view of the camera along the longer side of its images, degrees; for motion. By
    default that of the focal length that a clip's first image notes, else that which explains the
    clip's matches."""
    encoder: Encoder = "vits"
    """Size of the network. vits is Apache-2.0; the larger ones are CC-BY-NC-4.0."""
    checkpoint: Path = Path("checkpoints")
    """Folder with depth_anything_v2_<encoder>.pth, or a weight file of any size."""
    device: str = "auto"
    """auto (CUDA if there is one, a GPU for each process), cpu, cuda or cuda:N."""
    batch_size: int = 8
    """Images of one size in a forward pass."""
    threads: int = 4
    """Threads of each process that decode images, and as many that write depth maps."""
    overwrite: bool = False
    """Replace maps that exist."""
    autocast: bool = False
    """Run the transformer in float16: faster, CUDA only."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "threads"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least 1.")
        check_fov("--fov", self.fov)


@dataclass(frozen=True, kw_only=True)
class PreprocessOptions(DepthOptions):
    """Write relative inverse depth (large is near) of a data set's images.

    Each map is normalised to [0, 1], by itself or, from motion, with its clip, and has 16 bits.
    davis, vos and frames get depthImages/.../<stem>_pred.png for JPEGImages/.../<stem>.jpg; co3d
    gets predict_depths/<stem>_pred.png for images/<stem>.jpg of its manyview set lists; re10k gets
    depth_<chunk>.safetensors beside each chunk. From motion come depthConfidence/.../<stem>.png and
    predict_confidences/<stem>.png, too. An interrupted run resumes. Files that cannot be read are
    skipped and listed at the end; the exit status is 1 if no file could be read.
    """

    layout: tyro.conf.Positional[Layout]
    """Layout of the data set; frames is any tree with JPEGImages folders."""
    paths: tyro.conf.Positional[tuple[Path, ...]]
    """Roots of data sets of that layout, or parts of them."""
