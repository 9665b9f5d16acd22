"""Options of ``evaluate.py``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from configs.options_inference import EMBEDDED_MODEL
from core.checks import UserError
from core.evaluation.protocol import PUBLISHED_GAPS, ProtocolName


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Measure a network on clips, beside baselines and other methods.

    For example:
      python evaluate.py --data davis --davis_path DAVIS --output_dir outputs/evaluation
      python evaluate.py --data frames --frames_path CLIPS --gaps 3 --protocol native
      accelerate launch --config_file acc_configs/gpu8.yaml evaluate.py --data davis
    """

    data: Literal["davis", "vos", "co3d", "re10k", "frames", "videos", "procedural", "layered"]
    """What is measured on: the validation part of a data set, a folder of clips (frames), videos,
    or scenes whose motion is known exactly, procedural or layers cut out of photographs."""
    resume: str = str(EMBEDDED_MODEL)
    """The model: a .safetensors file, a folder with config.json beside it, or a hub id."""
    output_dir: Path = Path("outputs/evaluation")
    """Where results are put. A run that was stopped goes on there; one with other options is
    refused."""
    protocol: tuple[ProtocolName, ...] = ("published", "native")
    """At which sizes images are compared: published is 256 by 256, native the model's size."""
    gaps: tuple[int, ...] = PUBLISHED_GAPS
    """Distances between key frames, each measured by itself."""
    context: Literal["pair", "before", "both"] = "both"
    """Which key frames beside a pair show the network how paths bend: both, as splat_inference.py
    sees them; the one before, as in a live scene; or none, as in the published protocol (pair)."""
    max_pairs: int = 0
    """Pairs of key frames of a clip at each gap, spread evenly over it; 0 takes all."""
    method: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Another method as NAME=FOLDER, with frames FOLDER/<clip>/gap_<gap>/<frame in 5 digits>.png of
    any size; may be given several times."""
    save_frames: bool = False
    """Save the frames of the model, the baselines and the truth in frames/ of the output folder, as
    --method reads them."""
    davis_path: Path | None = None
    """Folder of DAVIS 2017, as in training."""
    davis_resolution: Literal["Full-Resolution", "480p"] | None = None
    """Which frames of DAVIS; by default those of training."""
    vos_path: Path | None = None
    """Folder of YouTube-VOS, as in training."""
    co3d_path: Path | None = None
    """Folder of CO3Dv2, as in training."""
    re10k_path: Path | None = None
    """Folder of RealEstate10K, as in training."""
    frames_path: tuple[Path, ...] = ()
    """Folders of clips, <clip>/JPEGImages/*.jpg, with Annotations/*.png, depthImages/*_pred.png and
    Depth/*.png (measured, millimetres) where there are any; by default that of training."""
    videos: tuple[Path, ...] = ()
    """Video files, or folders of images."""
    scenes: int = 8
    """How many procedural or layered scenes."""
    layered_path: Path | None = None
    """Folder of photographs and clips for layered scenes."""
    clips: tuple[str, ...] = ()
    """Names of the clips to take; all by default."""
    device: str = "auto"
    """auto (CUDA if there is one), cpu, cuda or cuda:N."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Number type of the networks' matrix products."""
    dinov2_path: Path | None = None
    """Weights of DINOv2, for models that need them; by default
    checkpoints/dinov2_vitb14_reg4_pretrain.pth."""
    lpips_path: Path | None = None
    """Weights of VGG16 for LPIPS; by default checkpoints/vgg16-397923af.pth. Without them there is
    no LPIPS."""
    allow_pickle_depth: bool = False
    """Read depth chunks of RealEstate10K that are pickles, which runs the code in them."""

    def __post_init__(self) -> None:
        for name in ("protocol", "gaps"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                shown = " ".join(map(str, values))
                raise UserError(f"--{name} is '{shown}'; expected one or more, each once.")
        if min(self.gaps) < 1:
            raise UserError(f"--gaps holds {min(self.gaps)}; expected numbers of at least 1.")
        for name, least in (("max_pairs", 0), ("scenes", 1)):
            if getattr(self, name) < least:
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least {least}.")
        if self.data == "videos" and not self.videos:
            raise UserError("--data videos needs --videos: files, or folders of images.")
        if (self.data == "layered") != (self.layered_path is not None):
            raise UserError("give --data layered and --layered_path together.")
