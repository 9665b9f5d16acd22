"""Whether matches show a camera that moves before a static world."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from core.depth.motion.camera.pinhole import Camera
from core.depth.motion.least_squares import fit_robustly
from core.depth.motion.pose import Pose, skew
from core.types import TensorDataclass

_CELLS = (4, 6)
"""Rows and columns of cells of the picture; the outermost ones are its border."""
_FEWEST_IN_CELL = 5
_PARALLAX_PX = 0.5
"""Distance from what a homography says, in pixels of the maps, from which on it is parallax; and
from the epipolar line, up to which a pose explains it."""
_CONTRADICTION_PX = 1.0
"""Distance from the epipolar line from which on a match contradicts a pose."""
_ENOUGH, _LITTLE = 0.35, 0.1
_DOUBTFUL, _CONTRADICTED = 0.15, 0.3
_SMALLEST_COVERAGE = 0.35
"""Share of the border that must have matches: sky and plain roads have none."""
_ROUNDS = 3


@dataclass(frozen=True)
class Border(TensorDataclass):
    """Matches at the border of a picture, and which of them no homography explains."""

    first: Float[Tensor, "2 n"]
    """Pixels from the centre; those of all points, seen or not."""
    second: Float[Tensor, "2 n"]
    """Where the other frame shows them."""
    leaves: Bool[Tensor, " n"]
    """Where the best homography is more than half a pixel off."""
    share: Float[Tensor, " n"]
    """What each match counts, so that each cell counts the same; all together 1, or 0."""
    coverage: Float[Tensor, ""]
    """Share of the border that has matches."""


@dataclass(frozen=True)
class Parallax(TensorDataclass):
    """What the border of a picture shows, as shares of its matches."""

    seen: Float[Tensor, ""]
    """No homography explains them: the camera does not only turn or zoom, nor see one plane."""
    explained: Float[Tensor, ""]
    """No homography does, but the pose does."""
    contradicted: Float[Tensor, ""]
    """Far from the epipolar lines of the pose."""
    coverage: Float[Tensor, ""]
    """Share of the border that has matches at all."""

    @property
    def is_enough(self) -> Bool[Tensor, ""]:
        """Whether a first pose can rest on it."""
        enough = (self.explained > _ENOUGH) & (self.contradicted < _DOUBTFUL)
        return enough & (self.coverage >= _SMALLEST_COVERAGE)

    def excels(self, other: Parallax) -> Bool[Tensor, ""]:
        """Whether this pose explains more of the same matches than another one does."""
        return self.explained - self.contradicted > other.explained - other.contradicted

    @property
    def is_absent(self) -> Bool[Tensor, ""]:
        """Whether the border moves as before a camera that turns, whatever the middle does."""
        return self.seen < _LITTLE

    @property
    def is_contradicted(self) -> Bool[Tensor, ""]:
        """Whether what moves is no static world before this camera."""
        return self.contradicted > _CONTRADICTED


def border_of(
    first: Float[Tensor, "2 n"],
    second: Float[Tensor, "2 n"],
    is_seen: Bool[Tensor, " n"],
    cells: Float[Tensor, "c n"],
    focal: Float[Tensor, "2"],
) -> Border:
    """Return what moves at the border, and by which homography.

    A camera that turns or zooms moves the picture of a static world by a homography, whatever its
    focal length. A subject that it follows is in the middle: a pose that explains how the subject
    moves has no support at the border (model selection as by Torr, Fitzgibbon and Zisserman 1999,
    by where matches are in place of how many).

    Args:
        first: Pixels of matches, from the centre.
        second: Where they are in the other frame.
        is_seen: Which of them are matches.
        cells: Of :func:`border_cells`.
        focal: Focal lengths, pixels.
    """
    seen = is_seen.to(cells.dtype)
    counts = cells @ seen
    held = (counts >= _FEWEST_IN_CELL).to(cells.dtype)
    number = held.sum()
    inside = (held @ cells) * seen
    share = (held / (counts * number.clamp_min(1)).clamp_min(1)) @ cells * seen
    distance = _from_homography(first, second, inside, focal)
    return Border(first, second, distance > _PARALLAX_PX, share, number / len(cells))


def border_parallax(border: Border, pose: Pose, focal: Float[Tensor, "2"]) -> Parallax:
    """Return how well a pose, from the first camera to the second, explains the border."""
    distance = epipolar_distance(border.first, border.second, pose, focal)
    cases = (border.leaves, border.leaves & (distance < _PARALLAX_PX), distance > _CONTRADICTION_PX)
    shares = torch.stack(torch.broadcast_tensors(*cases)).to(distance.dtype) @ border.share
    return Parallax(*shares, coverage=border.coverage)


def epipolar_distance(
    first: Float[Tensor, "2 n"],
    second: Float[Tensor, "2 n"],
    pose: Pose,
    focal: Float[Tensor, "2"],
) -> Float[Tensor, "*batch n"]:
    """Return how far matches are from the epipolar geometry of a pose (Sampson), pixels."""
    essential = skew(pose.translation) @ pose.rotation
    a, b = (torch.cat((p / focal[:, None], torch.ones_like(p[:1]))) for p in (first, second))
    there, back = essential @ a, essential.mT @ b
    slopes = torch.cat((there[..., :2, :], back[..., :2, :]), dim=-2) / focal.repeat(2)[:, None]
    return (b * there).sum(dim=-2).abs() / slopes.square().sum(dim=-2).clamp_min(1e-20).sqrt()


def _from_homography(
    first: Float[Tensor, "2 n"],
    second: Float[Tensor, "2 n"],
    inside: Float[Tensor, " n"],
    focal: Float[Tensor, "2"],
) -> Float[Tensor, " n"]:
    """Return how far matches are from the homography that explains most of them, pixels."""
    x, y = first / focal[:, None]
    u, v = second / focal[:, None]
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    rows = torch.stack((
        torch.stack((x, y, one, zero, zero, zero, -u * x, -u * y, u)),
        torch.stack((zero, zero, zero, x, y, one, -v * x, -v * y, v)),
    ), dim=1) * focal[:, None]  # (9, 2, n)  # fmt: skip
    _, squared = fit_robustly(rows, inside, _PARALLAX_PX / 2, _ROUNDS, inside > 0)
    return squared.sqrt()


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def border_cells(
    camera: Camera, step: int, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "c n"]:
    """Return which points of a grid lie in which cell of the picture's border.

    Args:
        camera: The camera of the maps.
        step: Distance of the points, pixels; the first one lies half of it from the corner.
        dtype: Of the table.
        device: Where it is kept.
    """
    uv = camera.pixels(torch.device("cpu"))[:, step // 2 :: step, step // 2 :: step].flatten(1)
    edge = torch.tensor(camera.content)[:, None] + 0.5
    share = ((uv + edge) / (2 * edge)).clamp(0, 1 - 1e-6)
    number = torch.tensor([_CELLS[1], _CELLS[0]])[:, None]
    column, row = (share * number).long()
    at_border = (row == 0) | (row == _CELLS[0] - 1) | (column == 0) | (column == _CELLS[1] - 1)
    at_border &= (uv.abs() <= edge).all(dim=0)
    table = torch.zeros(_CELLS[0] * _CELLS[1], uv.shape[1], dtype=dtype)
    table[row * _CELLS[1] + column, torch.arange(uv.shape[1])] = at_border.to(dtype)
    return table[table.any(dim=1)].to(device)
