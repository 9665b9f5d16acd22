"""Depth Anything V2 a second time, over a plain dictionary in the published naming.

It shares nothing with ``core.depth`` but the facts: sizes, names and the order of operations.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

# width, blocks, taps, channels of the taps, width of the head
SIZES = {
    "vits": (384, 12, (2, 5, 8, 11), (48, 96, 192, 384), 64),
    "vitb": (768, 12, (2, 5, 8, 11), (96, 192, 384, 768), 128),
    "vitl": (1024, 24, (4, 11, 17, 23), (256, 512, 1024, 1024), 256),
    "vitg": (1536, 40, (9, 19, 29, 39), (1536, 1536, 1536, 1536), 384),
}
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def published_shapes(width, blocks, channels, head, *, swiglu, grid=37):
    """Every key of a published file and its shape."""
    shapes = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 1 + grid**2, width),
        "mask_token": (1, width),
        "patch_embed.proj.weight": (width, 3, 14, 14),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    # Gated MLPs have two thirds of the hidden width, up to a multiple of 8.
    hidden = (int(4 * width * 2 / 3) + 7) // 8 * 8 if swiglu else 4 * width
    mlp = (("w12", "w3") if swiglu else ("fc1", "fc2"), 2 * hidden if swiglu else hidden, hidden)
    (first, second), rows, columns = mlp
    for i in range(blocks):
        for name, shape in {
            "norm1.weight": (width,),
            "norm1.bias": (width,),
            "attn.qkv.weight": (3 * width, width),
            "attn.qkv.bias": (3 * width,),
            "attn.proj.weight": (width, width),
            "attn.proj.bias": (width,),
            "ls1.gamma": (width,),
            "norm2.weight": (width,),
            "norm2.bias": (width,),
            f"mlp.{first}.weight": (rows, width),
            f"mlp.{first}.bias": (rows,),
            f"mlp.{second}.weight": (width, columns),
            f"mlp.{second}.bias": (width,),
            "ls2.gamma": (width,),
        }.items():
            shapes[f"blocks.{i}.{name}"] = shape
    shapes = {f"pretrained.{key}": shape for key, shape in shapes.items()}

    def conv(name, shape, bias):
        shapes[f"depth_head.{name}.weight"] = shape
        if bias:
            shapes[f"depth_head.{name}.bias"] = (bias,)

    c1, c2, _, c4 = channels
    for i, c in enumerate(channels):
        conv(f"projects.{i}", (c, width, 1, 1), c)
        conv(f"scratch.layer{i + 1}_rn", (head, c, 3, 3), 0)
    conv("resize_layers.0", (c1, c1, 4, 4), c1)
    conv("resize_layers.1", (c2, c2, 2, 2), c2)
    conv("resize_layers.3", (c4, c4, 3, 3), c4)
    for k in range(1, 5):
        conv(f"scratch.refinenet{k}.out_conv", (head, head, 1, 1), head)
        for unit in (1, 2):
            for n in (1, 2):
                name = f"scratch.refinenet{k}.resConfUnit{unit}.conv{n}"
                conv(name, (head, head, 3, 3), head)
    conv("scratch.output_conv1", (head // 2, head, 3, 3), head // 2)
    conv("scratch.output_conv2.0", (32, head // 2, 3, 3), 32)
    conv("scratch.output_conv2.2", (1, 32, 1, 1), 1)
    return shapes


def random_weights(shapes, seed=0):
    """Weights of about unit gain, so that every part of the network has a say in the output."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for key, shape in shapes.items():
        fan_in = math.prod(shape[1:]) if len(shape) > 1 else 1
        scale = 0.3 if len(shape) == 1 or "token" in key or "pos_embed" in key else fan_in**-0.5
        weights[key] = scale * torch.randn(shape, generator=generator)
        if key.endswith(("norm.weight", "norm1.weight", "norm2.weight", "gamma")):
            weights[key] += 1
    weights["depth_head.scratch.output_conv2.2.bias"] += 1
    return weights


def forward(weights, pixels, *, blocks, heads, taps, grid=37):
    """Depth (b, 1, h, w) of standardised pixels, in float64."""
    w = {key: value.double() for key, value in weights.items()}
    tapped = _transformer(w, pixels.double(), blocks, heads, taps, grid)
    return _head(w, tapped, pixels.shape[-2:])


def _transformer(w, pixels, blocks, heads, taps, grid):
    b = len(pixels)
    patches = F.conv2d(
        pixels,
        w["pretrained.patch_embed.proj.weight"],
        w["pretrained.patch_embed.proj.bias"],
        stride=14,
    )
    rows, columns = patches.shape[-2:]
    x = torch.cat(
        [
            w["pretrained.cls_token"].expand(b, -1, -1),
            patches.reshape(b, -1, rows * columns).transpose(1, 2),
        ],
        dim=1,
    )
    x = x + _positions(w["pretrained.pos_embed"], grid, rows, columns)
    tapped = []
    for i in range(blocks):
        x = _block({k.split(".", 3)[3]: v for k, v in w.items() if f".blocks.{i}." in k}, x, heads)
        if i in taps:
            y = _norm(x, w["pretrained.norm.weight"], w["pretrained.norm.bias"])
            tapped.append(y[:, 1:].transpose(1, 2).reshape(b, -1, rows, columns))
    return tapped


