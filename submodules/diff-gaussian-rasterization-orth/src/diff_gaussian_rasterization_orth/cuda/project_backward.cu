// From the ten sums per Gaussian and image to the gradients of the scene, over all times.
// Compiled once per MOTION_DEGREE.
#include "footprint.cuh"
#include "gaussian.cuh"

constexpr int kCoefficients = 3 * (MOTION_DEGREE > 0 ? MOTION_DEGREE : 1);
constexpr int kGradients = 10;

__device__ inline float sum_over_warp(float value) {
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(kWarp, value, step);
  return value;
}

__device__ inline void store(float* to, const float* values, int count) {
  for (int i = 0; i < count; ++i) to[i] = values[i];
}

// A Gaussian's parameters and what has been gathered of their gradients.
struct Gaussian {
  float scale[3], quat[4], rate[4], coefficients[kCoefficients];
  float opacity, slope, half_life, anchor;
};

struct GaussianGradient {
  float mean[3], coefficients[kCoefficients], scale[3], quat[4], rate[4], color[3];
  float opacity, slope, half_life, anchor;
};

// Adds one image's share and returns the gradient of its time.
__device__ inline float add_image(const Gaussian& gaussian, const Splat& splat, const float* v,
                                  float elapsed, float ku, float kv, bool rotating,
                                  FootprintGradient& v_fixed, GaussianGradient& sum) {
  for (int i = 0; i < 3; ++i) sum.color[i] += v[i];
  const float v_position[3] = {v[5] * ku, v_inverse_depth(splat.depth, v[3]), -v[6] * kv};
  float v_elapsed = 0.0f;
  for (int axis = 0; axis < 3; ++axis) {
    sum.mean[axis] += v_position[axis];
    float power = elapsed;
    for (int k = 0; k < MOTION_DEGREE; ++k, power *= elapsed)
      sum.coefficients[3 * k + axis] += power * v_position[axis];
    v_elapsed +=
        v_position[axis] * velocity(gaussian.coefficients + axis, MOTION_DEGREE, elapsed);
  }

  const OpacityWindow window = opacity_window(elapsed, gaussian.slope, gaussian.half_life);
  const float v_window = v[4] * gaussian.opacity;
  sum.opacity += v[4] * window.value;
  sum.slope += v_window * window.v_slope;
  sum.half_life += v_window * window.v_half_life;
  v_elapsed += v_window * window.v_elapsed;

  if (rotating) {
    float quat[4], v_quat[4] = {};
    for (int i = 0; i < 4; ++i) quat[i] = gaussian.quat[i] + gaussian.rate[i] * elapsed;
    footprint_backward(quat, gaussian.scale, ku, kv, {v[7], v[8], v[9]}, sum.scale, v_quat);
    for (int i = 0; i < 4; ++i) {
      sum.quat[i] += v_quat[i];
      sum.rate[i] += v_quat[i] * elapsed;
      v_elapsed += v_quat[i] * gaussian.rate[i];
    }
  } else {
    v_fixed.inv_var_u += v[7];
    v_fixed.slope_v += v[8];
    v_fixed.inv_var_v += v[9];
  }
  sum.anchor -= v_elapsed;
  return v_elapsed;
}

extern "C" __global__ void project_backward(
    int gaussians, int times, int width, int height,
    const float* __restrict__ motion,       // (b, n, k, 3)
    const float* __restrict__ scales,       // (b, n, 3)
    const float* __restrict__ quats,        // (b, n, 4)
    const float* __restrict__ quat_rates,   // (b, n, 4) or null
    const float* __restrict__ opacities,    // (b, n)
    const float* __restrict__ slopes,       // (b, n)
    const float* __restrict__ half_lives,   // (b, n)
    const float* __restrict__ anchors,      // (b, n)
    const float* __restrict__ image_times,  // (b, t)
    const Splat* __restrict__ splats,       // (b, t, n)
    const float* __restrict__ v_splats,     // (b, t, n, 10)
    float* __restrict__ v_means,            // as the inputs, from here on
    float* __restrict__ v_motion,
    float* __restrict__ v_scales,
    float* __restrict__ v_quats,
    float* __restrict__ v_quat_rates,       // or null
    float* __restrict__ v_colors,
    float* __restrict__ v_opacities,
    float* __restrict__ v_slopes,
    float* __restrict__ v_half_lives,
    float* __restrict__ v_anchors,
    float* __restrict__ v_times)            // (b, t), zeroed; null where nobody asks
{
  const int g = blockIdx.x * blockDim.x + threadIdx.x;
  const int scene = blockIdx.y;
  const bool inside = g < gaussians;  // threads outside still take part in the warp sums
  const long long index = (long long)scene * gaussians + min(g, gaussians - 1);
  const bool rotating = quat_rates != nullptr;
  const float ku = 0.5f * width, kv = 0.5f * height;

  Gaussian gaussian;
  for (int i = 0; i < 3 * MOTION_DEGREE; ++i)
    gaussian.coefficients[i] = motion[index * 3 * MOTION_DEGREE + i];
  for (int i = 0; i < 3; ++i) gaussian.scale[i] = scales[3 * index + i];
  for (int i = 0; i < 4; ++i) {
    gaussian.quat[i] = quats[4 * index + i];
    gaussian.rate[i] = rotating ? quat_rates[4 * index + i] : 0.0f;
  }
  gaussian.opacity = opacities[index];
  gaussian.slope = slopes[index];
  gaussian.half_life = half_lives[index];
  gaussian.anchor = anchors[index];

  GaussianGradient sum = {};
  FootprintGradient v_fixed = {};
  for (int t = 0; t < times; ++t) {
    const int image = scene * times + t;
    const long long at = (long long)image * gaussians + min(g, gaussians - 1);
    const Splat splat = splats[at];
    float v_time = 0.0f;
    if (inside && splat.opacity > 0.0f)
      v_time = add_image(gaussian, splat, v_splats + at * kGradients,
                         image_times[image] - gaussian.anchor, ku, kv, rotating, v_fixed, sum);
    if (v_times) {
      v_time = sum_over_warp(v_time);
      if (threadIdx.x % 32 == 0 && v_time != 0.0f) atomicAdd(v_times + image, v_time);
    }
  }
  if (!inside) return;
  if (!rotating)
    footprint_backward(gaussian.quat, gaussian.scale, ku, kv, v_fixed, sum.scale, sum.quat);

  store(v_means + 3 * index, sum.mean, 3);
  store(v_motion + index * 3 * MOTION_DEGREE, sum.coefficients, 3 * MOTION_DEGREE);
  store(v_scales + 3 * index, sum.scale, 3);
  store(v_quats + 4 * index, sum.quat, 4);
  if (rotating) store(v_quat_rates + 4 * index, sum.rate, 4);
  store(v_colors + 3 * index, sum.color, 3);
  v_opacities[index] = sum.opacity;
  v_slopes[index] = sum.slope;
  v_half_lives[index] = sum.half_life;
  v_anchors[index] = sum.anchor;
}
