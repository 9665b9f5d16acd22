// Every Gaussian at every time: motion, opacity window, depth, culling, projection, tile bounds.
// Compiled once per MOTION_DEGREE, so that the coefficients stay in registers.
#include "footprint.cuh"
#include "gaussian.cuh"

constexpr int kCoefficients = 3 * (MOTION_DEGREE > 0 ? MOTION_DEGREE : 1);

// Tiles whose pixels lie within the box of a Gaussian's bounds, clipped to the image.
__device__ inline TileRect tiles_in_reach(const Splat& splat, const Covariance& cov,
                                          const Bounds& bounds, int width, int height) {
  const float half_u = fminf(sqrtf(2.0f * bounds.reach * cov.uu), bounds.extent);
  const float half_v = fminf(sqrtf(2.0f * bounds.reach * cov.vv), bounds.extent);
  const float left = ceilf(splat.u - half_u), right = floorf(splat.u + half_u);
  const float top = ceilf(splat.v - half_v), bottom = floorf(splat.v + half_v);
  // Written so that a NaN culls.
  const bool on_screen = left <= right && top <= bottom && left <= width - 1 && right >= 0.0f &&
                         top <= height - 1 && bottom >= 0.0f;
  if (!on_screen) return {0, 0, 0, 0};
  const int u0 = int(fmaxf(left, 0.0f)), u1 = int(fminf(right, float(width - 1)));
  const int v0 = int(fmaxf(top, 0.0f)), v1 = int(fminf(bottom, float(height - 1)));
  return {(unsigned short)(u0 / kTileSize), (unsigned short)(v0 / kTileSize),
          (unsigned short)(u1 / kTileSize + 1), (unsigned short)(v1 / kTileSize + 1)};
}

__device__ inline int count_tiles(const Splat& splat, const Footprint& footprint,
                                  const Bounds& bounds, const TileRect& rect, int width,
                                  int height) {
  int count = 0;
  for (int y = rect.y0; y < rect.y1; ++y)
    for (int x = rect.x0; x < rect.x1; ++x)
      count += touches(splat, footprint, bounds, pixels_of_tile(x, y, width, height));
  return count;
}

extern "C" __global__ void project_forward(
    int gaussians, int times, int width, int height,
    const float* __restrict__ means,        // (b, n, 3)
    const float* __restrict__ motion,       // (b, n, k, 3)
    const float* __restrict__ scales,       // (b, n, 3)
    const float* __restrict__ quats,        // (b, n, 4)
    const float* __restrict__ quat_rates,   // (b, n, 4), or null where rotation is fixed
    const float* __restrict__ opacities,    // (b, n)
    const float* __restrict__ slopes,       // (b, n)
    const float* __restrict__ half_lives,   // (b, n)
    const float* __restrict__ anchors,      // (b, n)
    const float* __restrict__ image_times,  // (b, t)
    Splat* __restrict__ splats,             // (b, t, n)
    Footprint* __restrict__ footprints,     // (b, n), with quat_rates (b, t, n)
    TileRect* __restrict__ rects,           // (b, t, n)
    int* __restrict__ tile_counts,          // (b, t, n)
    long long* __restrict__ depth_keys)     // (b, t, n): image, then depth
{
  const int g = blockIdx.x * blockDim.x + threadIdx.x;
  const int scene = blockIdx.y;
  if (g >= gaussians) return;
  const long long index = (long long)scene * gaussians + g;

  float coefficients[kCoefficients];
  for (int i = 0; i < 3 * MOTION_DEGREE; ++i)
    coefficients[i] = motion[index * 3 * MOTION_DEGREE + i];
  const float x = means[3 * index], d = means[3 * index + 1], z = means[3 * index + 2];
  const float scale[3] = {scales[3 * index], scales[3 * index + 1], scales[3 * index + 2]};
  const float opacity = opacities[index], slope = slopes[index], half_life = half_lives[index];
  const float anchor = anchors[index];
  const float ku = 0.5f * width, kv = 0.5f * height;

  Covariance cov;
  Footprint footprint;
  for (int t = 0; t < times; ++t) {
    const float elapsed = image_times[scene * times + t] - anchor;
    const int image = scene * times + t;
    const long long out = (long long)image * gaussians + g;

    if (t == 0 || quat_rates) {
      float quat[4];
      for (int i = 0; i < 4; ++i)
        quat[i] = quats[4 * index + i] + (quat_rates ? quat_rates[4 * index + i] * elapsed : 0.0f);
      cov = covariance_of(screen_axes(quat), scale, ku, kv);
      footprint = footprint_of(cov);
      footprints[quat_rates ? out : index] = footprint;
    }

    const float x_now = x + displacement(coefficients, MOTION_DEGREE, elapsed);
    const float d_now = d + displacement(coefficients + 1, MOTION_DEGREE, elapsed);
    const float z_now = z + displacement(coefficients + 2, MOTION_DEGREE, elapsed);
    Splat splat;
    splat.u = fmaf(x_now, ku, ku - 0.5f);
    splat.v = fmaf(-z_now, kv, kv - 0.5f);
    splat.depth = depth_of(d_now);
    splat.opacity = opacity * opacity_window(elapsed, slope, half_life).value;

    int count = 0;
    TileRect rect = {0, 0, 0, 0};
    const bool visible = d_now >= 0.0f && d_now <= 1.0f && splat.opacity >= kMinAlpha;
    if (visible) {
      const Bounds bounds = bounds_of(splat, footprint);
      rect = tiles_in_reach(splat, cov, bounds, width, height);
      count = count_tiles(splat, footprint, bounds, rect, width, height);
    }
    if (count == 0) splat.opacity = 0.0f;
    splats[out] = splat;
    rects[out] = rect;
    tile_counts[out] = count;
    // Positive floats order as their bits do.
    const unsigned depth_bits = count ? __float_as_uint(splat.depth) : 0xffffffffu;
    depth_keys[out] = ((long long)image << 32) | depth_bits;
  }
}
