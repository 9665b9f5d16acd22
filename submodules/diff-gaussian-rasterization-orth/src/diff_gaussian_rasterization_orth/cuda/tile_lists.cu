// From Gaussians to a list of (depth, Gaussian) per tile, not yet in order.
#include "cover.cuh"

constexpr int kBlock = 256;
constexpr int kGroup = 4;          // tiles a side of a group
constexpr int kReserveBlock = 1024;

__device__ inline int groups_along(int tiles) { return (tiles + kGroup - 1) / kGroup; }

// Depths behind which nothing of a tile, and of a group of tiles, can be seen; of one image.
struct Limits {
  const float* tiles;
  const float* groups;
};

__device__ inline Limits limits_of(const float* tiles, const float* groups, int image, int width,
                                   int height) {
  const int tiles_x = tiles_along(width), tiles_y = tiles_along(height);
  return {tiles + (long long)image * tiles_x * tiles_y,
          groups + (long long)image * groups_along(tiles_x) * groups_along(tiles_y)};
}

extern "C" __global__ void find_limits(
    int width, int height, int all_tiles, int buckets,
    const float* __restrict__ cover,  // (b, t, buckets, tiles)
    const Status* __restrict__ status,
    float* __restrict__ limits,       // (b, t, tiles)
    int* __restrict__ group_limits)   // (b, t, groups), zeroed; the bits of floats
{
  const int at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= all_tiles) return;
  const int tiles_x = tiles_along(width), tiles_y = tiles_along(height);
  const int tiles = tiles_x * tiles_y, image = at / tiles, tile = at % tiles;
  const float* of_tile = cover + (long long)image * buckets * tiles + tile;
  const float limit = opaque_depth(of_tile, status->covers ? buckets : 0, tiles);
  limits[at] = limit;
  const int group = tile / tiles_x / kGroup * groups_along(tiles_x) + tile % tiles_x / kGroup;
  // Positive floats order as their bits do.
  atomicMax(group_limits + image * groups_along(tiles_x) * groups_along(tiles_y) + group,
            __float_as_int(limit));
}

// Whether a Gaussian may be seen in any group of tiles that it reaches.
__device__ inline bool may_be_seen(const Splat& splat, const TileRect& rect, const Limits& limits,
                                   int width) {
  const int groups_x = groups_along(tiles_along(width));
  for (int y = rect.y0 / kGroup; y * kGroup < rect.y1; ++y)
    for (int x = rect.x0 / kGroup; x * kGroup < rect.x1; ++x)
      if (splat.depth <= limits.groups[y * groups_x + x]) return true;
  return false;
}

// The numbers of a block's Gaussians for which `wanted` holds, side by side: what is hidden leaves
// no gaps among the lanes. Returns how many.
__device__ inline int gather(int g, bool wanted, int* gathered) {
  __shared__ int by_warp[kBlock / 32];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const unsigned lanes = __ballot_sync(kWarp, wanted);
  if (lane == 0) by_warp[warp] = __popc(lanes);
  __syncthreads();
  int before = 0, total = 0;
  for (int other = 0; other < kBlock / 32; ++other) {
    if (other < warp) before += by_warp[other];
    total += by_warp[other];
  }
  if (wanted) gathered[before + __popc(lanes & ((1u << lane) - 1))] = g;
  __syncthreads();
  return total;
}

__device__ inline int least_in_warp(int value) {
  for (int step = 16; step > 0; step /= 2)
    value = min(value, __shfl_xor_sync(kWarp, value, step));
  return value;
}

__device__ inline int most_in_warp(int value) { return -least_in_warp(-value); }

