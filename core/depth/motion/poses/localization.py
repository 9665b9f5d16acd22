"""Where the partners of a key frame were taken from, in the unit of the depth known before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from core.depth.motion.camera.focal_length import FocalEstimate
from core.depth.motion.camera.pinhole import Camera
from core.depth.motion.carrying import carry
from core.depth.motion.deciding import select, where_needed
from core.depth.motion.depth_map import DepthMap
from core.depth.motion.least_squares import masked_median
from core.depth.motion.matching import Matches
from core.depth.motion.pose import Pose
from core.depth.motion.poses.adjustment import Points, adjust, adjust_poses, robust_turn
from core.depth.motion.poses.parallax import border_cells, border_of, border_parallax
from core.depth.motion.poses.self_calibration import recalibrate
from core.depth.motion.poses.translation_search import find_translation
from core.depth.motion.texture import Structure, corners
from core.types import TensorDataclass

_NUM_POINTS = 570
_FEWEST_POINTS = 50
_SMALLEST_OVERLAP = 0.4
"""Share of the points with texture that a partner must see to tell whether there is parallax."""
_PARALLAX_PX = 0.2
"""Median parallax, in pixels of the maps, below which a camera is taken to turn only."""
_FIRST_PARALLAX_PX = 1.0
"""The same as long as no depth comes from motion."""
_SMALLEST_CORRELATION = 0.2
"""Rank correlation with the depth known before below which a pose from matches is a wrong one."""
_NOISE_PX = 0.3
_KNOWN_SHARE = 0.2
"""What the certainty of depth counts when poses are adjusted with it: its errors are alike from
point to point and from key frame to key frame."""
_TURN_ROUNDS, _POSE_ROUNDS, _JOINT_ROUNDS = 3, 3, 2


@dataclass(frozen=True)
class Localized(TensorDataclass):
    """Poses of all partners."""

    pose: Pose
    """From the key frame to each partner."""
    has_parallax: Bool[Tensor, ""]
    """Whether the camera moved before a static world; if not, translations are 0."""
    is_contradicted: Bool[Tensor, ""]
    """Whether something moved that no pose explains."""
    focal: FocalEstimate | None
    """What is known of the focal length now; None where it was known before."""


def localize(
    matches: Matches,
    texture: Structure,
    there: DepthMap,
    camera: Camera,
    is_scaled: Bool[Tensor, ""],
    estimate: FocalEstimate | None = None,
) -> Localized:
    """Find the poses of partners from matches.

    Poses come from the depth that is known; then they and inverse depths of a grid of points are
    adjusted together. Where the border of the picture contradicts them, that is done again from the
    translation, of all directions, that explains the matches of the partner with the most parallax.
    What has too little parallax at the border, or contradicts every pose, is left with rotations.

    Args:
        matches: Of the key frame in each partner; the first is the key frame before.
        texture: The structure tensor of the key frame.
        there: Depth of the key frame before, read where the matches lead.
        camera: The camera of all.
        is_scaled: Whether that depth comes from motion; if not, more proof is asked for.
        estimate: What is known of the focal length; by default that of the camera is the true one.
    """
    step = _step(camera)
    there = replace(there, certainty=there.certainty * (matches.trust[0] > 0))
    points, held = _sampled(matches, texture, there, camera, step)
    focal = camera.focal(points.rays)
    turned, distance = robust_turn(points, focal, _NOISE_PX, _TURN_ROUNDS)
    is_seen = points.trust > 0
    counts = is_seen.sum(dim=1)
    enough = (counts >= _FEWEST_POINTS) & (counts > _SMALLEST_OVERLAP * held)
    left = torch.where(enough, masked_median(distance, is_seen), 0.0)
    most = left.argmax(dim=0, keepdim=True)
    cells = border_cells(camera, step, focal.dtype, focal.device)
    border = border_of(
        camera.focal(points.rays)[:, None] * points.rays[:2],
        points.seen.index_select(0, most)[0],
        is_seen.index_select(0, most)[0],
        cells,
        focal,
    )

    def tried(starts: _Start) -> _Tried:
        pose = _refined(starts, points, there, focal)
        at_most = pose.map(lambda value: value.index_select(1, most)[:, 0])
        parallax = border_parallax(border, at_most, focal)
        return _Tried(pose, parallax.explained - parallax.contradicted, parallax.is_enough,
                      parallax.is_absent, parallax.is_contradicted)  # fmt: skip

    known = _Start(turned, points.inverse_depths, points.certainty > 0).map(_as_batch)
    if focal.is_cuda:  # both in any case, but side by side: the host need not know which one counts
        start, is_possible = _search(points, turned, most, focal)
        first, second = tried(_Start.cat([known, start.map(_as_batch)])).split([1, 1])
        found = _better(first, second, is_possible)
    else:
        found = tried(known)
        if not (found.is_enough | found.is_absent):
            start, is_possible = _search(points, turned, most, focal)
            if is_possible:
                found = _better(found, tried(start.map(_as_batch)), is_possible)
    found = found.map(lambda value: value[0])
    smallest = torch.where(is_scaled, _PARALLAX_PX, _FIRST_PARALLAX_PX)
    moves = (left.amax() >= smallest) & ~found.is_absent & (is_scaled | found.is_enough)
    has_parallax = moves & ~found.is_contradicted
    pose = select(has_parallax, found.pose, turned)
    if estimate is not None:
        work = partial(recalibrate, points, pose, focal, estimate)
        estimate = where_needed(has_parallax, work, estimate)
    return Localized(pose, has_parallax, moves & found.is_contradicted, estimate)


def locate(matches: Matches, texture: Structure, known: DepthMap, camera: Camera) -> Pose:
    """Return the poses of partners of a frame whose own depth is known.

    Args:
        matches: Of the frame in each partner.
        texture: The structure tensor of the frame.
        known: Its depth.
        camera: The camera of all.
    """
    points, _ = _sampled(matches, texture, known, camera, _step(camera))
    focal = camera.focal(points.rays)
    turned, _ = robust_turn(points, focal, _NOISE_PX, _TURN_ROUNDS)
    pose = adjust_poses(points, turned, focal, _POSE_ROUNDS)
    return adjust(points, pose, focal, _JOINT_ROUNDS)[1]


@dataclass(frozen=True)
class _Start(TensorDataclass):
    """What poses are sought from; ``s`` of them side by side."""

    pose: Pose
    inverse_depths: Float[Tensor, "*s n"]
    trusted: Bool[Tensor, "*s n"]
    """Which of them count."""


@dataclass(frozen=True)
class _Tried(TensorDataclass):
    """Poses, and what the border says of them."""

    pose: Pose
    gain: Float[Tensor, "*s"]
    is_enough: Bool[Tensor, "*s"]
    is_absent: Bool[Tensor, "*s"]
    is_contradicted: Bool[Tensor, "*s"]


def _better(first: _Tried, second: _Tried, is_possible: Bool[Tensor, ""]) -> _Tried:
    """Return the second poses if they explain more of a border that the first leave open."""
    is_open = ~first.is_enough & ~first.is_absent
    is_better = is_open & is_possible & (second.gain > first.gain)
    others = iter(second.tensors())

    def choose(value: Tensor) -> Tensor:
        condition = is_better.view(-1, *[1] * (value.dim() - 1))
        return torch.where(condition, next(others), value)

    return first.map(choose)


def _refined(starts: _Start, points: Points, there: DepthMap, focal: Float[Tensor, "2"]) -> Pose:
    """Return all poses for each start, at first from its depth as it is."""
    alone = replace(
        points,
        inverse_depths=starts.inverse_depths,
        trust=points.trust * starts.trusted[:, None],
    )
    pose = adjust_poses(alone, starts.pose, focal, _POSE_ROUNDS)
    to_before = pose.map(lambda value: value[:, 0])
    known = DepthMap(points.known, points.certainty)
    carried = carry(known, points.trust[0] > 0, to_before, points.rays)
    rho, certainty = carried.inverse_depth, carried.certainty
    joint = replace(
        points,
        inverse_depths=torch.where(certainty > 0, rho, starts.inverse_depths),
        known=rho,
        certainty=_KNOWN_SHARE * certainty,
    )
    return adjust(joint, pose, focal, _JOINT_ROUNDS)[1]


def _search(
    points: Points, turned: Pose, most: Tensor, focal: Float[Tensor, "2"]
) -> tuple[_Start, Bool[Tensor, ""]]:
    """Return the start that matches alone suggest, in the unit of the depth known beforehand.

    Also return whether most matches agree with it, and it ranks depths as they were known.
    """
    seen, trust = (x.index_select(0, most)[0] for x in (points.seen, points.trust))
    found = find_translation(points.rays, seen, trust > 0, _element(turned, most), focal)
    rho = found.inverse_depths
    good = found.explained & (rho > 0) & (points.certainty > 0)
    unit = masked_median(points.known / rho.clamp_min(1e-9), good)
    is_possible = (good.sum() >= _FEWEST_POINTS) & found.is_found
    is_possible &= _rank_correlation(points.known, rho, good) > _SMALLEST_CORRELATION
    unit = torch.where(is_possible, unit, 1.0)
    depths = torch.where(good, rho * unit, points.known)
    is_most = torch.arange(len(points.seen), device=most.device) == most
    pose = Pose(
        torch.where(is_most[:, None, None], found.pose.rotation, turned.rotation),
        torch.where(is_most[:, None], found.pose.translation / unit, turned.translation),
    )
    return _Start(pose, depths, good), is_possible


def _step(camera: Camera) -> int:
    """Return the distance of the points of a grid, pixels."""
    return max(1, int((camera.height * camera.width / _NUM_POINTS) ** 0.5))


def _sampled(
    matches: Matches, texture: Structure, known: DepthMap, camera: Camera, step: int
) -> tuple[Points, Tensor]:
    """Return a grid of points in double precision, and how many of them have texture."""
    grid = (..., slice(step // 2, None, step), slice(step // 2, None, step))
    device = matches.flow.device

    def sample(values: Float[Tensor, "*c h w"]) -> Float[Tensor, "*c n"]:
        return values[grid].flatten(-2).double()

    held = corners(sample(texture))
    trust = sample(matches.trust) * held
    rho = sample(known.inverse_depth)
    points = Points(
        rays=sample(camera.rays(device)),
        inverse_depths=rho,
        known=rho,
        certainty=sample(known.certainty),
        seen=sample(camera.pixels(device) + matches.flow),
        trust=trust,
    )
    return points, (held > 0).sum().clamp_min(1)


def _rank_correlation(
    first: Float[Tensor, " n"], second: Float[Tensor, " n"], mask: Bool[Tensor, " n"]
) -> Float[Tensor, ""]:
    """Return Spearman's rank correlation of what a mask leaves."""
    number = mask.sum().clamp_min(2).double()
    both = torch.where(mask, torch.stack((first, second)), torch.inf)
    ranks = (both.argsort().argsort() - (number - 1) / 2) * mask
    return (ranks[0] @ ranks[1]) / ((number.pow(3) - number) / 12)


def _element(pose: Pose, index: Tensor) -> Pose:
    return pose.map(lambda value: value.index_select(0, index)[0])


def _as_batch(value: Tensor) -> Tensor:
    return value[None]
