// Gradients of blending, back to front, into ten sums per Gaussian and image.
#include "blending.cuh"

// Order of the ten: red, green, blue, depth, opacity, u, v, inv_var_u, slope_v, inv_var_v.
constexpr int kGradients = 10;

// Sums ten values over the warp by halving: each step hands half of the values to the partner
// lane and keeps the other half, 12 shuffles instead of 50. Every even lane ends with one sum;
// `which` says of which value, or is -1.
__device__ inline float sum_over_warp(const float (&values)[kGradients], int lane, int& which) {
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
  float sum = kept + __shfl_xor_sync(kWarp, sent, 2);
  sum += __shfl_xor_sync(kWarp, sum, 1);

  const int in_three = 2 * upper4 + upper2;
  const int in_five = 3 * upper8 + in_three;
  const bool holds_one = in_three < 3 && in_five < 5 && lane % 2 == 0;
  which = holds_one ? 5 * upper16 + in_five : -1;
  return sum;
}

// The most entries that any pixel of the warp, and of the block, blended.
__device__ inline int longest_in_warp(int blended) {
  for (int step = 16; step > 0; step /= 2)
    blended = max(blended, __shfl_xor_sync(kWarp, blended, step));
  return blended;
}

__device__ inline int longest_in_block(int longest, int* by_warp) {
  if (threadIdx.x % 32 == 0) by_warp[threadIdx.x / 32] = longest;
  __syncthreads();
  for (int warp = 0; warp < kTileThreads / 32; ++warp) longest = max(longest, by_warp[warp]);
  return longest;
}

extern "C" __global__ void __launch_bounds__(kTileThreads) blend_backward(
    int times, int gaussians, int rotating, int width, int height,
    const Splat* __restrict__ splats,           // (b, t, n)
    const Footprint* __restrict__ footprints,   // (b, n), rotating (b, t, n)
    const float* __restrict__ colors,           // (b, n, 3)
    const float* __restrict__ backgrounds,      // (b, t, 3)
    const int2* __restrict__ tile_lists,        // (b, t, tiles)
    const int* __restrict__ sorted_splats,      // (pairs)
    const float* __restrict__ transmittances,   // (b, t, h, w)
    const int* __restrict__ blended,            // (b, t, h, w)
    const float* __restrict__ v_rgb,            // (b, t, 3, h, w)
    const float* __restrict__ v_depth,          // (b, t, 1, h, w)
    const float* __restrict__ v_alpha,          // (b, t, 1, h, w)
    float* __restrict__ v_splats)               // (b, t, n, 10), zeroed
{
  __shared__ Batch batch;
  __shared__ int longest_by_warp[kTileThreads / 32];
  const int image = blockIdx.z;
  const Pixel pixel = pixel_of_thread(width, height);
  const int2 list = tile_lists[(image * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x];

  // The loss gains `worth` of a Gaussian per unit of its weight; `behind` is what all that lies
  // behind, the background included, is worth in this pixel.
  float4 v_feature = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  float v_weight = 0.0f, transmittance = 1.0f, behind = 0.0f;
  int last = 0;
  if (pixel.inside) {
    const long long area = (long long)width * height;
    const long long at = (long long)pixel.y * width + pixel.x;
    v_feature.x = v_rgb[(3ll * image + 0) * area + at];
    v_feature.y = v_rgb[(3ll * image + 1) * area + at];
    v_feature.z = v_rgb[(3ll * image + 2) * area + at];
    v_feature.w = v_depth[image * area + at];
    v_weight = v_alpha[image * area + at];
    transmittance = transmittances[image * area + at];
    last = blended[image * area + at];
    const float* background = backgrounds + 3 * image;
    behind = transmittance * (v_feature.x * background[0] + v_feature.y * background[1] +
                              v_feature.z * background[2]);
  }
  const int warp_last = longest_in_warp(last);
  const int block_last = longest_in_block(warp_last, longest_by_warp);

  for (int end = block_last; end > 0; end -= kTileThreads) {
    __syncthreads();  // until every warp has used the last batch
    const int size = min(kTileThreads, end);
    if (threadIdx.x < size)
      fetch(batch, sorted_splats[list.x + end - 1 - int(threadIdx.x)], image, times, gaussians,
            rotating, splats, footprints, colors);
    __syncthreads();

    for (int first = 0; first < size; first += 32) {
      const int slot_of_lane = first + pixel.lane;
      unsigned reaching = reaching_patch(
          batch, first, pixel, slot_of_lane < size && end - 1 - slot_of_lane < warp_last);
      for (; reaching; reaching &= reaching - 1) {
        const int slot = first + __ffs(reaching) - 1;
        const Splat splat = batch.splats[slot];
        const Footprint footprint = batch.footprints[slot];
        const float du = splat.u - pixel.x, dv = splat.v - pixel.y;
        const float raw = alpha_at(splat, footprint, batch.bounds[slot], du, dv);
        const float a = fminf(kMaxAlpha, raw);
        const bool contributes = end - 1 - slot < last && a >= kMinAlpha;
        if (!__any_sync(kWarp, contributes)) continue;

        float v[kGradients] = {};
        if (contributes) {
          const float4 feature = batch.features[slot];
          const float without = 1.0f / (1.0f - a);
          transmittance *= without;
          const float weight = a * transmittance;
          const float worth = feature.x * v_feature.x + feature.y * v_feature.y +
                              feature.z * v_feature.z + feature.w * v_feature.w + v_weight;
          const float v_a = transmittance * worth - without * behind;
          behind = fmaf(weight, worth, behind);
          v[0] = weight * v_feature.x;
          v[1] = weight * v_feature.y;
          v[2] = weight * v_feature.z;
          v[3] = weight * v_feature.w;
          if (raw <= kMaxAlpha) {
            const float v_half_distance = -raw * v_a;
            const float ev = fmaf(-footprint.slope_v, du, dv);
            const float pull = footprint.inv_var_v * ev;
            v[4] = v_a * raw / splat.opacity;
            v[5] = v_half_distance * (footprint.inv_var_u * du - footprint.slope_v * pull);
            v[6] = v_half_distance * pull;
            v[7] = v_half_distance * 0.5f * du * du;
            v[8] = -v_half_distance * pull * du;
            v[9] = v_half_distance * 0.5f * ev * ev;
          }
        }
        int which;
        const float sum = sum_over_warp(v, pixel.lane, which);
        if (which >= 0)
          atomicAdd(v_splats + (long long)batch.indices[slot] * kGradients + which, sum);
      }
    }
  }
}