// Calls `use(tile, lanes)` for the tiles in which something of the lane's Gaussian may be seen;
// `lanes` are those that are called for the same tile at the same time. Neighbours mostly reach
// the same tiles: then the warp walks over all of their tiles together.
template <typename Use>
__device__ inline void for_each_tile(bool wanted, const Splat& splat, const Surface& surface,
                                     const Limits& limits, int width, int height, Use use) {
  const int lane = threadIdx.x % 32, tiles_x = tiles_along(width);
  const float reach = wanted ? reach_of(splat.opacity) : 0.0f;
  const TileRect rect =
      wanted ? tiles_in_reach(splat, surface, reach, width, height) : TileRect{0, 0, 0, 0};
  const bool any = rect.x0 < rect.x1;
  const TileRect together = {
      least_in_warp(any ? rect.x0 : 1 << 20), least_in_warp(any ? rect.y0 : 1 << 20),
      most_in_warp(any ? rect.x1 : 0), most_in_warp(any ? rect.y1 : 0)};
  if (together.x0 >= together.x1) return;
  const int alone_area = most_in_warp((rect.x1 - rect.x0) * (rect.y1 - rect.y0));
  const int together_area = (together.x1 - together.x0) * (together.y1 - together.y0);
  const bool walk_together = together_area <= 3 * alone_area + 8;

  const TileRect walk = walk_together ? together : rect;
  for (int y = walk.y0; y < walk.y1; ++y)
    for (int x = walk.x0; x < walk.x1; ++x) {
      const int tile = y * tiles_x + x;
      const bool inside = x >= rect.x0 && x < rect.x1 && y >= rect.y0 && y < rect.y1;
      const bool seen = inside && splat.depth <= limits.tiles[tile] &&
                        touches(splat.u, splat.v, surface, reach,
                                pixels_of_tile(x, y, width, height));
      const unsigned lanes = walk_together ? __ballot_sync(kWarp, seen) : 1u << lane;
      if (seen) use(tile, lanes);
    }
}

// Adds one for each of the lanes to the counter; returns what it was before the lane's own.
__device__ inline int count_up(int* counter, unsigned lanes) {
  const int lane = threadIdx.x % 32, first = __ffs(lanes) - 1;
  int before = 0;
  if (lane == first) before = atomicAdd(counter, __popc(lanes));
  return __shfl_sync(lanes, before, first) + __popc(lanes & ((1u << lane) - 1));
}

extern "C" __global__ void __launch_bounds__(kBlock) count_pairs(
    int times, int gaussians, int width, int height,
    Splat* __restrict__ splats,              // (b, t, n); what is hidden loses its opacity
    const Surface* __restrict__ surfaces,    // (b, n)
    const float* __restrict__ limits,        // (b, t, tiles)
    const float* __restrict__ group_limits,  // (b, t, groups)
    int* __restrict__ counts)                // (b, t, tiles), zeroed
{
  __shared__ int gathered[kBlock];
  const int image = blockIdx.y, g = blockIdx.x * kBlock + threadIdx.x;
  const long long first = (long long)image * gaussians;
  const Limits here = limits_of(limits, group_limits, image, width, height);
  bool wanted = false;
  if (g < gaussians) {
    const Splat splat = splats[first + g];
    if (splat.opacity > 0.0f) {
      const Surface surface = surfaces[surface_index(image, g, times, gaussians)];
      const TileRect rect =
          tiles_in_reach(splat, surface, reach_of(splat.opacity), width, height);
      wanted = may_be_seen(splat, rect, here, width);
      if (!wanted) splats[first + g].opacity = 0.0f;
    }
  }
  const int total = gather(g, wanted, gathered);
  if (threadIdx.x / 32 * 32 >= total) return;
  wanted = threadIdx.x < total;
  const int of_lane = gathered[wanted ? threadIdx.x : 0];
  const Splat splat = splats[first + of_lane];
  const Surface surface = surfaces[surface_index(image, of_lane, times, gaussians)];
  int* of_image = counts + (long long)image * tiles_along(width) * tiles_along(height);
  for_each_tile(wanted, splat, surface, here, width, height, [&](int tile, unsigned lanes) {
    if (__ffs(lanes) - 1 == int(threadIdx.x % 32)) atomicAdd(of_image + tile, __popc(lanes));
  });
}

