"""Trains the heads that see the pixels for longer: ``python -m tools.train_pixel_heads``.

Key frames of a small network depend on these heads alone, which need no whole frames: crops of
pictures, drawn line grids among them, are rendered from their own Gaussians at inverse depths that
are drawn. The loss is the logarithm of the squared error, so that sharp crops count as others do.
Whatever else there is in a network stays as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from huggingface_hub.constants import CONFIG_NAME, SAFETENSORS_SINGLE_FILE
from jaxtyping import Float
from torch import Tensor, nn
from tqdm import trange

from configs.options_inference import EMBEDDED_MODEL
from core.checks import UserError, cli_errors, naming
from core.command_line import parse
from core.data.layered import TextureBank
from core.data.line_grids import draw_line_grids
from core.data.randomness.scene_random import SceneRandom
from core.devices import choose_device
from core.io.collisions import refuse_overwriting
from core.logging import configure_logging, get_logger
from core.models import files_of_model, load_model, save_model
from core.models.matching.network import MatchingNetwork
from core.models.matching.static_heads import FARTHEST, NEAREST, STRIDE, StaticHeads
from core.rendering import render
from core.types import DynamicGaussians

_WARMUP = 0.03
"""Part of the steps in which the learning rate rises."""
_LAST_RATE = 0.02
"""Learning rate of the last step, as a part of the largest."""
_AVERAGED_STEPS = 1000
"""Over about as many of the last steps, or a twentieth of all so far, weights are averaged."""
_FIRST_WEIGHT = 0.3
"""Weight of the picture before correction."""
_FLOOR = 1e-4
"""Squared error below which a crop hardly counts: 40 dB."""
_NOISE = ((24, 0.2), (6, 0.07), (2, 0.03))
"""Pixels between values of depth noise, and their largest deviation."""
_logger = get_logger(__name__)


@dataclass(frozen=True)
class Options:
    """Train the heads of a small network that see the pixels, on crops of pictures."""

    pictures: Path
    """Photographs and clips in folders of any depth."""
    output: Path
    """Folder for the network, its weights averaged over training."""
    resume: str = str(EMBEDDED_MODEL)
    """The network to go on from: a folder, a .safetensors file, or a hub id."""
    steps: int = 10_000
    """Steps of the optimiser."""
    batch_size: int = 48
    """Crops a step."""
    crop: tuple[int, int] = (144, 256)
    """Height and width of the crops in pixels, both even."""
    lr: float = 6e-4
    """Largest learning rate; it rises at first, then falls as a cosine."""
    line_share: float = 0.4
    """Share of the crops that are drawn line grids."""
    budget_mib: int = 1024
    """Memory for pictures on the device."""
    device: str = "auto"
    """cuda, cpu or auto."""
    seed: int = 0
    """Of what is drawn."""

    def __post_init__(self) -> None:
        if min(self.steps, self.batch_size, self.budget_mib) < 1 or self.lr <= 0:
            message = "--steps, --batch_size, --budget_mib and --lr: expected more than 0."
            raise UserError(message)
        if min(self.crop) < 16 or any(side % STRIDE for side in self.crop):
            raise UserError(f"--crop is {self.crop}; expected even numbers from 16.")
        if not 0 <= self.line_share <= 1:
            raise UserError(f"--line_share is {self.line_share}; expected a number in [0, 1].")


def train(network: MatchingNetwork, bank: TextureBank, options: Options) -> None:
    """Train the heads in place; they become the averages over training, stopped or not."""
    whole = network.static.heads
    heads = nn.ModuleList((whole.first, whole.correction))
    grid = (options.crop[0] // STRIDE, options.crop[1] // STRIDE)
    on_crops = StaticHeads(grid, whole.first, whole.correction, whole.depth)
    on_crops.to(bank.pixels.device)
    averages = [value.detach().clone() for value in heads.parameters()]
    optimizer = torch.optim.AdamW(heads.parameters(), lr=options.lr, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, options.steps))
    num_lines = round(options.line_share * options.batch_size)
    progress = trange(options.steps, unit="step", disable=None)
    try:
        for step in progress:
            first = step * options.batch_size
            rng = SceneRandom(options.seed, range(first, first + options.batch_size))
            crops, depths = draw_batch(rng, bank, options.crop, num_lines)
            found = on_crops.at_depths(crops, depths)
            error = _squared_errors(found.final, crops)
            loss = (error + _FLOOR).log().mean()
            before = (_squared_errors(found.first, crops) + _FLOOR).log().mean()
            optimizer.zero_grad()
            (loss + _FIRST_WEIGHT * before).backward()
            nn.utils.clip_grad_norm_(heads.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            share = max(1 / _AVERAGED_STEPS, 20 / (step + 20))
            with torch.no_grad():
                for average, value in zip(averages, heads.parameters(), strict=True):
                    average.lerp_(value, share)
            if step % 50 == 0:
                parts = (-10 * error.detach().log10()).tensor_split([num_lines])
                scores = zip(("lines_db", "pictures_db"), parts, strict=True)
                progress.set_postfix({kind: f"{x.mean():.2f}" for kind, x in scores if len(x)})
    finally:
        nn.utils.vector_to_parameters(nn.utils.parameters_to_vector(averages), heads.parameters())


def draw_batch(
    rng: SceneRandom, bank: TextureBank, size: tuple[int, int], num_lines: int
) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b 1 h2 w2"]]:
    """Return crops, of which the first ones are line grids, and inverse depths of their cells.

    Args:
        rng: Of the batch.
        bank: Pictures.
        size: Height and width of the crops.
        num_lines: How many are line grids.
    """
    chosen = bank.choose(rng.uniform(0.0, 1.0, 1), size)
    flips = torch.stack((rng.bernoulli(0.1, 1), rng.bernoulli(0.5, 1)), dim=-1)
    texels = bank.locate(chosen, rng.uniform(0.0, 1.0, 1, 2), flips, size)
    crops = bank.read(texels, 0)
    has_lines = torch.arange(len(crops), device=crops.device)[:, None, None, None] < num_lines
    crops = torch.where(has_lines, draw_line_grids(rng, crops), crops)
    grid = (size[0] // STRIDE, size[1] // STRIDE)
    return crops, draw_inverse_depths(rng, grid, crops.device)


def draw_inverse_depths(
    rng: SceneRandom, grid: tuple[int, int], device: torch.device
) -> Float[Tensor, "b 1 h w"]:
    """Return a slope with noise of several sizes, with steps in four of ten, flat in one of ten.

    At one depth for all, heads forget which of two Gaussians is drawn first.
    """
    height, width = grid

    def noise(cell: int, low: float, high: float) -> Float[Tensor, "b 1 h w"]:
        rows, columns = max(2, height // cell), max(2, width // cell)
        values = rng.uniform(low, high, 1, rows, columns).to(device)
        return F.interpolate(values, grid, mode="bicubic")

    def each(low: float, high: float) -> Float[Tensor, "b 1 1 1"]:
        return rng.uniform(low, high, 1, 1, 1).to(device)

    down = torch.linspace(-1, 1, height, device=device)[:, None]
    right = torch.linspace(-1, 1, width, device=device)
    depths = each(0.15, 0.85) + each(-0.4, 0.4) * down + each(-0.15, 0.15) * right
    for cell, size in _NOISE:
        depths = depths + each(0.0, 1.0) * noise(cell, -2 * size, 2 * size)
    has_steps = rng.bernoulli(0.4, 1, 1, 1).to(device)
    depths = depths + each(-0.6, 0.6) * has_steps * (noise(16, -1.0, 1.0) > 0.2)
    is_flat = rng.bernoulli(0.1, 1, 1, 1).to(device)
    return torch.where(is_flat, each(0.1, 0.9), depths).clamp(FARTHEST, NEAREST)


def _squared_errors(gaussians: DynamicGaussians, crops: Tensor) -> Float[Tensor, " b"]:
    times = crops.new_zeros(len(crops), 1)
    drawn = render(gaussians, times, (crops.shape[-2], crops.shape[-1])).rgb[:, 0]
    return (drawn - crops).square().mean(dim=(1, 2, 3))


def _rate(step: int, steps: int) -> float:
    cosine = (1 + math.cos(math.pi * step / steps)) / 2
    rise = min(1.0, (step + 1) / (_WARMUP * steps))
    return rise * (_LAST_RATE + (1 - _LAST_RATE) * cosine)


@cli_errors
def main() -> None:
    """Run from the command line."""
    options = parse(Options, prog="python -m tools.train_pixel_heads")
    configure_logging()
    inputs = [("--resume", path) for path in files_of_model(options.resume)]
    names = (CONFIG_NAME, SAFETENSORS_SINGLE_FILE)
    refuse_overwriting(options.output, names, [*inputs, ("--pictures", options.pictures)])
    device = choose_device(options.device)
    with naming("--resume"):
        network = load_model(options.resume).to(device)
    if not isinstance(network, MatchingNetwork):
        raise UserError(f"--resume {options.resume}: only small networks have such heads.")
    with naming("--pictures"):
        bank = TextureBank(
            options.pictures,
            min_side=min(options.crop),
            budget_mib=options.budget_mib,
            device=device,
        )
    try:
        train(network, bank, options)
    finally:  # what was trained before Ctrl-C is kept
        save_model(network, options.output, dtype=torch.float16)
        _logger.info("%s", options.output)


if __name__ == "__main__":
    main()
