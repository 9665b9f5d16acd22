"""Furniture, fixtures and vehicles, each of a few boxes."""

from __future__ import annotations

from core.data.procedural.perspective.quads import Range, Rect, Template, cuboid, upright

_ALL = "front back left right top bottom"


def _legs(reach_x: float, reach_z: float, thickness: float, top: float) -> list[Rect]:
    # Two crossing walls each, which look alike from everywhere.
    places = [(sx * reach_x, sz * reach_z) for sx in (-1.0, 1.0) for sz in (-1.0, 1.0)]
    crossed = [
        [
            upright(x - thickness, z, x + thickness, z, (0.0, top), 1),
            upright(x, z - thickness, x, z + thickness, (0.0, top), 1),
        ]
        for x, z in places
    ]
    return [rect for pair in crossed for rect in pair]


def _front(x: Range, height: Range, z: float, material: int) -> Rect:
    return cuboid(x, height, (z, z), material, "front")[0]


def _wheels(reach: float, height: float) -> list[Rect]:
    places = [(x, z) for x in (-1.01, 1.01) for z in (-0.62, 0.62)]
    return [upright(x, z - reach, x, z + reach, (0.0, height), 2) for x, z in places]


_BOX = cuboid((-1, 1), (0, 1), (-1, 1), faces=_ALL)

_CUPBOARD = [
    *_BOX,
    _front((-0.94, -0.03), (0.06, 0.94), -1.03, 1),
    _front((0.03, 0.94), (0.06, 0.94), -1.03, 1),
    _front((-0.12, -0.06), (0.4, 0.65), -1.08, 0),
    _front((0.06, 0.12), (0.4, 0.65), -1.08, 0),
]

_DRAWERS = [
    *_BOX,
    *(_front((-0.92, 0.92), (low, low + 0.26), -1.03, 1) for low in (0.06, 0.36, 0.66)),
    *(_front((-0.2, 0.2), (low + 0.1, low + 0.14), -1.08, 0) for low in (0.06, 0.36, 0.66)),
]

_TABLE = [
    *cuboid((-1, 1), (0.93, 1.0), (-1, 1), faces=_ALL),
    *_legs(0.9, 0.85, 0.05, 0.93),
]

_CHAIR = [
    *cuboid((-1, 1), (0.44, 0.5), (-1, 1), faces=_ALL),
    *cuboid((-0.95, 0.95), (0.58, 1.0), (0.85, 1.0)),
    *_legs(0.9, 0.9, 0.07, 0.44),
]

_BOOKCASE = [
    upright(-1, -1, -1, 1, (0.0, 1.0)),
    upright(1, -1, 1, 1, (0.0, 1.0)),
    upright(-1, 1, 1, 1, (0.0, 1.0), 1),
    *(
        Rect((0.0, -height, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0), 0, closed=False)
        for height in (0.03, 0.27, 0.51, 0.75, 1.0)
    ),
    _front((-0.95, 0.4), (0.03, 0.23), -0.5, 1),
    _front((-0.2, 0.9), (0.27, 0.46), -0.3, 2),
    _front((-0.9, 0.1), (0.51, 0.69), -0.6, 2),
    _front((-0.5, 0.8), (0.75, 0.95), -0.4, 1),
]

_SOFA = [
    *cuboid((-1, 1), (0.08, 0.5), (-1, 0.6)),
    *cuboid((-1, 1), (0.08, 1.0), (0.6, 1.0)),
    *cuboid((-1, -0.8), (0.08, 0.7), (-0.95, 0.7), 1),
    *cuboid((0.8, 1), (0.08, 0.7), (-0.95, 0.7), 1),
]

_BED = [
    *cuboid((-1, 1), (0.1, 0.4), (-1, 1)),
    *cuboid((-0.97, 0.97), (0.4, 0.62), (-0.97, 0.97), 1),
    *cuboid((-0.7, 0.7), (0.62, 0.75), (0.6, 0.95), 2),
    *cuboid((-1, 1), (0.0, 1.0), (1.0, 1.05)),
]

_DESK = [
    *cuboid((-1, 1), (0.94, 1.0), (-1, 1), faces=_ALL),
    upright(-0.95, -0.9, -0.95, 0.9, (0.0, 0.94)),
    *cuboid((0.35, 0.97), (0.0, 0.94), (-0.9, 0.9), 1, "front back left right"),
]

_SCREEN = [
    *cuboid((-1, 1), (0.25, 1.0), (-0.3, 0.3), 1, _ALL),
    _front((-0.94, 0.94), (0.29, 0.96), -0.35, 2),
    *cuboid((-0.15, 0.15), (0.0, 0.3), (-0.2, 0.2)),
    *cuboid((-0.4, 0.4), (0.0, 0.03), (-1, 1)),
]

