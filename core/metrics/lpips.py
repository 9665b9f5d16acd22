"""Learned perceptual similarity, through the reference implementation's package."""

from __future__ import annotations

import warnings
from pathlib import Path

import lpips
from jaxtyping import Float
from torch import Tensor, nn

from core.checks import UserError
from core.io.checkpoints import describe_mismatch, read_tensors

VGG16_FILE = "vgg16-397923af.pth"
"""Name under which torchvision publishes the backbone's weights."""
_MIN_SIDE = 16
_WHERE = f"download https://download.pytorch.org/models/{VGG16_FILE}"


class Lpips(nn.Module):
    """LPIPS of version 0.1 with a VGG16 backbone (Zhang et al. 2018).

    The calibration of the distance comes with the package ``lpips``, the backbone from the user.
    Nothing of it is trained. Under autocast the backbone runs in half precision, the distance in
    float32.

    Args:
        backbone: torchvision's state dict of VGG16; only ``features.*`` is used.
        source: Where it comes from, for the message of an error.

    Raises:
        UserError: If it is of another network.
    """

    def __init__(self, backbone: dict[str, Tensor], source: str) -> None:
        super().__init__()
        with warnings.catch_warnings():
            # The package asks torchvision for untrained weights in a deprecated way. Anything but
            # untrained weights would be downloaded.
            warnings.simplefilter("ignore", UserWarning)
            self.network = lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False)
        own = self.network.net.state_dict()  # slice1.0.weight and so on
        names = {f"features.{name.split('.', 1)[1]}": name for name in own}
        given = {names[k]: v for k, v in backbone.items() if k in names}
        mismatch = describe_mismatch(own, given)
        if mismatch:
            raise UserError(f"{source} does not hold torchvision's VGG16: {mismatch}. {_WHERE}.")
        self.network.net.load_state_dict(given)
        self.requires_grad_(False).eval()

    def forward(
        self, images: Float[Tensor, "n 3 h w"], targets: Float[Tensor, "n 3 h w"]
    ) -> Float[Tensor, " n"]:
        """Return the distance of each image, 0 for equal ones; differentiable in both.

        Args:
            images: RGB in [0, 1], at least 16 by 16 pixels. Published numbers are of images that
                were resized to 256 by 256.
            targets: The truth, of the same shape.

        Raises:
            ValueError: If the shapes differ, or the images are smaller than that.
        """
        if images.shape != targets.shape:
            raise ValueError(
                f"Lpips: images have shape {tuple(images.shape)}, targets {tuple(targets.shape)}; "
                "expected the same."
            )
        if min(images.shape[-2:]) < _MIN_SIDE:
            raise ValueError(
                f"Lpips: images are {images.shape[-2]} by {images.shape[-1]} pixels; the network "
                f"needs at least {_MIN_SIDE} by {_MIN_SIDE}."
            )
        return self.network(images, targets, normalize=True).flatten()

    def train(self, mode: bool = True) -> Lpips:
        """Stay in evaluation mode, whatever ``mode`` is."""
        return super().train(False)


def load_lpips(path: str | Path) -> Lpips:
    """Load LPIPS with the backbone in a file, on the CPU.

    Args:
        path: torchvision's ``vgg16-397923af.pth``, or a ``.safetensors`` of the same names.

    Raises:
        UserError: If the file is missing, unreadable or something else.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; {_WHERE}, the weights of VGG16 (BSD licence).")
    return Lpips(read_tensors(path), str(path))
