// Front to back blending of every tile of every image.
#include "blending.cuh"

extern "C" __global__ void __launch_bounds__(kTileThreads) blend_forward(
    int times, int gaussians, int rotating, int width, int height,
    const Splat* __restrict__ splats,          // (b, t, n)
    const Footprint* __restrict__ footprints,  // (b, n), rotating (b, t, n)
    const float* __restrict__ colors,          // (b, n, 3)
    const float* __restrict__ backgrounds,     // (b, t, 3)
    const int2* __restrict__ tile_lists,       // (b, t, tiles)
    const int* __restrict__ sorted_splats,     // (pairs)
    float* __restrict__ rgb,                   // (b, t, 3, h, w)
    float* __restrict__ depth,                 // (b, t, 1, h, w)
    float* __restrict__ alpha,                 // (b, t, 1, h, w)
    float* __restrict__ transmittances,        // (b, t, h, w): what the background gets
    int* __restrict__ blended)                 // (b, t, h, w): how far into the list it went
{
  __shared__ Batch batch;
  const int image = blockIdx.z;
  const Pixel pixel = pixel_of_thread(width, height);
  const int2 list = tile_lists[(image * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x];

  bool done = !pixel.inside;
  float transmittance = 1.0f;
  float red = 0.0f, green = 0.0f, blue = 0.0f, depth_sum = 0.0f, alpha_sum = 0.0f;
  int last = 0;

  for (int start = list.x; start < list.y; start += kTileThreads) {
    // Also keeps the batch until every warp has used it.
    if (__syncthreads_and(done)) break;
    const int size = min(kTileThreads, list.y - start);
    if (threadIdx.x < size)
      fetch(batch, sorted_splats[start + threadIdx.x], image, times, gaussians, rotating, splats,
            footprints, colors);
    __syncthreads();

    for (int first = 0; first < size && !__all_sync(kWarp, done); first += 32) {
      unsigned reaching = reaching_patch(batch, first, pixel, first + pixel.lane < size);
      for (; reaching; reaching &= reaching - 1) {
        const int slot = first + __ffs(reaching) - 1;
        if (done) continue;
        const Splat splat = batch.splats[slot];
        const float a =
            fminf(kMaxAlpha, alpha_at(splat, batch.footprints[slot], batch.bounds[slot],
                                      splat.u - pixel.x, splat.v - pixel.y));
        if (a < kMinAlpha) continue;
        const float remaining = transmittance * (1.0f - a);
        if (remaining < kMinTransmittance) {
          done = true;
          continue;
        }
        const float weight = a * transmittance;
        const float4 feature = batch.features[slot];
        red = fmaf(weight, feature.x, red);
        green = fmaf(weight, feature.y, green);
        blue = fmaf(weight, feature.z, blue);
        depth_sum = fmaf(weight, feature.w, depth_sum);
        alpha_sum += weight;
        transmittance = remaining;
        last = start - list.x + slot + 1;
      }
    }
  }

  if (!pixel.inside) return;
  const long long area = (long long)width * height;
  const long long at = (long long)pixel.y * width + pixel.x;
  const float* background = backgrounds + 3 * image;
  rgb[(3ll * image + 0) * area + at] = fmaf(transmittance, background[0], red);
  rgb[(3ll * image + 1) * area + at] = fmaf(transmittance, background[1], green);
  rgb[(3ll * image + 2) * area + at] = fmaf(transmittance, background[2], blue);
  depth[image * area + at] = depth_sum;
  alpha[image * area + at] = alpha_sum;
  transmittances[image * area + at] = transmittance;
  blended[image * area + at] = last;
}