// Gives every tile its stretch of the pairs, in the order of tiles. A list for which there is no
// room stays empty, and its cursor is so low that nothing is written.
extern "C" __global__ void __launch_bounds__(kReserveBlock) reserve_lists(
    int all_tiles, int room,
    int* __restrict__ ticket,                  // zeroed
    unsigned long long* __restrict__ so_far,   // one a block, zeroed: pairs up to its end, plus one
    int* __restrict__ counts,                  // (b, t, tiles); becomes where the next pair goes
    int2* __restrict__ lists,                  // (b, t, tiles): begin and end
    Status* __restrict__ status)
{
  __shared__ int ends[kReserveBlock];
  __shared__ int block;
  __shared__ unsigned long long before;
  // Blocks take numbers as they start, so that each waits below for one that runs.
  if (threadIdx.x == 0) block = atomicAdd(ticket, 1);
  __syncthreads();
  const int at = block * kReserveBlock + threadIdx.x;
  const int count = at < all_tiles ? counts[at] : 0;
  if (count > 0) atomicMax(&status->longest, count);
  ends[threadIdx.x] = count;
  for (int step = 1; step < kReserveBlock; step *= 2) {
    __syncthreads();
    const int earlier = int(threadIdx.x) >= step ? ends[threadIdx.x - step] : 0;
    __syncthreads();
    ends[threadIdx.x] += earlier;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    unsigned long long sum = 0;
    if (block > 0)
      while (sum == 0) sum = atomicAdd(so_far + block - 1, 0ull);
    else
      sum = 1;
    before = sum - 1;
    atomicAdd(so_far + block, sum + ends[kReserveBlock - 1]);
  }
  __syncthreads();
  if (at >= all_tiles) return;
  const unsigned long long end = before + ends[threadIdx.x];
  const bool fits = end <= (unsigned long long)room;
  lists[at] = fits ? int2{int(end) - count, int(end)} : int2{0, 0};
  counts[at] = fits ? int(end) - count : -0x40000000;
  if (at == all_tiles - 1) status->pairs = end;
}

extern "C" __global__ void __launch_bounds__(kBlock) emit_pairs(
    int times, int gaussians, int width, int height,
    const Splat* __restrict__ splats,        // (b, t, n)
    const Surface* __restrict__ surfaces,    // (b, n)
    const float* __restrict__ limits,        // (b, t, tiles)
    const float* __restrict__ group_limits,  // (b, t, groups)
    int* __restrict__ cursors,               // (b, t, tiles)
    unsigned long long* __restrict__ pairs)  // (pairs): depth, Gaussian
{
  __shared__ int gathered[kBlock];
  const int image = blockIdx.y, g = blockIdx.x * kBlock + threadIdx.x;
  const long long first = (long long)image * gaussians;
  const int total = gather(g, g < gaussians && splats[first + g].opacity > 0.0f, gathered);
  if (threadIdx.x / 32 * 32 >= total) return;
  const bool wanted = threadIdx.x < total;
  const int of_lane = gathered[wanted ? threadIdx.x : 0];
  const Splat splat = splats[first + of_lane];
  const Surface surface = surfaces[surface_index(image, of_lane, times, gaussians)];
  // Positive floats order as their bits do; ties go by index.
  const unsigned long long pair =
      (unsigned long long)__float_as_uint(splat.depth) << 32 | (unsigned)of_lane;
  int* of_image = cursors + (long long)image * tiles_along(width) * tiles_along(height);
  const Limits here = limits_of(limits, group_limits, image, width, height);
  for_each_tile(wanted, splat, surface, here, width, height, [&](int tile, unsigned lanes) {
    const int slot = count_up(of_image + tile, lanes);
    if (slot >= 0) pairs[slot] = pair;
  });
}
