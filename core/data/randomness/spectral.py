"""Random fields with the falling power spectra of natural images."""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from core.data.randomness.hashing import white_noise


def spectral_fields(
    keys: Int[Tensor, " n"],
    exponents: Float[Tensor, "n c"],
    cutoffs: Float[Tensor, " n"],
    height: int,
    width: int,
) -> Float[Tensor, "n c*2 h w"]:
    """Synthesise periodic fields of zero mean, unit deviation and power ``f**-exponent``.

    White noise is drawn in the frequency domain, where no symmetry is asked for: the inverse
    transform is complex, and its two parts are two independent real fields.

    Args:
        keys: One key for each row.
        exponents: Power-law exponents, one for each pair of fields; about 2 in photographs.
        cutoffs: Frequency in cycles per sample above which a Gaussian roll-off sets in, which
            keeps fields that are shown smaller than they are stored from aliasing.
        height: Samples along y.
        width: Samples along x.
    """
    device = keys.device
    fy = torch.fft.fftfreq(height, device=device)[:, None]
    fx = torch.fft.fftfreq(width, device=device)[None, :]
    power = (fx**2 + fy**2).clamp(min=(0.5 / max(height, width)) ** 2)
    log_frequency = 0.5 * power.log()
    gain = torch.exp(-0.5 * exponents[:, :, None, None] * log_frequency)
    gain = gain * torch.exp(-0.5 * power / cutoffs[:, None, None, None] ** 2)
    gain[..., 0, 0] = 0.0
    noise = white_noise(keys, exponents.shape[1], height, width)
    spectrum = torch.complex(noise[:, :, 0] * gain, noise[:, :, 1] * gain)
    # Both parts of the transform have, in expectation, the deviation sqrt(sum(gain^2) / 12);
    # the sampled one is used, so that single strong low frequencies cannot blow a field up.
    fields = rearrange(
        torch.view_as_real(torch.fft.ifft2(spectrum)), "n c h w two -> n (c two) h w"
    )
    return fields / fields.std(dim=(-2, -1), keepdim=True).clamp(min=1e-12)
