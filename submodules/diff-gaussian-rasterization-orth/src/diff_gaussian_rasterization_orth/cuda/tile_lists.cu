// From Gaussians to a list of (depth, Gaussian) per tile, not yet in order.
#include "cover.cuh"

constexpr int kBlock = 256;

// Calls `use(tile)` for every tile in which something of the Gaussian may be seen.
template <typename Use>
__device__ inline void for_each_tile(const Splat& splat, const Surface& surface,
                                     const float* limits, int width, int height, Use use) {
  const float reach = reach_of(splat.opacity);
  const TileRect rect = tiles_in_reach(splat, surface, reach, width, height);
  const int tiles_x = tiles_along(width);
  for (int y = rect.y0; y < rect.y1; ++y)
    for (int x = rect.x0; x < rect.x1; ++x) {
      const int tile = y * tiles_x + x;
      if (splat.depth <= limits[tile] &&
          touches(splat, surface, reach, pixels_of_tile(x, y, width, height)))
        use(tile);
    }
}

extern "C" __global__ void find_limits(
    int tiles, int all_tiles, int buckets,
    const float* __restrict__ cover,  // (b, t, buckets, tiles)
    float* __restrict__ limits)       // (b, t, tiles)
{
  const int at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= all_tiles) return;
  const int image = at / tiles, tile = at % tiles;
  limits[at] = opaque_depth(cover + (long long)image * buckets * tiles + tile, buckets, tiles);
}

extern "C" __global__ void count_pairs(
    int times, int gaussians, int rotating, int width, int height,
    const Splat* __restrict__ splats,      // (b, t, n)
    const Surface* __restrict__ surfaces,  // (b, n), rotating (b, t, n)
    const float* __restrict__ limits,      // (b, t, tiles)
    int* __restrict__ counts)              // (b, t, tiles), zeroed
{
  const int g = blockIdx.x * blockDim.x + threadIdx.x, image = blockIdx.y;
  if (g >= gaussians) return;
  const Splat splat = splats[(long long)image * gaussians + g];
  if (splat.opacity == 0.0f) return;
  const Surface surface = surfaces[surface_index(image, g, times, gaussians, rotating)];
  const int first = image * tiles_along(width) * tiles_along(height);
  for_each_tile(splat, surface, limits + first, width, height,
                [&](int tile) { atomicAdd(counts + first + tile, 1); });
}

// Sum of a block's values, known to all of its threads afterwards.
__device__ inline unsigned long long sum_over_block(unsigned long long value) {
  __shared__ unsigned long long sums[kBlock / 32];
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(kWarp, value, step);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
  __syncthreads();
  value = 0;
  for (int warp = 0; warp < kBlock / 32; ++warp) value += sums[warp];
  return value;
}

extern "C" __global__ void sum_counts(
    int all_tiles,
    const int* __restrict__ counts,          // (b, t, tiles)
    unsigned long long* __restrict__ sums,   // one a block
    Status* __restrict__ status)
{
  const int at = blockIdx.x * kBlock + threadIdx.x;
  const int count = at < all_tiles ? counts[at] : 0;
  if (count > 0) atomicMax(&status->longest, count);
  const unsigned long long sum = sum_over_block(count);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// Gives every tile its stretch of the pairs. A list for which there is no room stays empty, and
// its cursor is so low that nothing is written.
extern "C" __global__ void reserve_lists(
    int all_tiles, int room,
    const unsigned long long* __restrict__ sums,  // from sum_counts
    int* __restrict__ counts,                     // (b, t, tiles); becomes where the next pair goes
    int2* __restrict__ lists,                     // (b, t, tiles): begin and end
    Status* __restrict__ status)
{
  __shared__ int ends[kBlock];
  unsigned long long before = 0;
  for (int block = threadIdx.x; block < int(blockIdx.x); block += kBlock) before += sums[block];
  before = sum_over_block(before);

  const int at = blockIdx.x * kBlock + threadIdx.x;
  const int count = at < all_tiles ? counts[at] : 0;
  ends[threadIdx.x] = count;
  for (int step = 1; step < kBlock; step *= 2) {
    __syncthreads();
    const int earlier = int(threadIdx.x) >= step ? ends[threadIdx.x - step] : 0;
    __syncthreads();
    ends[threadIdx.x] += earlier;
  }
  if (at >= all_tiles) return;
  const unsigned long long end = before + ends[threadIdx.x];
  const bool fits = end <= (unsigned long long)room;
  lists[at] = fits ? int2{int(end) - count, int(end)} : int2{0, 0};
  counts[at] = fits ? int(end) - count : -0x40000000;
  if (at == all_tiles - 1) status->pairs = end;
}

extern "C" __global__ void emit_pairs(
    int times, int gaussians, int rotating, int width, int height,
    const Splat* __restrict__ splats,        // (b, t, n)
    const Surface* __restrict__ surfaces,    // (b, n), rotating (b, t, n)
    const float* __restrict__ limits,        // (b, t, tiles)
    int* __restrict__ cursors,               // (b, t, tiles)
    unsigned long long* __restrict__ pairs)  // (pairs): depth, Gaussian
{
  const int g = blockIdx.x * blockDim.x + threadIdx.x, image = blockIdx.y;
  if (g >= gaussians) return;
  const Splat splat = splats[(long long)image * gaussians + g];
  if (splat.opacity == 0.0f) return;
  const Surface surface = surfaces[surface_index(image, g, times, gaussians, rotating)];
  const int first = image * tiles_along(width) * tiles_along(height);
  // Positive floats order as their bits do; ties go by index.
  const unsigned long long pair =
      (unsigned long long)__float_as_uint(splat.depth) << 32 | (unsigned)g;
  for_each_tile(splat, surface, limits + first, width, height, [&](int tile) {
    const int slot = atomicAdd(cursors + first + tile, 1);
    if (slot >= 0) pairs[slot] = pair;
  });
}
