// What the two blending passes share: the pixels of a thread and a batch of Gaussians on chip.
#pragma once
#include "footprint.cuh"

// A block blends one tile, a warp a patch of it, a thread one pixel.
struct Pixel {
  int x, y;         // in the image
  int lane;         // in the warp
  bool inside;      // of the image
  PixelRect patch;  // the warp's pixels
};

__device__ inline Pixel pixel_of_thread(int width, int height) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int patch_x = blockIdx.x * kTileSize + (warp % 2) * kPatchWidth;
  const int patch_y = blockIdx.y * kTileSize + (warp / 2) * kPatchHeight;
  Pixel pixel;
  pixel.lane = lane;
  pixel.x = patch_x + lane % kPatchWidth;
  pixel.y = patch_y + lane / kPatchWidth;
  pixel.inside = pixel.x < width && pixel.y < height;
  pixel.patch = {float(patch_x), float(patch_y), float(patch_x + kPatchWidth - 1),
                 float(patch_y + kPatchHeight - 1)};
  return pixel;
}

// One Gaussian a thread, fetched for the whole block.
struct Batch {
  Splat splats[kTileThreads];
  Footprint footprints[kTileThreads];
  float4 features[kTileThreads];  // r, g, b, depth
  Bounds bounds[kTileThreads];
  int indices[kTileThreads];      // into (b, t, n)
};

__device__ inline void fetch(Batch& batch, int index, int image, int times, int gaussians,
                             int rotating, const Splat* splats, const Footprint* footprints,
                             const float* colors) {
  const int slot = threadIdx.x;
  const int g = index - image * gaussians;
  const Splat splat = splats[index];
  const float* color = colors + 3 * ((long long)(image / times) * gaussians + g);
  const Footprint footprint =
      footprints[footprint_index(image, g, times, gaussians, rotating)];
  batch.splats[slot] = splat;
  batch.footprints[slot] = footprint;
  batch.features[slot] = make_float4(color[0], color[1], color[2], splat.depth);
  batch.bounds[slot] = bounds_of(splat, footprint);
  batch.indices[slot] = index;
}

// Which of the 32 Gaussians from `first` on reach this warp's patch; lane i tests Gaussian i.
__device__ inline unsigned reaching_patch(const Batch& batch, int first, const Pixel& pixel,
                                          bool wanted) {
  const int slot = first + pixel.lane;
  return __ballot_sync(kWarp, wanted && touches(batch.splats[slot], batch.footprints[slot],
                                                batch.bounds[slot], pixel.patch));
}

// Unclamped alpha, 0 outside of the square. Both passes call it, so that they round alike.
__device__ inline float alpha_at(const Splat& splat, const Footprint& footprint,
                                 const Bounds& bounds, float du, float dv) {
  if (fmaxf(fabsf(du), fabsf(dv)) > bounds.extent) return 0.0f;
  return splat.opacity * expf(-half_distance(footprint, du, dv));
}
