// Occlusion: a depth for every tile behind which all of its pixels are opaque.
//
// A Gaussian whose alpha is at least `a` in every pixel of a tile costs each of them -log2(1 - a)
// bits of transmittance. Summed over depth buckets from near to far, the bucket in which the sum
// passes the bits of kMinTransmittance is the last from which anything can be seen: what lies
// behind it need not be listed, and no pixel changes.
#pragma once
#include "gaussian.cuh"

constexpr float kCoverAlpha = 0.04f;           // weaker cover is not counted
constexpr float kCoverRounding = 0.999f;  // of alpha: more than its error
constexpr float kOpaqueBits = 13.3f;     // a little more than -log2(kMinTransmittance)
constexpr float kFarthest = 1e30f;       // deeper than anything
static_assert(TRANSMITTANCE_MIN >= 1e-4f, "kOpaqueBits is made for a transmittance of 1e-4");

// Adds a Gaussian's cover to every tile that lies wholly under it; returns whether there was one.
// `inverse_depth` is normalised.
__device__ inline bool add_cover(const Splat& splat, const Surface& surface, float inverse_depth,
                                 int width, int height, int buckets,
                                 float* cover)  // (buckets, tiles), of the image
{
  const float spare_bits = log2f(splat.opacity / kCoverAlpha);
  if (!(spare_bits > 0.0f) || buckets == 0) return false;
  const float half_u = fminf(sqrtf(spare_bits / surface.decay_u), surface.extent);
  const float half_v =
      fminf(sqrtf(spare_bits * variance_v(surface) / kHalfLog2E), surface.extent);
  constexpr float kSide = kTileSize - 1;  // between the centres of a tile's outer pixels
  if (2.0f * half_u < kSide || 2.0f * half_v < kSide) return false;

  const int tiles_x = tiles_along(width), tiles_y = tiles_along(height);
  const int x0 = max(int(ceilf((splat.u - half_u) / kTileSize)), 0);
  const int x1 = min(int(floorf((splat.u + half_u - kSide) / kTileSize)), tiles_x - 1);
  const int y0 = max(int(ceilf((splat.v - half_v) / kTileSize)), 0);
  const int y1 = min(int(floorf((splat.v + half_v - kSide) / kTileSize)), tiles_y - 1);
  const int bucket = min(int(inverse_depth * buckets), buckets - 1);
  float* of_bucket = cover + (long long)bucket * tiles_x * tiles_y;
  bool covers = false;
  for (int y = y0; y <= y1; ++y)
    for (int x = x0; x <= x1; ++x) {
      const float left = splat.u - x * kTileSize, right = left - kSide;
      const float top = splat.v - y * kTileSize, bottom = top - kSide;
      // The distance is convex: it is largest at a corner.
      const float bits =
          fmaxf(fmaxf(bits_at(surface, left, top), bits_at(surface, right, top)),
                fmaxf(bits_at(surface, left, bottom), bits_at(surface, right, bottom)));
      if (bits > spare_bits) continue;
      const float alpha = kCoverRounding * fminf(kMaxAlpha, splat.opacity * fast_exp2(-bits));
      atomicAdd(of_bucket + y * tiles_x + x, -fast_log2(1.0f - alpha));
      covers = true;
    }
  return covers;
}

// Depth behind which nothing of a tile can be seen. `buckets` is a multiple of 8, or 0.
__device__ inline float opaque_depth(const float* cover, int buckets, long long tiles) {
  float bits = 0.0f;
  for (int first = buckets - 8; first >= 0; first -= 8) {
    float eight[8];  // loaded together: one wait instead of eight
#pragma unroll
    for (int i = 0; i < 8; ++i) eight[i] = cover[(first + i) * tiles];
#pragma unroll
    for (int i = 7; i >= 0; --i) {
      bits += eight[i];
      // Rounding keeps order: what lies in this bucket or nearer is not deeper than its far end.
      if (bits >= kOpaqueBits) return depth_of(float(first + i) / buckets);
    }
  }
  return kFarthest;
}
