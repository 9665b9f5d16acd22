"""A reader of scene files written from docs/format.md alone, number by number."""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

F = np.float32


@dataclass
class PlainScene:
    """What the records say."""

    head: dict[str, Any]
    key_frames: list[dict[str, Any]]
    intervals: list[dict[str, Any]]
    index: list[tuple[int, bytes, bytes]]


def read(path: Path) -> PlainScene:
    """Read all records from the beginning of a complete file."""
    data = path.read_bytes()
    assert data[:8] == bytes.fromhex("89535350 4C0D0A1A")
    scene = PlainScene({}, [], [], [])
    at = 8
    while at < len(data):
        length, kind = struct.unpack_from("<I4s", data, at)
        payload = data[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from("<I", data, at + 8 + length)
        assert checksum == zlib.crc32(kind + payload)
        if kind == b"HEAD":
            scene.head = read_head(payload)
        elif kind == b"KEYF":
            number, shot, time = struct.unpack_from("<IId", payload)
            groups, end = read_block(payload, 16, scene.head)
            assert end == length
            assert number == len(scene.key_frames)
            gaussians = key_frame(groups, scene.head)
            scene.key_frames.append({"shot": shot, "time": time, "gaussians": gaussians})
        elif kind == b"INTV":
            number, first, second, degree = struct.unpack_from("<IIII", payload)
            assert number == len(scene.intervals)
            parts, end = [], 16
            for _ in range(0 if first == second else 2):
                groups, end = read_block(payload, end, scene.head)
                parts.append(dynamics(groups, degree))
            assert end == length
            scene.intervals.append({"first": first, "second": second, "parts": parts})
        elif kind == b"INDX":
            (count,) = struct.unpack_from("<I", payload)
            scene.index = [struct.unpack_from("<Q4s16s", payload, 4 + 28 * i) for i in range(count)]
            assert struct.unpack_from("<Q", payload, 4 + 28 * count) == (at,)
            assert length == 12 + 28 * count
        at += 12 + length
    return scene


def read_head(payload: bytes) -> dict[str, Any]:
    values = struct.unpack_from("<HHIIIIII3fdI", payload)
    assert values[0] == 1
    name = payload[struct.calcsize("<HHIIIIII3fdI") :]
    assert len(name) == values[12]
    return {
        "fit": values[1],
        "picture": values[2:4],
        "grid": values[4:6],
        "frame": values[6:8],
        "background": values[8:11],
        "fps": values[11],
        "name": name.decode(),
    }


def read_block(payload: bytes, at: int, head: dict[str, Any]) -> tuple[dict[int, Any], int]:
    """Return the values of each group's channels, and where the block ends."""
    groups = {}
    count, at = payload[at], at + 1
    for _ in range(count):
        kind, channels, images = struct.unpack_from("<BBB", payload, at)
        at += 3
        ranges = [struct.unpack_from("<ff", payload, at + 8 * i) for i in range(channels)]
        at += 8 * channels
        levels = np.zeros((*head["grid"], 3), np.int64)
        for i in range(images):
            (length,) = struct.unpack_from("<I", payload, at)
            image = np.frombuffer(payload[at + 4 : at + 4 + length], np.uint8)
            pixels = cv2.imdecode(image, cv2.IMREAD_UNCHANGED)[:, :, ::-1]  # blue comes first
            levels += pixels.astype(np.int64) * 256**i
            at += 4 + length
        groups[kind] = [
            [F(F(low) + F(F(level) * F(step))) for level in levels[:, :, i].flatten().tolist()]
            for i, (low, step) in enumerate(ranges)
        ]
    return groups, at


def key_frame(groups: dict[int, Any], head: dict[str, Any]) -> list[dict[str, Any]]:
    rows, columns = head["grid"]
    gaussians = []
    for n in range(rows * columns):
        row, column = divmod(n, columns)
        dx, dz = (channel[n] for channel in groups[2])
        xc, zc = F((2 * column + 1) / columns - 1), F(1 - (2 * row + 1) / rows)
        p, q, o = (channel[n] for channel in groups[4])
        sx, sz = F(F(p * p) * F(p * p)), F(F(q * q) * F(q * q))
        sy = F(F(sx + sz) * F(0.5))
        if 5 in groups:
            p = groups[5][0][n]
            sy = F(F(p * p) * F(p * p))
        quat = (F(1), F(0), F(0), F(0))
        if 6 in groups:
            half = float(groups[6][0][n]) / 2
            quat = (F(math.cos(half)), F(0), F(math.sin(half)), F(0))
        if 7 in groups:
            quat = (groups[8][0][n], *(channel[n] for channel in groups[7]))
        gaussians.append(
            {
                "means": (F(xc + dx), groups[3][0][n], F(zc + dz)),
                "scales": (sx, sy, sz),
                "quats": quat,
                "colors": tuple(clamp(channel[n]) for channel in groups[1]),
                "opacities": clamp(o),
            }
        )
    return gaussians


def dynamics(groups: dict[int, Any], degree: int) -> list[dict[str, Any]]:
    slopes, half_lives = groups[15]
    return [
        {
            "motion": [tuple(channel[n] for channel in groups[16 + j]) for j in range(degree)],
            "opacity_slopes": F(slopes[n] * slopes[n]),
            "opacity_half_lives": clamp(half_lives[n]),
        }
        for n in range(len(slopes))
    ]


def clamp(value: np.float32) -> np.float32:
    return min(max(value, F(0)), F(1))
