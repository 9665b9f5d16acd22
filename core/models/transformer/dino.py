"""DINOv2, frozen, whose tokens of one frame condition the decoding of the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from core.checks import UserError
from core.io.weights import assign_weights, read_tensors
from core.models.transformer.config import DINO_PATCH_SIZE, DINO_WIDTH

if TYPE_CHECKING:  # timm brings torchvision, which takes seconds: only where a network needs it
    from timm.models.vision_transformer import VisionTransformer

DINO_FILE = "dinov2_vitb14_reg4_pretrain.pth"
DINO_ARCHITECTURE = "vit_base_patch14_reg4_dinov2"
_WHERE = (
    f"download {DINO_FILE} from the DINOv2 project (https://github.com/facebookresearch/dinov2, "
    "ViT-B/14 distilled with registers) into the folder checkpoints/"
)
_REGISTERS = 4
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


class DinoEncoder(nn.Module):
    """Patch tokens of a vision transformer whose weights come from the DINOv2 project.

    The transformer is kept out of the module tree: it has no part in ``parameters()``, in the
    state dict or in the training mode, and only follows the module to its device.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, image_size: tuple[int, int], *, normalize: bool) -> None:
        super().__init__()
        self.image_size = image_size
        self.normalize = normalize
        # On the device beforehand: a CUDA graph cannot fetch them from the host.
        for name, values in (("mean", _IMAGENET_MEAN), ("std", _IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)
        self.__dict__["_vit"] = None

    @property
    def vit(self) -> VisionTransformer | None:
        """The transformer; None until its weights are loaded."""
        return self.__dict__["_vit"]

    def attach(self, vit: VisionTransformer) -> None:
        """Set the transformer, and freeze it."""
        self.__dict__["_vit"] = vit.requires_grad_(False).eval()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> DinoEncoder:
        if self.vit is not None:
            self.vit._apply(fn, recurse)
        return super()._apply(fn, recurse)

    @torch.no_grad()
    def forward(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b m e"]:
        """Return the patch tokens after the final norm, row-major, float32.

        Args:
            images: RGB in [0, 1], any size.

        Raises:
            UserError: If no weights are loaded.
        """
        vit = self.vit
        if vit is None:
            raise UserError(f"this network needs DINOv2, whose weights are not loaded: {_WHERE}.")
        images = F.interpolate(images.float(), self.image_size, mode="bilinear")
        if self.normalize:
            images = (images - self.mean) / self.std
        return vit.forward_features(images)[:, vit.num_prefix_tokens :].float()


def build_dino(image_size: tuple[int, int], **options: Any) -> VisionTransformer:
    """Return an untrained DINOv2 ViT-B/14 with registers for frames of ``image_size``.

    Args:
        image_size: Height and width in pixels, multiples of 14.
        options: Overrides of the architecture, such as ``depth``.
    """
    import timm

    vit = timm.create_model(
        DINO_ARCHITECTURE, pretrained=False, img_size=image_size, num_classes=0, **options
    )
    return cast("VisionTransformer", vit)


def convert_dino_weights(
    weights: dict[str, Tensor], grid: tuple[int, int], source: str
) -> dict[str, Tensor]:
    """Rename DINOv2's own weights to timm's and resize the position embedding.

    Only patches have a position in timm's layout, so the class token's is added to it. The
    embedding is resized bicubically with antialiasing to the exact grid.

    Args:
        weights: As published: ``cls_token``, ``register_tokens``, ``pos_embed`` (class first),
            ``mask_token`` (for training, dropped), ``patch_embed``, ``blocks``, ``norm``.
        grid: Rows and columns of patches.
        source: The file's name, for the message of an error.

    Raises:
        UserError: If the tokens of a DINOv2 with registers are not all there.
    """
    from timm.layers.pos_embed import resample_abs_pos_embed

    wanted = ("cls_token", "register_tokens", "pos_embed")
    missing = [name for name in wanted if name not in weights]
    if missing:
        raise UserError(
            f"{source} holds no {', '.join(missing)}: these are not weights of a DINOv2 with "
            f"registers. {_WHERE.capitalize()}."
        )
    grid_side = math.isqrt(max(weights["pos_embed"].numel() // DINO_WIDTH - 1, 0))
    shapes = {
        "cls_token": (1, 1, DINO_WIDTH),
        "register_tokens": (1, _REGISTERS, DINO_WIDTH),
        "pos_embed": (1, 1 + grid_side**2, DINO_WIDTH),
    }
    for name, shape in shapes.items():
        if weights[name].shape != shape or not weights[name].is_floating_point():
            found = f"{tuple(weights[name].shape)} of {weights[name].dtype}"
            raise UserError(
                f"{source}: {name} is {found} instead of {shape} of floats: these are not weights "
                f"of a ViT-B/14. {_WHERE.capitalize()}."
            )
    rest = {k: v for k, v in weights.items() if k not in (*wanted, "mask_token")}
    position = weights["pos_embed"]
    return {
        "cls_token": weights["cls_token"] + position[:, :1],
        "reg_token": weights["register_tokens"],
        "pos_embed": resample_abs_pos_embed(position[:, 1:], list(grid), num_prefix_tokens=0),
        **rest,
    }


def load_dino(path: str | Path, image_size: tuple[int, int]) -> VisionTransformer:
    """Load the published DINOv2 weights.

    Args:
        path: ``dinov2_vitb14_reg4_pretrain.pth``.
        image_size: Height and width of the frames that it will see.

    Raises:
        UserError: If the file is missing, unreadable or something else.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; {_WHERE}.")
    vit = build_dino(image_size)
    grid = (image_size[0] // DINO_PATCH_SIZE, image_size[1] // DINO_PATCH_SIZE)
    weights = convert_dino_weights(read_tensors(path), grid, str(path))
    assign_weights(vit, weights, str(path))
    return vit
