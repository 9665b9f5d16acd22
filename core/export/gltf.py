"""Gaussian scenes as binary glTF with the extension KHR_gaussian_splatting.

Source: the extension's release candidate,
https://github.com/KhronosGroup/glTF/tree/main/extensions/2.0/Khronos/KHR_gaussian_splatting
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from core.export.splats import Splats
from core.io.atomic import atomic_path

_EXTENSION = "KHR_gaussian_splatting"
_UNSIGNED_BYTE, _FLOAT = 5121, 5126
_ARRAY_BUFFER = 34962
_POINTS = 0


def write_glb(path: str | Path, splats: Splats) -> None:
    """Write one scene: axes right, up, backward, all values in float32.

    A viewer that does not know the extension shows coloured points.

    Raises:
        UserError: If the file cannot be written.
    """
    splats = splats.upright()
    rgba = np.column_stack([splats.colors, splats.opacities])
    attributes = {
        "POSITION": splats.means,
        "COLOR_0": np.rint(rgba * 255).clip(0, 255).astype(np.uint8),
        f"{_EXTENSION}:ROTATION": splats.quats[:, [1, 2, 3, 0]],
        f"{_EXTENSION}:SCALE": splats.scales,
        f"{_EXTENSION}:OPACITY": splats.opacities,
        f"{_EXTENSION}:SH_DEGREE_0_COEF_0": splats.harmonics,
    }
    arrays = [np.ascontiguousarray(array) for array in attributes.values()]
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "StreamSplat"},
        "extensionsUsed": [_EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": [0] if len(splats) else []}],
    }
    if len(splats):  # glTF has no empty accessors
        document |= _mesh(list(attributes), arrays)
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    length = sum(array.nbytes for array in arrays)
    binary = 8 + length if length else 0
    with atomic_path(path) as partial, partial.open("wb") as file:
        file.write(struct.pack("<4sII", b"glTF", 2, 20 + len(text) + binary))
        file.write(struct.pack("<I4s", len(text), b"JSON") + text)
        if length:
            file.write(struct.pack("<I4s", length, b"BIN\0"))
            for array in arrays:
                file.write(array.data)


def _mesh(names: list[str], arrays: list[np.ndarray]) -> dict[str, Any]:
    """Return the parts of the document that describe the Gaussians."""
    views, accessors, offset = [], [], 0
    for array in arrays:
        view = {"buffer": 0, "byteOffset": offset, "byteLength": array.nbytes}
        views.append(view | {"target": _ARRAY_BUFFER})
        accessor: dict[str, Any] = {
            "bufferView": len(accessors),
            "componentType": _FLOAT if array.dtype == np.float32 else _UNSIGNED_BYTE,
            "count": len(array),
            "type": {1: "SCALAR", 3: "VEC3", 4: "VEC4"}[array.size // len(array)],
        }
        if array.dtype == np.uint8:
            accessor["normalized"] = True
        accessors.append(accessor)
        offset += array.nbytes
    accessors[0] |= {"min": arrays[0].min(axis=0).tolist(), "max": arrays[0].max(axis=0).tolist()}
    primitive = {
        "mode": _POINTS,
        "attributes": {name: index for index, name in enumerate(names)},
        "extensions": {_EXTENSION: {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}},
    }
    return {
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "buffers": [{"byteLength": offset}],
        "bufferViews": views,
        "accessors": accessors,
    }
