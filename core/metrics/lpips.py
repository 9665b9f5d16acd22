"""Learned perceptual similarity, through the reference implementation's package."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from core.checks import UserError
from core.io.weights import assign_weights, read_tensors

VGG16_FILE = "vgg16-397923af.pth"
"""Name under which torchvision publishes the backbone's weights."""
_MIN_SIDE = 16
_EPSILON = 1e-10
"""Added to the length of a pixel's features."""
_WHERE = f"download https://download.pytorch.org/models/{VGG16_FILE}"


class Lpips(nn.Module):
    """LPIPS of version 0.1 with a VGG16 backbone (Zhang et al. 2018).

    The calibration of the distance comes with the package ``lpips``, the backbone from the user.
    Nothing of it is trained. Under autocast the backbone runs in half precision, the distance in
    float32. Channels lie side by side in memory, which is how GPUs multiply them.

    Args:
        backbone: torchvision's state dict of VGG16; only ``features.*`` is used.
        source: Where it comes from, for the message of an error.

    Raises:
        UserError: If it is of another network.
    """

    def __init__(self, backbone: dict[str, Tensor], source: str) -> None:
        super().__init__()
        import lpips  # brings torchvision, which takes seconds and is needed here only

        with warnings.catch_warnings():
            # The package asks torchvision for untrained weights in a deprecated way. Anything but
            # untrained weights would be downloaded.
            warnings.simplefilter("ignore", UserWarning)
            self.network = lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False)
        own = self.network.net.state_dict()  # slice1.0.weight and so on
        names = {name: f"features.{name.split('.', 1)[1]}" for name in own}
        assign_weights(
            self.network.net,
            {name: backbone[name] for name in names.values() if name in backbone},
            source,
            stored_name=names.__getitem__,
            hint=f"Expected torchvision's VGG16; {_WHERE}.",
        )
        self.to(memory_format=torch.channels_last).requires_grad_(False).eval()

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
        weights = [line.get_parameter("model.1.weight") for line in self.network.lins]
        layers = zip(self._features(images), self._features(targets), weights, strict=True)
        return torch.stack([_distance(*layer) for layer in layers]).sum(0)

    def _features(self, images: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n c h2 w2"]]:
        """Return what the backbone's five stages make of images."""
        x = self.network.scaling_layer(2 * images - 1)
        x = x.contiguous(memory_format=torch.channels_last)
        backbone, features = self.network.net, []
        for number in range(1, backbone.N_slices + 1):
            x = getattr(backbone, f"slice{number}")(x)
            features.append(x)
        return features

    def train(self, mode: bool = True) -> Lpips:
        """Stay in evaluation mode, whatever ``mode`` is."""
        return super().train(False)


def _distance(
    x: Float[Tensor, "n c h w"], y: Float[Tensor, "n c h w"], weights: Float[Tensor, "1 c 1 1"]
) -> Float[Tensor, " n"]:
    """Compare the directions of two images' features, pixel by pixel."""
    difference = _direction(x) - _direction(y)
    return (difference.square() * weights).sum(1).mean((1, 2))


def _direction(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    length = x.square().sum(1, keepdim=True).sqrt()
    return x / (length + _EPSILON)


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
