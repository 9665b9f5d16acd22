// A dynamic Gaussian at one time: formulas and their derivatives. Names `v_x` are dL/dx.
#pragma once
#include "splat.cuh"

// Macros in capitals are the package's constants.py, handed over by the compiler.
constexpr float kDepthRange = NEAR_INVERSE_DEPTH - FAR_INVERSE_DEPTH;
constexpr float kDepthOffset = FAR_INVERSE_DEPTH + INVERSE_DEPTH_EPS;
constexpr float kBlur = COVARIANCE_BLUR;  // pixels^2, added to both variances

__device__ inline float logistic(float x) { return 1.0f / (1.0f + expf(-x)); }

__device__ inline float depth_of(float inverse_depth) {
  return 1.0f / (inverse_depth * kDepthRange + kDepthOffset);
}

__device__ inline float v_inverse_depth(float depth, float v_depth) {
  return -kDepthRange * depth * depth * v_depth;
}

// Opacity relative to the anchor time: sigma(-a (|tau| - b)) / sigma(a b).
struct OpacityWindow {
  float value;
  float v_elapsed, v_slope, v_half_life;  // its derivatives
};

__device__ inline OpacityWindow opacity_window(float elapsed, float slope, float half_life) {
  const float at_anchor = slope * half_life;
  const float now = at_anchor - slope * fabsf(elapsed);
  OpacityWindow window;
  window.value = logistic(now) / logistic(at_anchor);
  // d log sigma(x) / dx = sigma(-x)
  const float grow_now = window.value * logistic(-now);
  const float grow_anchor = window.value * logistic(-at_anchor);
  const float sign = elapsed > 0.0f ? 1.0f : (elapsed < 0.0f ? -1.0f : 0.0f);
  window.v_elapsed = -grow_now * slope * sign;
  window.v_slope = grow_now * (half_life - fabsf(elapsed)) - grow_anchor * half_life;
  window.v_half_life = (grow_now - grow_anchor) * slope;
  return window;
}

// Rows of the rotation matrix that an orthographic image sees: world x (image u) and world z
// (image -v). The quaternion (w, x, y, z) is used as it is.
struct ScreenAxes {
  float x[3], z[3];
};

__device__ inline ScreenAxes screen_axes(const float q[4]) {
  const float w = q[0], x = q[1], y = q[2], z = q[3];
  return {{1.0f - 2.0f * (y * y + z * z), 2.0f * (x * y - w * z), 2.0f * (x * z + w * y)},
          {2.0f * (x * z - w * y), 2.0f * (y * z + w * x), 1.0f - 2.0f * (x * x + y * y)}};
}

__device__ inline void screen_axes_backward(const float q[4], const ScreenAxes& v,
                                            float v_q[4]) {
  const float w = q[0], x = q[1], y = q[2], z = q[3];
  v_q[0] += 2.0f * (-z * v.x[1] + y * v.x[2] - y * v.z[0] + x * v.z[1]);
  v_q[1] += 2.0f * (y * v.x[1] + z * v.x[2] + z * v.z[0] + w * v.z[1] - 2.0f * x * v.z[2]);
  v_q[2] += 2.0f * (-2.0f * y * v.x[0] + x * v.x[1] + w * v.x[2] - w * v.z[0] + z * v.z[1] -
                    2.0f * y * v.z[2]);
  v_q[3] += 2.0f * (-2.0f * z * v.x[0] - w * v.x[1] + x * v.x[2] + x * v.z[0] + y * v.z[1]);
}

// 2D covariance in pixels^2, blur included.
struct Covariance {
  float uu, uv, vv, det;
};