FURNITURE = (
    "box",
    "cupboard",
    "drawers",
    "table",
    "chair",
    "bookcase",
    "sofa",
    "bed",
    "desk",
    "screen",
)
"""Names of the things of :data:`FURNITURE_TEMPLATE`, in their order."""

FURNITURE_TEMPLATE = Template.of(
    [_BOX, _CUPBOARD, _DRAWERS, _TABLE, _CHAIR, _BOOKCASE, _SOFA, _BED, _DESK, _SCREEN]
)

FIXTURE_TEMPLATE = Template.of(
    [
        # A picture: a frame around a surface. A window: the same with a crossbar before it.
        [*cuboid((-1, 1), (0, 1), (-1, 1)), _front((-0.88, 0.88), (0.08, 0.92), -1.1, 1)],
        [
            *cuboid((-1, 1), (0, 1), (-1, 1)),
            _front((-0.92, 0.92), (0.06, 0.94), -1.05, 2),
            _front((-0.04, 0.04), (0.06, 0.94), -1.2, 0),
            _front((-0.92, 0.92), (0.62, 0.66), -1.2, 0),
        ],
        # A door: a frame, a leaf and its handle.
        [
            *cuboid((-1, 1), (0, 1), (-1, 1)),
            _front((-0.88, 0.88), (0.0, 0.94), -1.1, 1),
            _front((0.7, 0.82), (0.46, 0.5), -1.6, 0),
        ],
    ]
)
"""A picture, a window and a door."""

ROOM_TEMPLATE = Template.of(
    [
        [
            Rect(r.center, (-r.right[0], -r.right[1], -r.right[2]), r.down, material)
            for r, material in zip(_BOX, (2, 2, 2, 2, 1, 0), strict=True)
        ]
    ]
)
"""A box seen from inside: floor, ceiling and walls are materials 0, 1 and 2."""

VEHICLE_TEMPLATE = Template.of(
    [
        # A car and a van: body, windows, wheels.
        [
            *cuboid((-1, 1), (0.18, 0.62), (-1, 1)),
            *cuboid((-0.85, 0.85), (0.62, 1.0), (-0.6, 0.45), 1, "front back left right"),
            *cuboid((-0.85, 0.85), (0.62, 1.0), (-0.6, 0.45), 0, "top"),
            *_wheels(0.16, 0.4),
            upright(-1, -0.95, 1, -0.95, (0.1, 0.2), 2),
        ],
        [
            *cuboid((-1, 1), (0.12, 1.0), (-1, 1)),
            *(upright(x, -0.9, x, -0.3, (0.55, 0.85), 1) for x in (-1.01, 1.01)),
            upright(-0.9, -1.01, 0.9, -1.01, (0.5, 0.88), 1),
            *_wheels(0.14, 0.26),
        ],
    ]
)
"""A car and a van."""


def _partition(left: float, right: float, top: float) -> list[Rect]:
    # A wall with an opening and its frame.
    wall, depth = "front back left right", (-1.0, 1.0)
    return [
        *cuboid((-1, left), (0, 1), depth, faces=wall),
        *cuboid((right, 1), (0, 1), depth, faces=wall),
        *cuboid((left, right), (top, 1), depth, faces="front back bottom"),
        _front((left - 0.03, left), (0.0, top), -1.3, 1),
        _front((right, right + 0.03), (0.0, top), -1.3, 1),
        _front((left - 0.03, right + 0.03), (top, top + 0.03), -1.3, 1),
    ]


PARTITION_TEMPLATE = Template.of(
    [_partition(-0.15, 0.3, 0.8), _partition(-0.7, 0.2, 0.9), _partition(0.35, 0.75, 0.78)]
)
"""Walls with a door or a wide opening: wall and frame are materials 0 and 1."""

BOX_TEMPLATE = Template.of([_BOX])
"""A box."""

SHEET_TEMPLATE = Template.of(
    [[Rect((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0), 0, closed=False)]]
)
"""A level sheet, such as the ground."""

BUILDING_TEMPLATE = Template.of(
    [
        # Walls, a ground floor, rows of windows and a door, all towards the front.
        [
            *_BOX[:-1],
            _front((-1, 1), (0.0, 0.16), -1.02, 1),
            *(_front((-0.9, 0.9), (low, low + 0.12), -1.01, 2) for low in (0.26, 0.52, 0.78)),
            _front((0.1, 0.3), (0.0, 0.12), -1.04, 2),
        ],
        # A house with a garage.
        [
            *_BOX[:-1],
            _front((-0.8, -0.35), (0.35, 0.7), -1.01, 2),
            _front((0.3, 0.8), (0.35, 0.7), -1.01, 2),
            _front((-0.2, 0.1), (0.0, 0.5), -1.02, 1),
        ],
    ]
)
"""A block and a house: wall, ground floor or door, and windows are materials 0, 1 and 2."""
