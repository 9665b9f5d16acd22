// Shared by both blending passes: the pixels of a warp and a batch of Gaussians on chip.
//
// A block of two warps blends one tile of 16 x 16 pixels; a warp one half of it, 16 x 8, as four
// patches of 8 x 4 in which every lane has one pixel. Whether a Gaussian reaches a patch is tested
// once, by one lane; what a Gaussian costs, loads and sums over the warp, is paid once for four.
#pragma once
#include "splat.cuh"

constexpr int kBlendThreads = 64;
// Blocks a multiprocessor: a few words spilled cost less than the cycles that more warps fill.
constexpr int kForwardBlocks = 18;
constexpr int kBackwardBlocks = 12;
constexpr int kPatches = 4;
constexpr int kPatchWidth = 8;
constexpr int kPatchHeight = 4;
constexpr float kLn2 = 0.6931471805599453f;

// The pixels of a block and its threads.
struct Place {
  int image, tile;   // the tile counts over all images
  int lane;          // in the warp
  int x, y;          // the lane's pixel in the warp's first patch
  int left, top;     // the warp's first pixel
};

__device__ inline Place place_of_thread(int width, int height) {
  const int tiles_x = tiles_along(width), tiles = tiles_x * tiles_along(height);
  Place place;
  place.tile = blockIdx.x;
  place.image = place.tile / tiles;
  place.lane = threadIdx.x % 32;
  const int in_image = place.tile % tiles;
  place.left = in_image % tiles_x * kTileSize;
  place.top = in_image / tiles_x * kTileSize + threadIdx.x / 32 * (2 * kPatchHeight);
  place.x = place.left + place.lane % kPatchWidth;
  place.y = place.top + place.lane / kPatchWidth;
  return place;
}

// Offset of patch `k`, one of kPatches, from the warp's first.
__device__ constexpr int patch_x(int k) { return k % 2 * kPatchWidth; }
__device__ constexpr int patch_y(int k) { return k / 2 * kPatchHeight; }

// A splat while it is blended: its opacity as log2, which costs a pixel an addition less.
struct __align__(16) BlendedSplat {
  float u, v, depth;
  float opacity_bits;
};

// Gaussians fetched for the whole block, one a thread.
struct Batch {
  BlendedSplat splats[kBlendThreads];
  Surface surfaces[kBlendThreads];
  int indices[kBlendThreads];  // within the scene
};

__device__ inline void fetch(Batch& batch, int g, const Place& place, int times, int gaussians,
                             const Splat* splats, const Surface* surfaces) {
  const int slot = threadIdx.x;
  batch.indices[slot] = g;
  const Splat splat = splats[(long long)place.image * gaussians + g];
  batch.splats[slot] = {splat.u, splat.v, splat.depth, fast_log2(splat.opacity)};
  batch.surfaces[slot] = surfaces[surface_index(place.image, g, times, gaussians)];
}

// One bit for each patch that the Gaussian reaches.
__device__ inline unsigned patches_reached(const BlendedSplat& splat, const Surface& surface,
                                           const Place& place) {
  const float reach = reach_of_bits(splat.opacity_bits);
  unsigned patches = 0;
  for (int k = 0; k < kPatches; ++k) {
    const float left = place.left + patch_x(k), top = place.top + patch_y(k);
    const PixelRect rect = {left, top, left + (kPatchWidth - 1), top + (kPatchHeight - 1)};
    patches |= unsigned(touches(splat.u, splat.v, surface, reach, rect)) << k;
  }
  return patches;
}

// Unclamped alpha. Both passes call it, so that they round alike.
__device__ inline float alpha_at(const BlendedSplat& splat, const Surface& surface, float du,
                                 float dv) {
  const float ev = fmaf(-surface.slope_v, du, dv);
  const float bits = fmaf(-surface.decay_v * ev, ev, splat.opacity_bits);
  return fast_exp2(fmaf(-surface.decay_u * du, du, bits));
}

__device__ inline bool in_square(const Surface& surface, float du, float dv) {
  return fmaxf(fabsf(du), fabsf(dv)) <= surface.extent;
}
