// Every Gaussian at every time: motion, opacity window, depth, culling, projection.
// Compiled once per MOTION_DEGREE, so that the coefficients stay in registers.
#include "cover.cuh"
#include "gaussian.cuh"

constexpr int kCoefficients = 3 * (MOTION_DEGREE > 0 ? MOTION_DEGREE : 1);

// Zero where all values are finite, else NaN.
__device__ inline float zero_if_finite(const float* values, int count) {
  float sum = 0.0f;
  for (int i = 0; i < count; ++i) sum = fmaf(values[i], 0.0f, sum);
  return sum;
}

extern "C" __global__ void project_forward(
    int gaussians, int times, int width, int height, int background_scene_stride,
    int background_time_stride, int buckets,
    const float* __restrict__ means,        // (b, n, 3)
    const float* __restrict__ motion,       // (b, n, k, 3)
    const float* __restrict__ scales,       // (b, n, 3)
    const float* __restrict__ quats,        // (b, n, 4)
    const float* __restrict__ colors,       // (b, n, 3)
    const float* __restrict__ opacities,    // (b, n)
    const float* __restrict__ slopes,       // (b, n)
    const float* __restrict__ half_lives,   // (b, n)
    const float* __restrict__ anchors,      // (b, n)
    const float* __restrict__ image_times,  // (b, t)
    const float* __restrict__ backgrounds,  // (b, t, 3), by strides
    Splat* __restrict__ splats,             // (b, t, n)
    Surface* __restrict__ surfaces,         // (b, n)
    float* __restrict__ cover,              // (b, t, buckets, tiles), zeroed
    Status* __restrict__ status)            // zeroed
{
  const int g = blockIdx.x * blockDim.x + threadIdx.x;
  const int scene = blockIdx.y;
  if (g >= gaussians) return;
  const long long index = (long long)scene * gaussians + g;

  float coefficients[kCoefficients];
  for (int i = 0; i < 3 * MOTION_DEGREE; ++i)
    coefficients[i] = motion[index * 3 * MOTION_DEGREE + i];
  float mean[3], scale[3], color[3], quat[4];
  for (int i = 0; i < 3; ++i) {
    mean[i] = means[3 * index + i];
    scale[i] = scales[3 * index + i];
    color[i] = colors[3 * index + i];
  }
  for (int i = 0; i < 4; ++i) quat[i] = quats[4 * index + i];
  const float fade[4] = {opacities[index], slopes[index], half_lives[index], anchors[index]};
  const float opacity = fade[0], slope = fade[1], half_life = fade[2], anchor = fade[3];

  float finite = zero_if_finite(coefficients, 3 * MOTION_DEGREE) + zero_if_finite(mean, 3) +
                 zero_if_finite(scale, 3) + zero_if_finite(color, 3) + zero_if_finite(quat, 4) +
                 zero_if_finite(fade, 4);
  if (g == 0)
    for (int t = 0; t < times; ++t) {
      const float* background = backgrounds + (long long)scene * background_scene_stride +
                                (long long)t * background_time_stride;
      finite += zero_if_finite(image_times + scene * times + t, 1) + zero_if_finite(background, 3);
    }
  if (finite != 0.0f) status->not_finite = 1;

  const float ku = 0.5f * width, kv = 0.5f * height;
  const long long cover_size = (long long)buckets * tiles_along(width) * tiles_along(height);
  bool covers = false;
  Surface surface;
  surface.red = color[0], surface.green = color[1], surface.blue = color[2];
  shape_surface(covariance_of(screen_axes(quat), scale, ku, kv), surface);
  surfaces[index] = surface;
  for (int t = 0; t < times; ++t) {
    const int image = scene * times + t;
    const float elapsed = image_times[image] - anchor;
    const long long out = (long long)image * gaussians + g;

    const float x = mean[0] + displacement(coefficients, MOTION_DEGREE, elapsed);
    const float d = mean[1] + displacement(coefficients + 1, MOTION_DEGREE, elapsed);
    const float z = mean[2] + displacement(coefficients + 2, MOTION_DEGREE, elapsed);
    Splat splat;
    splat.u = fmaf(x, ku, ku - 0.5f);
    splat.v = fmaf(-z, kv, kv - 0.5f);
    splat.depth = depth_of(d);
    splat.opacity = opacity * opacity_window(elapsed, slope, half_life).value;

    bool visible = d >= 0.0f && d <= 1.0f && splat.opacity >= kMinAlpha;
    if (visible) {
      const TileRect rect =
          tiles_in_reach(splat, surface, reach_of(splat.opacity), width, height);
      visible = rect.x0 < rect.x1;
    }
    if (visible)
      covers |= add_cover(splat, surface, d, width, height, buckets, cover + image * cover_size);
    if (!visible) splat.opacity = 0.0f;
    splats[out] = splat;
  }
  if (covers) status->covers = 1;
}
