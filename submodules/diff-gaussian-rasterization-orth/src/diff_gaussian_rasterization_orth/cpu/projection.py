"""Dynamic Gaussians to splats, some at a time: the formulas of ``projection.py`` as loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diff_gaussian_rasterization_orth import constants
from diff_gaussian_rasterization_orth.cpu.compiling import compiled, inlined

Float32 = NDArray[np.float32]

SPLAT_SIZE = 11
"""A splat: u, v, three coefficients and a constant of its exponent (base 2), squared half width of
its box, r, g, b, depth."""

_SPAN = np.float32(constants.NEAR_INVERSE_DEPTH - constants.FAR_INVERSE_DEPTH)
_OFFSET = np.float32(constants.FAR_INVERSE_DEPTH + constants.INVERSE_DEPTH_EPS)
_BLUR = np.float32(constants.COVARIANCE_BLUR)
_EXTENT_SIGMAS = np.float32(constants.EXTENT_SIGMAS)
_ALPHA_MIN = np.float32(constants.ALPHA_MIN)
_LOG2_E = np.float32(math.log2(math.e))
_HALF, _ONE, _TWO = np.float32(0.5), np.float32(1), np.float32(2)


@compiled()
def project(
    first: int,
    last: int,
    time: np.float32,
    height: int,
    width: int,
    means: Float32,  # (n, 3)
    motion: Float32,  # (n, k, 3)
    scales: Float32,  # (n, 3)
    quats: Float32,  # (n, 4)
    colors: Float32,  # (n, 3)
    opacities: Float32,  # (n,)
    slopes: Float32,  # (n,)
    half_lives: Float32,  # (n,)
    anchors: Float32,  # (n,)
    splats: Float32,  # (n, SPLAT_SIZE), written
    boxes: NDArray[np.int32],  # (n, 4), written: first and last column, first and last row
    depths: Float32,  # (n,), written
    visible: NDArray[np.bool_],  # (n,), written
) -> None:
    """Write the splats of Gaussians ``first`` to ``last - 1`` at one time."""
    for g in range(first, last):
        visible[g] = False
        tau = time - anchors[g]
        x, inverse_depth, z = _position(means, motion, g, tau)
        if not (inverse_depth >= 0 and inverse_depth <= 1):
            continue
        window, _, _ = _window(slopes[g], half_lives[g], tau)
        opacity = opacities[g] * window
        if not opacity >= _ALPHA_MIN:
            continue
        ju, jv = _jacobian(scales, quats, g, height, width)
        var_u, var_v, covariance, determinant = _covariance(ju, jv)
        u, v = _pixel(x, z, height, width)
        reach = math.sqrt(_TWO * math.log(opacity / _ALPHA_MIN))
        half = _HALF * (var_u - var_v)
        larger = _HALF * (var_u + var_v) + math.sqrt(half * half + covariance * covariance)
        square = _EXTENT_SIGMAS * math.sqrt(larger)
        extent_u = min(square, reach * math.sqrt(var_u))
        extent_v = min(square, reach * math.sqrt(var_v))
        # Compared before they become integers, which cannot hold every float.
        if not (
            u + extent_u >= 0
            and u - extent_u <= width - 1
            and v + extent_v >= 0
            and v - extent_v <= height - 1
            and math.isfinite(determinant)
        ):
            continue
        visible[g] = True
        boxes[g, 0] = math.ceil(max(np.float32(0), u - extent_u))
        boxes[g, 1] = math.floor(min(np.float32(width - 1), u + extent_u))
        boxes[g, 2] = math.ceil(max(np.float32(0), v - extent_v))
        boxes[g, 3] = math.floor(min(np.float32(height - 1), v + extent_v))
        depth = _ONE / (inverse_depth * _SPAN + _OFFSET)
        depths[g] = depth
        splats[g, 0] = u
        splats[g, 1] = v
        splats[g, 2] = -_HALF * _LOG2_E * (var_v / determinant)
        splats[g, 3] = _LOG2_E * (covariance / determinant)
        splats[g, 4] = -_HALF * _LOG2_E * (var_u / determinant)
        splats[g, 5] = math.log2(opacity)
        splats[g, 6] = extent_u * extent_u
        splats[g, 7] = colors[g, 0]
        splats[g, 8] = colors[g, 1]
        splats[g, 9] = colors[g, 2]
        splats[g, 10] = depth


@compiled()
def project_backward(
    first: int,
    last: int,
    times: Float32,  # (t,)
    height: int,
    width: int,
    means: Float32,
    motion: Float32,
    scales: Float32,
    quats: Float32,
    opacities: Float32,
    slopes: Float32,
    half_lives: Float32,
    anchors: Float32,
    moments: Float32,  # (m, 10), see blending_backward
    starts: NDArray[np.int64],  # (t, n + 1), see places_of_members
    places: NDArray[np.int64],  # (m,), where in moments the parts of each Gaussian are
    v_means: Float32,
    v_motion: Float32,
    v_scales: Float32,
    v_quats: Float32,
    v_colors: Float32,
    v_opacities: Float32,
    v_slopes: Float32,
    v_half_lives: Float32,
    v_anchors: Float32,
    v_times: NDArray[np.float64],  # (t,), all Gaussians ``first`` to ``last - 1`` together
) -> None:
    """Add the gradients of Gaussians ``first`` to ``last - 1`` over all times of a scene."""
    degree = motion.shape[1]
    total = np.empty(10, np.float32)
    for g in range(first, last):
        for t in range(len(times)):
            begin, end = starts[t, g], starts[t, g + 1]
            if begin == end:
                continue
            total[:] = 0
            for place in places[begin:end]:
                for m in range(10):
                    total[m] += moments[place, m]
            tau = times[t] - anchors[g]
            for c in range(3):
                v_colors[g, c] += total[6 + c]

            # Opacity: total[0] is the gradient of its logarithm.
            a, b = slopes[g], half_lives[g]
            _, falling, start = _window(a, b, tau)
            v_opacities[g] += total[0] / opacities[g]
            v_slopes[g] -= total[0] * (falling * (abs(tau) - b) + start * b)
            v_half_lives[g] += total[0] * a * (falling - start)
            v_tau = -total[0] * falling * a * np.sign(tau)

            # Covariance.
            ju, jv = _jacobian(scales, quats, g, height, width)
            var_u, var_v, covariance, determinant = _covariance(ju, jv)
            uu, uv, vv = var_v / determinant, -covariance / determinant, var_u / determinant
            v_ju, v_jv = _jacobian_gradient(
                ju, jv, uu, uv, vv, determinant, total[3], total[4], total[5]
            )
            _add_shape_gradients(g, v_ju, v_jv, height, width, scales, quats, v_scales, v_quats)

            # Position.
            _, inverse_depth, _ = _position(means, motion, g, tau)
            depth = _ONE / (inverse_depth * _SPAN + _OFFSET)
            mu, mv = total[1], total[2]
            v_position = (
                -(uu * mu + uv * mv) * _HALF * np.float32(width),
                -total[9] * _SPAN * depth * depth,
                (uv * mu + vv * mv) * _HALF * np.float32(height),
            )
            power = _ONE
            for c in range(3):
                v_means[g, c] += v_position[c]
            for k in range(degree):
                for c in range(3):
                    v_tau += np.float32(k + 1) * power * motion[g, k, c] * v_position[c]
                power *= tau
                for c in range(3):
                    v_motion[g, k, c] += power * v_position[c]
            v_anchors[g] -= v_tau
            v_times[t] += v_tau


@inlined()
def _jacobian_gradient(
    ju: Any,
    jv: Any,
    uu: np.float32,
    uv: np.float32,
    vv: np.float32,
    determinant: np.float32,
    muu: np.float32,
    muv: np.float32,
    mvv: np.float32,
) -> Any:
    """Return the gradients of the rows of the Jacobian, given the second moments.

    Through the adjugate and the determinant, as the forward pass goes. The shorter form, half of
    conic @ moments @ conic, loses all digits of float32 where a Gaussian is long and thin.
    """
    v_det = _HALF * (uu * muu + _TWO * uv * muv + vv * mvv) / determinant
    v_uu = _BLUR * v_det - _HALF * mvv / determinant
    v_vv = _BLUR * v_det - _HALF * muu / determinant
    v_uv = muv / determinant
    normal = _cross(ju, jv)
    across_u, across_v = _cross(jv, normal), _cross(normal, ju)
    v_ju = (
        _TWO * (v_uu * ju[0] + v_det * across_u[0]) + v_uv * jv[0],
        _TWO * (v_uu * ju[1] + v_det * across_u[1]) + v_uv * jv[1],
        _TWO * (v_uu * ju[2] + v_det * across_u[2]) + v_uv * jv[2],
    )
    v_jv = (
        _TWO * (v_vv * jv[0] + v_det * across_v[0]) + v_uv * ju[0],
        _TWO * (v_vv * jv[1] + v_det * across_v[1]) + v_uv * ju[1],
        _TWO * (v_vv * jv[2] + v_det * across_v[2]) + v_uv * ju[2],
    )
    return v_ju, v_jv


@inlined()
def _add_shape_gradients(
    g: int,
    v_ju: Any,
    v_jv: Any,
    height: int,
    width: int,
    scales: Float32,
    quats: Float32,
    v_scales: Float32,
    v_quats: Float32,
) -> None:
    """Add the gradients of the scales and of the quaternion."""
    w, x, y, z = quats[g, 0], quats[g, 1], quats[g, 2], quats[g, 3]
    right, up = _rows(quats, g)
    s_u, s_v = _HALF * np.float32(width), -_HALF * np.float32(height)
    vu0, vu1, vu2 = s_u * v_ju[0], s_u * v_ju[1], s_u * v_ju[2]
    vv0, vv1, vv2 = s_v * v_jv[0], s_v * v_jv[1], s_v * v_jv[2]
    v_scales[g, 0] += right[0] * vu0 + up[0] * vv0
    v_scales[g, 1] += right[1] * vu1 + up[1] * vv1
    v_scales[g, 2] += right[2] * vu2 + up[2] * vv2
    a0, a1, a2 = vu0 * scales[g, 0], vu1 * scales[g, 1], vu2 * scales[g, 2]
    c0, c1, c2 = vv0 * scales[g, 0], vv1 * scales[g, 1], vv2 * scales[g, 2]
    v_quats[g, 0] += _TWO * (y * a2 - z * a1 + x * c1 - y * c0)
    v_quats[g, 1] += _TWO * (y * a1 + z * a2 + z * c0 + w * c1 - _TWO * x * c2)
    v_quats[g, 2] += _TWO * (x * a1 + w * a2 - _TWO * y * a0 - w * c0 + z * c1 - _TWO * y * c2)
    v_quats[g, 3] += _TWO * (x * a2 - w * a1 - _TWO * z * a0 + x * c0 + y * c1)


@inlined()
def _position(
    means: Float32, motion: Float32, g: int, tau: np.float32
) -> tuple[np.float32, np.float32, np.float32]:
    dx, dd, dz = np.float32(0), np.float32(0), np.float32(0)
    for k in range(motion.shape[1] - 1, -1, -1):
        dx = (dx + motion[g, k, 0]) * tau
        dd = (dd + motion[g, k, 1]) * tau
        dz = (dz + motion[g, k, 2]) * tau
    return means[g, 0] + dx, means[g, 1] + dd, means[g, 2] + dz


@inlined()
def _pixel(x: np.float32, z: np.float32, height: int, width: int) -> tuple[np.float32, np.float32]:
    u = _HALF * ((x + _ONE) * np.float32(width) - _ONE)
    v = _HALF * ((_ONE - z) * np.float32(height) - _ONE)
    return u, v


@inlined()
def _window(
    slope: np.float32, half_life: np.float32, tau: np.float32
) -> tuple[np.float32, np.float32, np.float32]:
    """Return the opacity window, and one minus each of its two logistic functions."""
    falling = math.exp(slope * (abs(tau) - half_life))
    start = math.exp(-slope * half_life)
    # Written so that an exp that overflows or vanishes gives 1 or 0, not inf / inf.
    return (
        (_ONE + start) / (_ONE + falling),
        _ONE / (_ONE + _ONE / falling),
        start / (_ONE + start),
    )


@inlined()
def _rows(quats: Float32, g: int) -> Any:
    """Return the first and the last row of the rotation matrix."""
    w, x, y, z = quats[g, 0], quats[g, 1], quats[g, 2], quats[g, 3]
    right = (_ONE - _TWO * (y * y + z * z), _TWO * (x * y - w * z), _TWO * (x * z + w * y))
    up = (_TWO * (x * z - w * y), _TWO * (y * z + w * x), _ONE - _TWO * (x * x + y * y))
    return right, up


@inlined()
def _jacobian(scales: Float32, quats: Float32, g: int, height: int, width: int) -> Any:
    """Return the rows of diag(W/2, H/2)·R_view·R·S, in pixels."""
    right, up = _rows(quats, g)
    s_u, s_v = _HALF * np.float32(width), -_HALF * np.float32(height)
    s0, s1, s2 = scales[g, 0], scales[g, 1], scales[g, 2]
    ju = (s_u * right[0] * s0, s_u * right[1] * s1, s_u * right[2] * s2)
    jv = (s_v * up[0] * s0, s_v * up[1] * s1, s_v * up[2] * s2)
    return ju, jv


@inlined()
def _covariance(ju: Any, jv: Any) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """Return both variances, their covariance, and the determinant, a sum of positive terms."""
    uu = ju[0] * ju[0] + ju[1] * ju[1] + ju[2] * ju[2]
    vv = jv[0] * jv[0] + jv[1] * jv[1] + jv[2] * jv[2]
    uv = ju[0] * jv[0] + ju[1] * jv[1] + ju[2] * jv[2]
    n0, n1, n2 = _cross(ju, jv)
    determinant = n0 * n0 + n1 * n1 + n2 * n2 + _BLUR * (uu + vv) + _BLUR * _BLUR
    return uu + _BLUR, vv + _BLUR, uv, determinant


@inlined()
def _cross(a: Any, b: Any) -> Any:
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )
