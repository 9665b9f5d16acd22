"""Where the partners of a key frame were taken from, in the unit of the depth known before."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from core.depth.motion.adjustment import Points, adjust
from core.depth.motion.camera import Camera
from core.depth.motion.carrying import carry
from core.depth.motion.depth_map import DepthMap
from core.depth.motion.matching import Matches, follow
from core.depth.motion.parallax import Parallax, border_parallax
from core.depth.motion.pose import Pose, essential_pose, rotation_between

_NUM_POINTS = 900
_FEWEST_POINTS = 50
_SMALLEST_OVERLAP = 0.4
"""Share of the points with texture that a partner must see to tell whether there is parallax."""
_PARALLAX_PX = 0.2
"""Median parallax, in pixels of the maps, below which a camera is taken to turn only."""
_FIRST_PARALLAX_PX = 1.0
"""The same as long as no depth comes from motion."""
_FEWEST_INLIERS = 0.5
_SMALLEST_CORRELATION = 0.2
"""Rank correlation with the depth known before below which a pose from matches is a wrong one."""
_NOISE_PX = 0.3
_POSE_ROUNDS, _JOINT_ROUNDS = 6, 5


@dataclass(frozen=True)
class Localized:
    """Poses of all partners."""

    poses: list[Pose]
    """From the key frame to each partner."""
    has_parallax: bool
    """Whether the camera moved before a static world; if not, translations are 0."""
    is_contradicted: bool = False
    """Whether something moved that no pose explains."""


def localize(
    matches: list[Matches],
    corners: Float[np.ndarray, "h w"],
    before: DepthMap,
    camera: Camera,
    *,
    is_scaled: bool,
) -> Localized:
    """Find the poses of partners from matches.

    Poses come from the depth that is known; then they and inverse depths of a grid of points are
    adjusted together. Where the border of the picture contradicts them, that is done again from the
    essential matrix of the partner with the most parallax (RANSAC). What has too little parallax at
    the border, or contradicts every pose, is left with rotations.

    Args:
        matches: Of the key frame in each partner; the first is the key frame before.
        corners: How well the key frame's texture holds its matches, from 0 to 1.
        before: Depth of the key frame before.
        camera: The camera of all.
        is_scaled: Whether ``before`` comes from motion; if not, more proof is asked for.
    """
    points = _Sampled(matches, corners, before, camera)
    turns = [points.turn(i) for i in range(len(matches))]
    still = Localized([Pose(rotation, np.zeros(3)) for rotation, _ in turns], has_parallax=False)
    most = max(range(len(matches)), key=lambda i: turns[i][1])
    if turns[most][1] < (_PARALLAX_PX if is_scaled else _FIRST_PARALLAX_PX):
        return still
    poses = _refined(points, matches, before, still.poses, None, camera)
    parallax = points.border_parallax(most, poses[most])
    if parallax.is_absent:
        return still
    if not parallax.is_enough:
        first = points.first_pose(most)
        if first is not None and first.parallax.excels(parallax):
            poses = _refined(points, matches, before, still.poses, first, camera)
            parallax = first.parallax
    if not is_scaled and not parallax.is_enough:
        return still
    if parallax.is_contradicted:
        return replace(still, is_contradicted=True)
    return Localized(poses, has_parallax=True)


def _refined(
    points: _Sampled,
    matches: list[Matches],
    before: DepthMap,
    still: list[Pose],
    first: _First | None,
    camera: Camera,
) -> list[Pose]:
    """Return all poses, from the depth that is known or from that of a first pose."""
    known = points.points if first is None else first.points
    trusted = known.certainty > 0 if first is None else first.trusted
    poses = [_pose_alone(known, trusted, i, still[i], camera) for i in range(len(matches))]
    if first is not None:
        poses[first.partner] = first.pose
    carried = carry(before, matches[0], poses[0], camera)
    rho, certainty = points.sample(carried.inverse_depth), points.sample(carried.certainty)
    start = known.inverse_depths
    if first is None:
        start = np.where(certainty > 0, rho, start)
    joint = replace(known, inverse_depths=start, known=rho, certainty=certainty)
    return adjust(joint, poses, camera, _JOINT_ROUNDS)[1]


@dataclass(frozen=True)
class _First:
    """A pose that rests on matches alone."""

    partner: int
    """Whose it is."""
    pose: Pose
    points: Points
    """With the inverse depths that it gives."""
    trusted: Bool[np.ndarray, " n"]
    """Which of them the essential matrix explains."""
    parallax: Parallax
    """What the border of the picture says of it."""


class _Sampled:
    """A grid of points of a key frame and where its partners see them."""

    def __init__(
        self,
        matches: list[Matches],
        corners: Float[np.ndarray, "h w"],
        before: DepthMap,
        camera: Camera,
    ) -> None:
        step = max(1, int((camera.height * camera.width / _NUM_POINTS) ** 0.5))
        self._grid = np.s_[step // 2 :: step, step // 2 :: step]
        self._camera = camera
        self.pixels = self.sample(camera.pixels)
        held = self.sample(corners)
        trust = np.stack([self.sample(m.trust) * held for m in matches])
        self._num_held = max(1, int((held > 0).sum()))
        certainty = self.sample(follow(before.certainty, matches[0].flow, camera))
        rho = self.sample(follow(before.inverse_depth, matches[0].flow, camera))
        self.points = Points(
            rays=self.sample(camera.rays),
            inverse_depths=rho,
            known=rho,
            certainty=certainty * (trust[0] > 0),
            seen=np.stack([self.pixels + self.sample(m.flow) for m in matches]),
            trust=trust,
        )

    def sample(self, values: Float[np.ndarray, "h w"]) -> Float[np.ndarray, " n"]:
        """Return the values, which may have channels, of the points, in double precision."""
        picked = values[self._grid].astype(np.float64)
        return picked.reshape(-1, *picked.shape[2:])

    def turn(self, partner: int) -> tuple[Float[np.ndarray, "3 3"], float]:
        """Return the rotation that explains matches best, and the parallax that it leaves.

        The parallax is the median of the points, so that what moves by itself before a camera that
        turns is not taken for it; 0 where too few are seen.
        """
        points, camera = self.points, self._camera
        seen = points.trust[partner] > 0
        if seen.sum() < _FEWEST_POINTS:
            return np.eye(3), 0.0
        places = points.seen[partner][seen]
        there = np.linalg.solve(camera.matrix, np.insert(places, 2, 1, axis=1).T).T
        rotation = rotation_between(points.rays[seen], there, _NOISE_PX / camera.focal_px)
        turned = points.rays[seen] @ (camera.matrix @ rotation).T
        parallax = np.linalg.norm(turned[:, :2] / turned[:, 2:] - places, axis=1)
        enough = seen.sum() > _SMALLEST_OVERLAP * self._num_held
        return rotation, float(np.median(parallax)) if enough else 0.0

    def border_parallax(self, partner: int, pose: Pose) -> Parallax:
        """Return what the border of the picture shows of parallax."""
        seen = self.points.trust[partner] > 0
        return border_parallax(
            self.pixels[seen], self.points.seen[partner][seen], pose, self._camera
        )

    def first_pose(self, partner: int) -> _First | None:
        """Return the pose from the essential matrix, in the unit of the depth known beforehand.

        None if no pose explains most matches.
        """
        points, camera = self.points, self._camera
        seen = points.trust[partner] > 0
        found = essential_pose(self.pixels[seen], points.seen[partner][seen], camera)
        if found is None or found[1].mean() < _FEWEST_INLIERS:
            return None
        pose, inliers = found
        inverse_depths = _triangulate(points.rays, points.seen[partner], pose, camera)
        good = np.zeros(len(inverse_depths), bool)
        good[seen] = inliers
        good &= (inverse_depths > 0) & (points.certainty > 0)
        if good.sum() < _FEWEST_POINTS:
            return None
        if _rank_correlation(points.known[good], inverse_depths[good]) < _SMALLEST_CORRELATION:
            return None
        unit = float(np.median(points.known[good] / inverse_depths[good]))
        depths = np.where(good, inverse_depths * unit, points.known)
        scaled = Pose(pose.rotation, pose.translation / unit)
        parallax = self.border_parallax(partner, pose)
        return _First(partner, scaled, replace(points, inverse_depths=depths), good, parallax)


def _rank_correlation(first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"]) -> float:
    """Return Spearman's rank correlation."""
    a, b = (np.argsort(np.argsort(values)) for values in (first, second))
    return float(np.corrcoef(a, b)[0, 1])


def _pose_alone(
    points: Points, trusted: Bool[np.ndarray, " n"], partner: int, start: Pose, camera: Camera
) -> Pose:
    """Return a partner's pose from the points' inverse depths as they are."""
    one = replace(
        points,
        seen=points.seen[partner : partner + 1],
        trust=points.trust[partner : partner + 1] * trusted,
    )
    return adjust(one, [start], camera, _POSE_ROUNDS, poses_only=True)[1][0]


def _triangulate(
    rays: Float[np.ndarray, "n 3"], seen: Float[np.ndarray, "n 2"], pose: Pose, camera: Camera
) -> Float[np.ndarray, " n"]:
    """Return the inverse depths of points from one partner; see ``triangulate``."""
    x, k = rays @ (camera.matrix @ pose.rotation).T, camera.matrix @ pose.translation
    slope, gap = k[:2] - seen * k[2], seen * x[:, 2:] - x[:, :2]
    return (slope * gap).sum(axis=1) / np.maximum((slope * slope).sum(axis=1), 1e-12)