def _positions(learned, grid, rows, columns):
    if rows == columns == grid:
        return learned
    table = learned[0, 1:].reshape(grid, grid, -1)
    down = _cubic_matrix(grid, rows, (rows + 0.1) / grid)
    across = _cubic_matrix(grid, columns, (columns + 0.1) / grid)
    table = torch.einsum("ri,cj,ijd->rcd", down, across, table)
    return torch.cat([learned[:, :1], table.reshape(1, rows * columns, -1)], dim=1)


def _cubic_matrix(size, new_size, scale):
    """(new_size, size): Keys' kernel with a = -0.75, borders repeated, half-pixel centres."""
    a = -0.75
    matrix = np.zeros((new_size, size))
    for i in range(new_size):
        at = (i + 0.5) / scale - 0.5
        base = math.floor(at)
        for j in range(base - 1, base + 3):
            d = abs(at - j)
            near = (a + 2) * d**3 - (a + 3) * d**2 + 1
            far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
            matrix[i, min(max(j, 0), size - 1)] += near if d <= 1 else far
    return torch.from_numpy(matrix)


def _norm(x, weight, bias):
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + 1e-6) * weight + bias


def _block(w, x, heads):
    b, n, width = x.shape
    y = _norm(x, w["norm1.weight"], w["norm1.bias"])
    y = y @ w["attn.qkv.weight"].T + w["attn.qkv.bias"]
    q, k, v = y.reshape(b, n, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(width // heads), dim=-1)
    y = (weights @ v).transpose(1, 2).reshape(b, n, width)
    x = x + w["ls1.gamma"] * (y @ w["attn.proj.weight"].T + w["attn.proj.bias"])
    y = _norm(x, w["norm2.weight"], w["norm2.bias"])
    if "mlp.w12.weight" in w:
        gate, value = (y @ w["mlp.w12.weight"].T + w["mlp.w12.bias"]).chunk(2, dim=-1)
        y = gate * torch.sigmoid(gate) * value
        y = y @ w["mlp.w3.weight"].T + w["mlp.w3.bias"]
    else:
        y = y @ w["mlp.fc1.weight"].T + w["mlp.fc1.bias"]
        y = 0.5 * y * (1 + torch.erf(y / math.sqrt(2)))
        y = y @ w["mlp.fc2.weight"].T + w["mlp.fc2.bias"]
    return x + w["ls2.gamma"] * y


def _head(w, tapped, size):
    def conv(x, name, **options):
        name = f"depth_head.{name}"
        return F.conv2d(x, w[f"{name}.weight"], w.get(f"{name}.bias"), **options)

    def residual(x, name):
        y = conv(x.clamp(min=0), f"{name}.conv1", padding=1)
        return x + conv(y.clamp(min=0), f"{name}.conv2", padding=1)

    layers = []
    for i, x in enumerate(tapped):
        x = conv(x, f"projects.{i}")
        if i < 2:
            name = f"depth_head.resize_layers.{i}"
            x = F.conv_transpose2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride=(4, 2)[i])
        elif i == 3:
            x = conv(x, "resize_layers.3", stride=2, padding=1)
        layers.append(conv(x, f"scratch.layer{i + 1}_rn", padding=1))

    path = layers[3]
    for k in (4, 3, 2, 1):
        name = f"scratch.refinenet{k}"
        if k < 4:
            path = path + residual(layers[k - 1], f"{name}.resConfUnit1")
        path = residual(path, f"{name}.resConfUnit2")
        finer = layers[k - 2].shape[-2:] if k > 1 else [2 * n for n in path.shape[-2:]]
        path = conv(bilinear(path, finer), f"{name}.out_conv")
    path = bilinear(conv(path, "scratch.output_conv1", padding=1), size)
    path = conv(path, "scratch.output_conv2.0", padding=1).clamp(min=0)
    return conv(path, "scratch.output_conv2.2").clamp(min=0)


def bilinear(x, size):
    """Resample so that the corner pixels' centres stay where they are."""

    def matrix(old, new):
        m = torch.zeros(new, old, dtype=x.dtype)
        for i in range(new):
            at = i * (old - 1) / (new - 1) if new > 1 else 0.0
            low = min(int(at), old - 1)
            m[i, low] += 1 - (at - low)
            m[i, min(low + 1, old - 1)] += at - low
        return m

    down, across = matrix(x.shape[-2], size[0]), matrix(x.shape[-1], size[1])
    return down @ x @ across.T


def standardize(image):
    """(b, 3, h, w) in [0, 1] to the statistics of ImageNet."""
    mean, std = (torch.tensor(v, dtype=image.dtype)[:, None, None] for v in (_MEAN, _STD))
    return (image - mean) / std