// `ku`, `kv`: pixels per world unit along u and v.
__device__ inline Covariance covariance_of(const ScreenAxes& axes, const float scale[3], float ku,
                                           float kv) {
  float u[3], v[3];
  for (int i = 0; i < 3; ++i) {
    u[i] = ku * axes.x[i] * scale[i];
    v[i] = -kv * axes.z[i] * scale[i];
  }
  const float uu = u[0] * u[0] + u[1] * u[1] + u[2] * u[2];
  const float vv = v[0] * v[0] + v[1] * v[1] + v[2] * v[2];
  const float uv = u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
  // |u x v|^2 = uu vv - uv^2 without the cancellation.
  const float c0 = u[1] * v[2] - u[2] * v[1];
  const float c1 = u[2] * v[0] - u[0] * v[2];
  const float c2 = u[0] * v[1] - u[1] * v[0];
  const float det = c0 * c0 + c1 * c1 + c2 * c2 + kBlur * (uu + vv) + kBlur * kBlur;
  return {uu + kBlur, uv, vv + kBlur, det};
}

// Writes the geometry of a surface; its colour is left alone.
__device__ inline void shape_surface(const Covariance& cov, Surface& surface) {
  const float half_difference = 0.5f * (cov.uu - cov.vv);
  const float larger =
      0.5f * (cov.uu + cov.vv) + sqrtf(half_difference * half_difference + cov.uv * cov.uv);
  surface.decay_u = kHalfLog2E / cov.uu;
  surface.slope_v = cov.uv / cov.uu;
  surface.decay_v = kHalfLog2E * cov.uu / cov.det;
  surface.slope_u = cov.uv / cov.vv;
  surface.extent = float(EXTENT_SIGMAS) * sqrtf(larger);
}

// Gradient of the three factors that blending uses.
struct SurfaceGradient {
  float decay_u, slope_v, decay_v;
};

// From the surface to scales and quaternion; adds to `v_scale` and `v_quat`.
__device__ inline void surface_backward(const float quat[4], const float scale[3], float ku,
                                        float kv, const SurfaceGradient& v, float v_scale[3],
                                        float v_quat[4]) {
  const ScreenAxes axes = screen_axes(quat);
  const Covariance cov = covariance_of(axes, scale, ku, kv);
  const float precision_u = 1.0f / cov.uu;        // of u
  const float slope_v = cov.uv * precision_u;
  const float precision_v = cov.uu / cov.det;     // of v, once u is known
  const float v_precision_u = kHalfLog2E * v.decay_u;
  // d precision_v / d cov = -precision_v^2 d (cov_vv - slope_v cov_uv), the conditional variance
  const float v_conditional = -precision_v * precision_v * kHalfLog2E * v.decay_v;
  const float v_uu = -precision_u * precision_u * v_precision_u -
                     slope_v * precision_u * v.slope_v + slope_v * slope_v * v_conditional;
  const float v_uv = precision_u * v.slope_v - 2.0f * slope_v * v_conditional;
  const float v_vv = v_conditional;

  ScreenAxes v_axes;
  for (int i = 0; i < 3; ++i) {
    const float u = ku * axes.x[i] * scale[i];
    const float w = -kv * axes.z[i] * scale[i];
    const float v_u = ku * (2.0f * v_uu * u + v_uv * w);
    const float v_w = -kv * (2.0f * v_vv * w + v_uv * u);
    v_scale[i] += v_u * axes.x[i] + v_w * axes.z[i];
    v_axes.x[i] = v_u * scale[i];
    v_axes.z[i] = v_w * scale[i];
  }
  screen_axes_backward(quat, v_axes, v_quat);
}

// sum_k coefficients[k] * elapsed^(k+1), one axis; coefficients are 3 floats apart.
__device__ inline float displacement(const float* coefficients, int degree, float elapsed) {
  float sum = 0.0f;
  for (int k = degree - 1; k >= 0; --k) sum = (sum + coefficients[3 * k]) * elapsed;
  return sum;
}

__device__ inline float velocity(const float* coefficients, int degree, float elapsed) {
  float sum = 0.0f;
  for (int k = degree - 1; k >= 0; --k) sum = sum * elapsed + (k + 1) * coefficients[3 * k];
  return sum;
}
