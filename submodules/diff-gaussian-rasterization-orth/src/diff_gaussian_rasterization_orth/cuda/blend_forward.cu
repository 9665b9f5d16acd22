// Front to back blending of every tile of every image.
#include "blending.cuh"

// A pixel while its list is blended.
struct Sums {
  float transmittance;  // negative once blending has stopped
  float red, green, blue, depth;
  int stop;             // entries of the list before the one that stopped it, else all
};

extern "C" __global__ void __launch_bounds__(kBlendThreads, kForwardBlocks) blend_forward(
    int times, int gaussians, int width, int height, int background_scene_stride,
    int background_time_stride, int capacity,
    const Splat* __restrict__ splats,       // (b, t, n)
    const Surface* __restrict__ surfaces,   // (b, n)
    const int2* __restrict__ lists,         // (b, t, tiles)
    const int* __restrict__ sorted,         // (pairs)
    const float* __restrict__ backgrounds,  // (b, t, 3), by strides
    const Status* __restrict__ status,
    float* __restrict__ rgb,                // (b, t, 3, h, w)
    float* __restrict__ depth,              // (b, t, 1, h, w)
    float* __restrict__ alpha,              // (b, t, 1, h, w)
    float* __restrict__ transmittances,     // (b, t, h, w): final ones
    int* __restrict__ blended)              // (b, t, h, w): `stop` of each pixel
{
  __shared__ Batch batch;
  const Place place = place_of_thread(width, height);
  const int2 list = lists[place.tile];

  Sums sums[kPatches];
#pragma unroll
  for (int k = 0; k < kPatches; ++k) {
    const bool inside = place.x + patch_x(k) < width && place.y + patch_y(k) < height;
    sums[k] = {inside ? 1.0f : -1.0f, 0.0f, 0.0f, 0.0f, 0.0f, list.y - list.x};
  }

  for (int start = list.x; start < list.y; start += kBlendThreads) {
    // Also keeps the batch until both warps have used it.
    bool done = true;
#pragma unroll
    for (int k = 0; k < kPatches; ++k) done &= sums[k].transmittance < 0.0f;
    if (__syncthreads_and(done)) break;
    const int size = min(kBlendThreads, list.y - start);
    if (threadIdx.x < size)
      fetch(batch, sorted[start + threadIdx.x], place, times, gaussians, splats, surfaces);
    __syncthreads();

    for (int first = 0; first < size; first += 32) {
      unsigned open = 0;
#pragma unroll
      for (int k = 0; k < kPatches; ++k)
        open |= unsigned(__any_sync(kWarp, sums[k].transmittance > 0.0f)) << k;
      if (open == 0) break;
      const int slot_of_lane = first + place.lane;
      unsigned reached = 0;
      if (slot_of_lane < size)
        reached = open & patches_reached(batch.splats[slot_of_lane],
                                         batch.surfaces[slot_of_lane], place);
      unsigned wanted = __ballot_sync(kWarp, reached != 0);
      for (; wanted; wanted &= wanted - 1) {
        const int lane = __ffs(wanted) - 1, slot = first + lane;
        const unsigned patches = __shfl_sync(kWarp, reached, lane);
        const BlendedSplat splat = batch.splats[slot];
        const Surface surface = batch.surfaces[slot];
#pragma unroll
        for (int k = 0; k < kPatches; ++k) {
          if (!(patches >> k & 1)) continue;
          Sums& sum = sums[k];
          const float du = splat.u - (place.x + patch_x(k));
          const float dv = splat.v - (place.y + patch_y(k));
          // Selects rather than branches: nearly always one of the lanes draws.
          float a = fminf(kMaxAlpha, alpha_at(splat, surface, du, dv));
          a = a >= kMinAlpha & in_square(surface, du, dv) ? a : 0.0f;
          const float before = sum.transmittance, behind = fmaf(-a, before, before);
          const bool goes_on = behind >= kMinTransmittance;
          const float weight = goes_on ? a * before : 0.0f;
          sum.red = fmaf(weight, surface.red, sum.red);
          sum.green = fmaf(weight, surface.green, sum.green);
          sum.blue = fmaf(weight, surface.blue, sum.blue);
          sum.depth = fmaf(weight, splat.depth, sum.depth);
          sum.transmittance = select_at_least(behind, kMinTransmittance, -fabsf(before));
          if (!goes_on) sum.stop = min(sum.stop, start - list.x + slot);
        }
      }
    }
  }

  // With max_pairs the host does not check the status: invalid images become NaN.
  const bool valid = status->not_finite == 0 && status->pairs <= (unsigned long long)capacity;
  const float nan_or_zero = valid ? 0.0f : __int_as_float(0x7fc00000);  // NaN
  const int image = place.image, scene = image / times, time = image % times;
  const float* background = backgrounds + (long long)scene * background_scene_stride +
                            (long long)time * background_time_stride;
  const long long area = (long long)width * height;
#pragma unroll
  for (int k = 0; k < kPatches; ++k) {
    const int x = place.x + patch_x(k), y = place.y + patch_y(k);
    if (x >= width || y >= height) continue;
    const Sums& sum = sums[k];
    const float transmittance = fabsf(sum.transmittance);
    const long long at = (long long)y * width + x;
    rgb[(3ll * image + 0) * area + at] = fmaf(transmittance, background[0], sum.red) + nan_or_zero;
    rgb[(3ll * image + 1) * area + at] = fmaf(transmittance, background[1], sum.green) + nan_or_zero;
    rgb[(3ll * image + 2) * area + at] = fmaf(transmittance, background[2], sum.blue) + nan_or_zero;
    depth[image * area + at] = sum.depth + nan_or_zero;
    alpha[image * area + at] = 1.0f - transmittance + nan_or_zero;
    transmittances[image * area + at] = transmittance;
    blended[image * area + at] = sum.stop;
  }
}
