// Gradients of blending, back to front, into ten sums per Gaussian.
//
// With g = dL/dbits, du and ev = dv - slope_v du from the pixel to the centre, and w the weight
// of the Gaussian in the pixel, the sums over all pixels are
//   g, g du, g ev, w v_depth              per image, and
//   g du^2, g du ev, g ev^2, w v_rgb      per surface.
// project_backward.cu makes gradients of them.
#include "blending.cuh"

constexpr int kSums = 10;

// Sums ten values over the warp by halving: each step hands half of the values to the partner
// lane and keeps the other half, 12 shuffles instead of 50. A lane ends with the sum of one value.
__device__ inline float sum_over_warp(const float (&values)[kSums], int lane) {
  const bool upper16 = lane & 16, upper8 = lane & 8, upper4 = lane & 4, upper2 = lane & 2;
  float five[6];
  for (int i = 0; i < 5; ++i) {
    const float kept = upper16 ? values[i + 5] : values[i];
    const float sent = upper16 ? values[i] : values[i + 5];
    five[i] = kept + __shfl_xor_sync(kWarp, sent, 16);
  }
  five[5] = 0.0f;
  float three[4];
  for (int i = 0; i < 3; ++i) {
    const float kept = upper8 ? five[i + 3] : five[i];
    const float sent = upper8 ? five[i] : five[i + 3];
    three[i] = kept + __shfl_xor_sync(kWarp, sent, 8);
  }
  three[3] = 0.0f;
  float two[2];
  for (int i = 0; i < 2; ++i) {
    const float kept = upper4 ? three[i + 2] : three[i];
    const float sent = upper4 ? three[i] : three[i + 2];
    two[i] = kept + __shfl_xor_sync(kWarp, sent, 4);
  }
  const float kept = upper2 ? two[1] : two[0];
  const float sent = upper2 ? two[0] : two[1];
  const float sum = kept + __shfl_xor_sync(kWarp, sent, 2);
  return sum + __shfl_xor_sync(kWarp, sum, 1);
}

// Which of the ten values a lane holds the sum of, or -1.
__device__ inline int value_of_lane(int lane) {
  const bool upper16 = lane & 16, upper8 = lane & 8, upper4 = lane & 4, upper2 = lane & 2;
  const int in_three = 2 * upper4 + upper2;
  const int in_five = 3 * upper8 + in_three;
  return in_three < 3 && in_five < 5 && lane % 2 == 0 ? 5 * upper16 + in_five : -1;
}

// The most entries that any of the warp's pixels of a patch looked at.
__device__ inline int longest_in_warp(int blended) {
  for (int step = 16; step > 0; step /= 2)
    blended = max(blended, __shfl_xor_sync(kWarp, blended, step));
  return blended;
}

// A pixel while its list is walked back. With v_weight = dL/dweight of a Gaussian, `behind` sums
// weight * v_weight over all that lies behind, the background included.
struct Pixel {
  float transmittance, behind;
  float v_red, v_green, v_blue, v_depth, v_alpha;
  int last;
};

__device__ inline float read(const float* image, long long at) { return image ? image[at] : 0.0f; }

