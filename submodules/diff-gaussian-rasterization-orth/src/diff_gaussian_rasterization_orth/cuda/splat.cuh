// A Gaussian in one image, and whether it touches a pixel or a tile.
#pragma once

constexpr int kTileSize = 16;  // pixels a side
constexpr unsigned kWarp = 0xffffffffu;

// Macros in capitals are the package's constants.py, handed over by the compiler.
constexpr float kMinAlpha = ALPHA_MIN;                  // weaker contributions are skipped
constexpr float kMinAlphaBits = 7.994353437f;           // -log2(kMinAlpha)
static_assert(255.0 * ALPHA_MIN > 0.999999 && 255.0 * ALPHA_MIN < 1.000001, "kMinAlphaBits");
constexpr float kMaxAlpha = ALPHA_MAX;
constexpr float kMinTransmittance = TRANSMITTANCE_MIN;  // blending stops before it falls below
constexpr float kHalfLog2E = 0.7213475204444817f;       // exp(-x / 2) is 2^(-kHalfLog2E x)

// 2^x, log2(x), 1 / x and sqrt(x) to about one unit in the last place: one instruction each.
__device__ inline float fast_exp2(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

__device__ inline float fast_log2(float x) {
  float result;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

__device__ inline float reciprocal(float x) {
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

__device__ inline float fast_sqrt(float x) {
  float result;
  asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

// `x` if it is at least `bound`, else `other`: one instruction, where the compiler may make three.
__device__ inline float select_at_least(float x, float bound, float other) {
  float result;
  asm("{.reg .pred holds; setp.ge.f32 holds, %1, %2; selp.f32 %0, %1, %3, holds;}"
      : "=f"(result)
      : "f"(x), "f"(bound), "f"(other));
  return result;
}

// One Gaussian in one image. A culled one has opacity 0.
struct __align__(16) Splat {
  float u, v;     // centre, pixels
  float depth;    // view depth
  float opacity;  // at the image's time
};

// What a Gaussian keeps over all images of its scene: one sector of memory.
//   alpha = opacity * 2^-bits,  bits = decay_u * du^2 + decay_v * (dv - slope_v * du)^2
// A sum of squares keeps its precision for needles, where the usual a du^2 + 2 b du dv + c dv^2
// cancels.
struct __align__(16) Surface {
  float decay_u;  // kHalfLog2E / cov_uu
  float slope_v;  // cov_uv / cov_uu
  float decay_v;  // kHalfLog2E * cov_uu / det(cov): of v, once u is known
  float slope_u;  // cov_uv / cov_vv, used by `touches` only
  float red, green, blue;
  float extent;   // half side of the square outside of which it is not drawn, pixels
};

// Pixel centres [u0, u1] x [v0, v1].
struct PixelRect {
  float u0, v0, u1, v1;
};

// Tiles [x0, x1) x [y0, y1).
struct TileRect {
  int x0, y0, x1, y1;
};

// Bits by which alpha at a pixel is less than the opacity, du = u_gaussian - u_pixel.
__device__ inline float bits_at(const Surface& surface, float du, float dv) {
  const float ev = fmaf(-surface.slope_v, du, dv);
  return fmaf(surface.decay_u * du, du, surface.decay_v * ev * ev);
}

// Bits beyond which alpha is below kMinAlpha, from log2 of the opacity. The margin exceeds the
// rounding of what is computed with it, so that culling never drops a contribution that blending
// would keep.
__device__ inline float reach_of_bits(float opacity_bits) {
  return opacity_bits + (kMinAlphaBits + 1e-3f);
}

__device__ inline float reach_of(float opacity) { return reach_of_bits(fast_log2(opacity)); }

__device__ inline float variance_u(const Surface& surface) { return kHalfLog2E / surface.decay_u; }

__device__ inline float variance_v(const Surface& surface) {
  return fmaf(surface.slope_v * surface.slope_v, variance_u(surface),
              kHalfLog2E / surface.decay_v);
}

__device__ inline float clamp_to(float x, float low, float high) {
  return fminf(fmaxf(x, low), high);
}

// Whether a Gaussian is drawn anywhere in the rectangle (exact: the distance grows along every ray
// from the centre, so its minimum over a rectangle is on an edge that faces the centre).
__device__ inline bool touches(float u, float v, const Surface& surface, float reach,
                               const PixelRect& rect) {
  const float left = fmaxf(rect.u0 - u, -surface.extent);
  const float right = fminf(rect.u1 - u, surface.extent);
  const float top = fmaxf(rect.v0 - v, -surface.extent);
  const float bottom = fminf(rect.v1 - v, surface.extent);
  if (!(left <= right && top <= bottom)) return false;
  const float edge_u = clamp_to(0.0f, left, right);
  const float edge_v = clamp_to(0.0f, top, bottom);
  const float beside = bits_at(surface, edge_u, clamp_to(surface.slope_v * edge_u, top, bottom));
  const float above = bits_at(surface, clamp_to(surface.slope_u * edge_v, left, right), edge_v);
  return fminf(edge_u != 0.0f ? beside : above, edge_v != 0.0f ? above : beside) <= reach;
}

__device__ inline int tiles_along(int pixels) { return (pixels + kTileSize - 1) / kTileSize; }

__device__ inline PixelRect pixels_of_tile(int tile_x, int tile_y, int width, int height) {
  return {float(tile_x * kTileSize), float(tile_y * kTileSize),
          float(min((tile_x + 1) * kTileSize, width) - 1),
          float(min((tile_y + 1) * kTileSize, height) - 1)};
}

// Tiles whose pixels lie within the box of a Gaussian's bounds, clipped to the image.
__device__ inline TileRect tiles_in_reach(const Splat& splat, const Surface& surface, float reach,
                                          int width, int height) {
  const float variance_u = reciprocal(surface.decay_u);  // times kHalfLog2E
  const float variance_v =
      fmaf(surface.slope_v * surface.slope_v, variance_u, reciprocal(surface.decay_v));
  const float half_u = fminf(fast_sqrt(reach * variance_u), surface.extent);
  const float half_v = fminf(fast_sqrt(reach * variance_v), surface.extent);
  const float left = ceilf(splat.u - half_u), right = floorf(splat.u + half_u);
  const float top = ceilf(splat.v - half_v), bottom = floorf(splat.v + half_v);
  // Written so that a NaN culls.
  const bool on_screen = left <= right && top <= bottom && left <= width - 1 && right >= 0.0f &&
                         top <= height - 1 && bottom >= 0.0f;
  if (!on_screen) return {0, 0, 0, 0};
  const int u0 = int(fmaxf(left, 0.0f)), u1 = int(fminf(right, float(width - 1)));
  const int v0 = int(fmaxf(top, 0.0f)), v1 = int(fminf(bottom, float(height - 1)));
  return {u0 / kTileSize, v0 / kTileSize, u1 / kTileSize + 1, v1 / kTileSize + 1};
}

// Where the surface of a Gaussian in image `image` is.
__device__ inline long long surface_index(int image, int gaussian, int times, int gaussians) {
  return (long long)(image / times) * gaussians + gaussian;
}

// What a call counts: read by the host and by blending.
struct Status {
  unsigned long long pairs;  // entries of all tile lists
  int longest;               // entries of the longest one
  int not_finite;            // whether an input holds NaN or infinity
  int covers;                // whether any Gaussian covers a tile
};
