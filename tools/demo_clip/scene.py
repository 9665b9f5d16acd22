"""The scene of the demo clip: hot-air balloons over rolling country at sunset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.data.procedural.imaging.compositor import LayerStack
from core.data.procedural.imaging.motion import FOCAL, BodyMotion, CameraMotion
from core.data.procedural.scenes import ProceduralScenes
from core.data.sensor import Sensor
from tools.demo_clip.balloon import balloon
from tools.demo_clip.canvas import ASPECT, REACH, Picture
from tools.demo_clip.landscape import hills, mountains, sky
from tools.demo_clip.plants import meadow, tree


@dataclass(frozen=True)
class _Piece:
    """One layer of the scene."""

    picture: Picture
    """What is seen on it."""
    depth: tuple[float, float]
    """Inverse depth at y = 0, and its growth for each unit of y downwards."""
    center: tuple[float, float] = (0.0, 0.0)
    """View coordinates of the picture's centre."""
    size: float = 0.0
    """Half the side of a square picture in view coordinates; 0 for a canvas."""
    path: tuple[float, float] = (0.0, 0.0)
    """Way through the image within the clip by its own motion, in view coordinates."""
    sway: float = 0.0
    """Rotation within the clip, radians."""


def build_demo_scene(image_size: tuple[int, int]) -> ProceduralScenes:
    """Build the scene, a batch of one on the CPU.

    Args:
        image_size: Height and width of the views in pixels.
    """
    pieces = _pieces()
    shake = torch.tensor([[[0.0012, 0.9, 0.1], [0.001, 0.7, 0.4]]])
    camera = CameraMotion(
        turn=torch.tensor([[[-0.022, 0.012, 0.004], [0.006, 0.004, 0.0]]]),
        travel=torch.tensor([[[-0.17, -0.022, -0.10], [0.02, 0.0, 0.0]]]),
        zoom=torch.zeros(1, 2),
        shake=shake,
    )
    shift = [
        [[p.path[0] / (FOCAL * _depth(p)), p.path[1] / (FOCAL * _depth(p)), 0.0], [0.0] * 3]
        for p in pieces
    ]
    moving = torch.tensor([[p.path != (0.0, 0.0) for p in pieces]])
    count = len(pieces)
    return ProceduralScenes(
        stack=LayerStack(
            planes=torch.tensor([[[0.0, p.depth[1], p.depth[0]] for p in pieces]]),
            charts=torch.stack([_chart(p) for p in pieces])[None],
            textures=tuple(_texture(p.picture) for p in pieces),
            shadow_offsets=torch.zeros(1, count, 2),
            shadow_opacities=torch.zeros(1, count),
            moving=moving,
        ),
        camera=camera,
        bodies=BodyMotion(
            centers=torch.tensor([[p.center for p in pieces]]),
            shift=torch.tensor([shift]),
            spin=torch.tensor([[[p.sway, 0.0] for p in pieces]]),
            stretch=torch.zeros(1, count, 2),
        ),
        sensor=Sensor(
            blur=torch.zeros(1),
            noise=torch.zeros(1),
            vignette=torch.tensor([0.18]),
            keys=torch.zeros(1, dtype=torch.int32),
        ),
        image_size=image_size,
    )


def _pieces() -> list[_Piece]:
    violet, rose = np.array([0.42, 0.38, 0.55]), np.array([0.86, 0.64, 0.60])
    slate, peach = np.array([0.30, 0.29, 0.44]), np.array([0.78, 0.55, 0.48])
    red, white, navy = (0.86, 0.16, 0.14), (0.97, 0.93, 0.86), (0.12, 0.20, 0.45)
    yellow, orange, teal = (0.99, 0.78, 0.20), (0.95, 0.45, 0.12), (0.10, 0.52, 0.55)
    plum = (0.45, 0.17, 0.42)
    return [
        _Piece(sky(), (0.03, 0.0)),
        _Piece(mountains(21, 0.10, 0.20, violet, rose), (0.05, 0.0)),
        _Piece(mountains(35, 0.13, 0.13, slate, peach), (0.075, 0.0)),
        _Piece(
            hills(5, 0.12, 0.03, np.array([0.50, 0.52, 0.34]), 0.55, 0.008, 900),
            (0.09, 0.1),
        ),
        _Piece(
            balloon(160, [teal, white, teal, yellow], 16, 1),
            (0.16, 0.0), (-0.02, 0.06), 0.11, (0.015, -0.11), 0.02,
        ),
        _Piece(
            hills(8, 0.20, 0.05, np.array([0.42, 0.47, 0.22]), 0.3, 0.013, 700),
            (0.15, 0.22),
        ),
        _Piece(
            balloon(260, [yellow, orange, yellow, plum], 20, 2),
            (0.33, 0.0), (0.62, -0.19), 0.2, (-0.05, -0.05), -0.03,
        ),
        _Piece(
            hills(13, 0.36, 0.05, np.array([0.33, 0.40, 0.15]), 0.12, 0.024, 260),
            (0.22, 0.75),
        ),
        _Piece(
            balloon(420, [red, white, red, navy], 24, 1),
            (0.62, 0.0), (-0.2, -0.1), 0.37, (0.10, -0.05), 0.04,
        ),
        _Piece(tree(620, 3), (0.95, 0.0), (-0.84, -0.02), 0.56),
        _Piece(meadow(9, 0.44), (1.1, 0.0)),
    ]  # fmt: skip


def _depth(piece: _Piece) -> float:
    return piece.depth[0] + piece.depth[1] * piece.center[1]


def _chart(piece: _Piece) -> Tensor:
    across = piece.size or REACH
    down = piece.size or REACH * ASPECT
    x, y = piece.center
    return torch.tensor(
        [[1.0 / across, 0.0, -x / across], [0.0, 1.0 / down, -y / down], [0.0, 0.0, 1.0]]
    )


def _texture(picture: Picture) -> Tensor:
    return torch.from_numpy(picture.transpose(2, 0, 1).copy())[None]
