// What a Gaussian looks like in one image, and the questions asked of it.
#pragma once

constexpr int kTileSize = 16;       // pixels a side
constexpr int kTileThreads = 256;   // one thread a pixel
constexpr int kPatchWidth = 8;      // a warp's pixels: 8 x 4
constexpr int kPatchHeight = 4;
constexpr unsigned kWarp = 0xffffffffu;

// Macros in capitals are the package's constants.py, handed over by the compiler.
constexpr float kMinAlpha = ALPHA_MIN;                  // weaker contributions are skipped
constexpr float kMaxAlpha = ALPHA_MAX;
constexpr float kMinTransmittance = TRANSMITTANCE_MIN;  // blending stops before it falls below

// One Gaussian in one image. A culled one has opacity 0.
struct __align__(16) Splat {
  float u, v;     // centre, pixels
  float depth;    // view depth
  float opacity;  // at the image's time
};

// The inverse of the 2D covariance, factored:
//   d' inv(cov) d = inv_var_u * du^2 + inv_var_v * (dv - slope_v * du)^2
// A sum of squares keeps its precision for needles, where the usual a du^2 + 2 b du dv + c dv^2
// cancels.
struct __align__(16) Footprint {
  float inv_var_u;  // 1 / cov_uu
  float slope_v;    // cov_uv / cov_uu
  float inv_var_v;  // cov_uu / det(cov): of v, once u is known
  float slope_u;    // cov_uv / cov_vv, used by `touches` only
};

// Tiles [x0, x1) x [y0, y1) that may be touched.
struct __align__(8) TileRect {
  unsigned short x0, y0, x1, y1;
};

// Pixel centres [u0, u1] x [v0, v1].
struct PixelRect {
  float u0, v0, u1, v1;
};

// Half the squared Mahalanobis distance of a pixel, du = u_gaussian - u_pixel.
__device__ inline float half_distance(const Footprint& f, float du, float dv) {
  const float ev = fmaf(-f.slope_v, du, dv);
  return 0.5f * fmaf(f.inv_var_u * du, du, f.inv_var_v * ev * ev);
}

// Where a Gaussian is drawn: inside an ellipse and inside a square.
struct Bounds {
  float reach;   // half distance beyond which alpha is below kMinAlpha
  float extent;  // half side of the square, EXTENT_SIGMAS deviations of the larger axis
};

// The margin of the reach exceeds the rounding of `touches`, so that culling never drops a
// contribution that blending would keep.
__device__ inline Bounds bounds_of(const Splat& splat, const Footprint& f) {
  const float cov_uu = 1.0f / f.inv_var_u, cov_uv = f.slope_v * cov_uu;
  const float cov_vv = f.slope_v * cov_uv + 1.0f / f.inv_var_v;
  const float half_difference = 0.5f * (cov_uu - cov_vv);
  const float larger =
      0.5f * (cov_uu + cov_vv) + sqrtf(half_difference * half_difference + cov_uv * cov_uv);
  return {logf(splat.opacity / kMinAlpha) + 1e-3f, float(EXTENT_SIGMAS) * sqrtf(larger)};
}

__device__ inline float clamp_to(float x, float low, float high) {
  return fminf(fmaxf(x, low), high);
}

// Whether a Gaussian is drawn anywhere in the rectangle (exact: the distance grows along every ray
// from the centre, so its minimum over a rectangle is on an edge that faces the centre).
__device__ inline bool touches(const Splat& splat, const Footprint& f, const Bounds& bounds,
                               const PixelRect& rect) {
  const float left = fmaxf(rect.u0 - splat.u, -bounds.extent);
  const float right = fminf(rect.u1 - splat.u, bounds.extent);
  const float top = fmaxf(rect.v0 - splat.v, -bounds.extent);
  const float bottom = fminf(rect.v1 - splat.v, bounds.extent);
  if (!(left <= right && top <= bottom)) return false;
  const float edge_u = clamp_to(0.0f, left, right);
  const float edge_v = clamp_to(0.0f, top, bottom);
  const float beside = half_distance(f, edge_u, clamp_to(f.slope_v * edge_u, top, bottom));
  const float above = half_distance(f, clamp_to(f.slope_u * edge_v, left, right), edge_v);
  return fminf(edge_u != 0.0f ? beside : above, edge_v != 0.0f ? above : beside) <= bounds.reach;
}

__device__ inline PixelRect pixels_of_tile(int tile_x, int tile_y, int width, int height) {
  return {float(tile_x * kTileSize), float(tile_y * kTileSize),
          float(min((tile_x + 1) * kTileSize, width) - 1),
          float(min((tile_y + 1) * kTileSize, height) - 1)};
}

// The footprint of image `image`: one a scene where rotation is fixed, else one an image.
__device__ inline long long footprint_index(int image, int gaussian, int times, int gaussians,
                                            int rotating) {
  return (long long)(rotating ? image : image / times) * gaussians + gaussian;
}