extern "C" __global__ void __launch_bounds__(kBlendThreads, kBackwardBlocks) blend_backward(
    int times, int gaussians, int width, int height, int background_scene_stride,
    int background_time_stride,
    const Splat* __restrict__ splats,          // (b, t, n)
    const Surface* __restrict__ surfaces,      // (b, n)
    const int2* __restrict__ lists,            // (b, t, tiles)
    const int* __restrict__ sorted,            // (pairs)
    const float* __restrict__ backgrounds,     // (b, t, 3), by strides
    const float* __restrict__ transmittances,  // (b, t, h, w)
    const int* __restrict__ blended,           // (b, t, h, w)
    const float* __restrict__ v_rgb,           // (b, t, 3, h, w) or null
    const float* __restrict__ v_depth,         // (b, t, 1, h, w) or null
    const float* __restrict__ v_alpha,         // (b, t, 1, h, w) or null
    float* __restrict__ splat_sums,            // (b, t, n, 4), zeroed
    float* __restrict__ surface_sums)          // (b, n, 8), zeroed
{
  __shared__ Batch batch;
  __shared__ int longest_by_warp[kBlendThreads / 32];
  const Place place = place_of_thread(width, height);
  const int image = place.image;
  const int2 list = lists[place.tile];
  const float* background = backgrounds + (long long)(image / times) * background_scene_stride +
                            (long long)(image % times) * background_time_stride;
  const long long area = (long long)width * height;

  Pixel pixels[kPatches];
  int last[kPatches], warp_last = 0;  // of any pixel of the patch, of the warp
#pragma unroll
  for (int k = 0; k < kPatches; ++k) {
    const int x = place.x + patch_x(k), y = place.y + patch_y(k);
    pixels[k] = {};
    if (x < width && y < height) {
      const long long at = (long long)y * width + x;
      Pixel& pixel = pixels[k];
      pixel.v_red = read(v_rgb, (3ll * image + 0) * area + at);
      pixel.v_green = read(v_rgb, (3ll * image + 1) * area + at);
      pixel.v_blue = read(v_rgb, (3ll * image + 2) * area + at);
      pixel.v_depth = read(v_depth, image * area + at);
      pixel.v_alpha = read(v_alpha, image * area + at);
      pixel.transmittance = transmittances[image * area + at];
      pixel.last = blended[image * area + at];
      pixel.behind =
          pixel.transmittance * (pixel.v_red * background[0] + pixel.v_green * background[1] +
                                 pixel.v_blue * background[2]);
    }
    last[k] = longest_in_warp(pixels[k].last);
    warp_last = max(warp_last, last[k]);
  }
  if (place.lane == 0) longest_by_warp[threadIdx.x / 32] = warp_last;
  __syncthreads();
  const int block_last = max(longest_by_warp[0], longest_by_warp[1]);

  // Where this lane's sum of the first Gaussian goes, and how far apart the others are.
  const int value = value_of_lane(place.lane), stride = value < 4 ? 4 : 8;
  float* sums_of_lane =
      value < 4 ? splat_sums + 4ll * image * gaussians + value
                : surface_sums + 8 * surface_index(image, 0, times, gaussians) + value - 4;

  for (int end = block_last; end > 0; end -= kBlendThreads) {
    __syncthreads();  // until both warps have used the last batch
    const int size = min(kBlendThreads, end);
    if (threadIdx.x < size)
      fetch(batch, sorted[list.x + end - 1 - int(threadIdx.x)], place, times, gaussians, splats,
            surfaces);
    __syncthreads();

    for (int first = 0; first < size; first += 32) {
      const int slot_of_lane = first + place.lane;
      unsigned reached = 0;
      if (slot_of_lane < size && end - 1 - slot_of_lane < warp_last) {
        reached = patches_reached(batch.splats[slot_of_lane], batch.surfaces[slot_of_lane], place);
#pragma unroll
        for (int k = 0; k < kPatches; ++k)
          if (end - 1 - slot_of_lane >= last[k]) reached &= ~(1u << k);
      }
      unsigned wanted = __ballot_sync(kWarp, reached != 0);
      for (; wanted; wanted &= wanted - 1) {
        const int lane = __ffs(wanted) - 1, slot = first + lane;
        const unsigned patches = __shfl_sync(kWarp, reached, lane);
        const BlendedSplat splat = batch.splats[slot];
        const Surface surface = batch.surfaces[slot];

        float sums[kSums] = {};
        float weights = 0.0f;
#pragma unroll
        for (int k = 0; k < kPatches; ++k) {
          if (!(patches >> k & 1)) continue;
          Pixel& pixel = pixels[k];
          const float du = splat.u - (place.x + patch_x(k));
          const float dv = splat.v - (place.y + patch_y(k));
          // Selects rather than branches: nearly always one of the lanes drew.
          const float raw = alpha_at(splat, surface, du, dv);
          const bool drawn =
              raw >= kMinAlpha & in_square(surface, du, dv) & end - 1 - slot < pixel.last;
          const float a = drawn ? fminf(kMaxAlpha, raw) : 0.0f;
          const float inverse = reciprocal(1.0f - a);
          pixel.transmittance *= inverse;
          const float weight = a * pixel.transmittance;
          weights += weight;
          const float v_weight =
              fmaf(surface.red, pixel.v_red,
                   fmaf(surface.green, pixel.v_green,
                        fmaf(surface.blue, pixel.v_blue,
                             fmaf(splat.depth, pixel.v_depth, pixel.v_alpha))));
          const float v_a = pixel.transmittance * v_weight - inverse * pixel.behind;
          pixel.behind = fmaf(weight, v_weight, pixel.behind);
          sums[3] = fmaf(weight, pixel.v_depth, sums[3]);
          sums[7] = fmaf(weight, pixel.v_red, sums[7]);
          sums[8] = fmaf(weight, pixel.v_green, sums[8]);
          sums[9] = fmaf(weight, pixel.v_blue, sums[9]);
          const float v_bits = raw > kMaxAlpha ? 0.0f : -kLn2 * a * v_a;
          const float ev = fmaf(-surface.slope_v, du, dv);
          const float along_u = v_bits * du, along_v = v_bits * ev;
          sums[0] += v_bits;
          sums[1] += along_u;
          sums[2] += along_v;
          sums[4] = fmaf(along_u, du, sums[4]);
          sums[5] = fmaf(along_u, ev, sums[5]);
          sums[6] = fmaf(along_v, ev, sums[6]);
        }
        if (!__any_sync(kWarp, weights > 0.0f)) continue;
        const float sum = sum_over_warp(sums, place.lane);
        if (value >= 0) atomicAdd(sums_of_lane + (long long)stride * batch.indices[slot], sum);
      }
    }
  }
}
