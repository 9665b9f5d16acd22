// From the sums of blend_backward.cu to the gradients of the scene, over all times.
// Compiled once per MOTION_DEGREE.
#include "gaussian.cuh"

constexpr int kCoefficients = 3 * (MOTION_DEGREE > 0 ? MOTION_DEGREE : 1);
constexpr float kLn2 = 0.6931471805599453f;

__device__ inline float sum_over_warp(float value) {
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(kWarp, value, step);
  return value;
}

__device__ inline void store(float* to, const float* values, int count) {
  for (int i = 0; i < count; ++i) to[i] = values[i];
}

// A Gaussian's parameters and the sums of their gradients.
struct Gaussian {
  float scale[3], quat[4], coefficients[kCoefficients];
  float opacity, slope, half_life, anchor;
};

struct GaussianGradient {
  float mean[3], coefficients[kCoefficients], scale[3], quat[4], color[3];
  float opacity, slope, half_life, anchor;
};

// The sums of blend_backward.cu: one a Gaussian and image, one a surface.
struct __align__(16) SplatSums {
  float bits, along_u, along_v, depth;
};

struct __align__(16) SurfaceSums {
  float uu, uv, vv, red, green, blue, unused[2];
};

// Adds the gradients of position and opacity in one image; returns that of its time.
__device__ inline float add_image(const Gaussian& gaussian, const Splat& splat,
                                  const Surface& surface, const SplatSums& sums, float elapsed,
                                  float ku, float kv, GaussianGradient& sum) {
  const float v_v = 2.0f * surface.decay_v * sums.along_v;
  const float v_u = 2.0f * surface.decay_u * sums.along_u - surface.slope_v * v_v;
  const float v_position[3] = {v_u * ku, v_inverse_depth(splat.depth, sums.depth), -v_v * kv};
  float v_elapsed = 0.0f;
  for (int axis = 0; axis < 3; ++axis) {
    sum.mean[axis] += v_position[axis];
    float power = elapsed;
    for (int k = 0; k < MOTION_DEGREE; ++k, power *= elapsed)
      sum.coefficients[3 * k + axis] += power * v_position[axis];
    v_elapsed +=
        v_position[axis] * velocity(gaussian.coefficients + axis, MOTION_DEGREE, elapsed);
  }

  // alpha = opacity 2^-bits: a factor on the opacity is as good as bits.
  const float v_opacity = -sums.bits / (kLn2 * splat.opacity);
  const OpacityWindow window = opacity_window(elapsed, gaussian.slope, gaussian.half_life);
  const float v_window = v_opacity * gaussian.opacity;
  sum.opacity += v_opacity * window.value;
  sum.slope += v_window * window.v_slope;
  sum.half_life += v_window * window.v_half_life;
  return v_elapsed + v_window * window.v_elapsed;
}

// Adds the gradients of colour and shape, from all images.
__device__ inline void add_surface(const Gaussian& gaussian, const Surface& surface,
                                   const SurfaceSums& sums, float ku, float kv,
                                   GaussianGradient& sum) {
  sum.color[0] += sums.red;
  sum.color[1] += sums.green;
  sum.color[2] += sums.blue;
  const SurfaceGradient v = {sums.uu, -2.0f * surface.decay_v * sums.uv, sums.vv};
  surface_backward(gaussian.quat, gaussian.scale, ku, kv, v, sum.scale, sum.quat);
}

extern "C" __global__ void project_backward(
    int gaussians, int times, int width, int height,
    const float* __restrict__ motion,       // (b, n, k, 3)
    const float* __restrict__ scales,       // (b, n, 3)
    const float* __restrict__ quats,        // (b, n, 4)
    const float* __restrict__ opacities,    // (b, n)
    const float* __restrict__ slopes,       // (b, n)
    const float* __restrict__ half_lives,   // (b, n)
    const float* __restrict__ anchors,      // (b, n)
    const float* __restrict__ image_times,  // (b, t)
    const Splat* __restrict__ splats,       // (b, t, n)
    const Surface* __restrict__ surfaces,   // (b, n)
    const SplatSums* __restrict__ splat_sums,      // (b, t, n)
    const SurfaceSums* __restrict__ surface_sums,  // (b, n)
    float* __restrict__ v_means,            // as the inputs, from here on
    float* __restrict__ v_motion,
    float* __restrict__ v_scales,
    float* __restrict__ v_quats,
    float* __restrict__ v_colors,
    float* __restrict__ v_opacities,
    float* __restrict__ v_slopes,
    float* __restrict__ v_half_lives,
    float* __restrict__ v_anchors,
    float* __restrict__ v_times)            // (b, t), zeroed; null where not needed
{
  const int g = blockIdx.x * blockDim.x + threadIdx.x;
  const int scene = blockIdx.y;
  const bool inside = g < gaussians;  // threads outside still take part in the warp sums
  const long long index = (long long)scene * gaussians + min(g, gaussians - 1);
  const float ku = 0.5f * width, kv = 0.5f * height;

  Gaussian gaussian;
  for (int i = 0; i < 3 * MOTION_DEGREE; ++i)
    gaussian.coefficients[i] = motion[index * 3 * MOTION_DEGREE + i];
  for (int i = 0; i < 3; ++i) gaussian.scale[i] = scales[3 * index + i];
  for (int i = 0; i < 4; ++i) gaussian.quat[i] = quats[4 * index + i];
  gaussian.opacity = opacities[index];
  gaussian.slope = slopes[index];
  gaussian.half_life = half_lives[index];
  gaussian.anchor = anchors[index];

  const Surface surface = surfaces[index];
  GaussianGradient sum = {};
  for (int t = 0; t < times; ++t) {
    const int image = scene * times + t;
    const long long at = (long long)image * gaussians + min(g, gaussians - 1);
    const Splat splat = splats[at];
    float v_time = 0.0f;
    if (inside && splat.opacity > 0.0f) {
      const float elapsed = image_times[image] - gaussian.anchor;
      v_time = add_image(gaussian, splat, surface, splat_sums[at], elapsed, ku, kv, sum);
      sum.anchor -= v_time;
    }
    if (v_times) {
      v_time = sum_over_warp(v_time);
      if (threadIdx.x % 32 == 0 && v_time != 0.0f) atomicAdd(v_times + image, v_time);
    }
  }
  if (!inside) return;
  add_surface(gaussian, surface, surface_sums[index], ku, kv, sum);

  store(v_means + 3 * index, sum.mean, 3);
  store(v_motion + index * 3 * MOTION_DEGREE, sum.coefficients, 3 * MOTION_DEGREE);
  store(v_scales + 3 * index, sum.scale, 3);
  store(v_quats + 4 * index, sum.quat, 4);
  store(v_colors + 3 * index, sum.color, 3);
  v_opacities[index] = sum.opacity;
  v_slopes[index] = sum.slope;
  v_half_lives[index] = sum.half_life;
  v_anchors[index] = sum.anchor;
}
