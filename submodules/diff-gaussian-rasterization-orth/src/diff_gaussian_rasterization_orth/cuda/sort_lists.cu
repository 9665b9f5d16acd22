// Puts every tile's list in order of depth. Keys are unique, so that the result does not depend on
// the order in which the pairs came.

using Pair = unsigned long long;  // depth, Gaussian
constexpr unsigned kWarp = 0xffffffffu;
constexpr int kShort = 1024;      // the longest list that a warp sorts in registers
constexpr int kShortWarps = 2;    // lists a block
constexpr int kMiddle = 2 * kShort;  // the longest list that two warps sort in registers
constexpr int kChunk = 2048;      // pairs of a longer list sorted on chip
constexpr int kItems = 8;         // pairs a thread merges in a row
constexpr Pair kLast = ~0ull;

__device__ inline void order(Pair& low, Pair& high, bool ascending) {
  const Pair a = low, b = high;
  const bool swap = (a > b) == ascending;
  low = swap ? b : a;
  high = swap ? a : b;
}

// Sorts runs of `lanes` lanes that first rise and then fall, or the reverse.
template <int kEach>
__device__ inline void merge_in_registers(Pair (&keys)[kEach], int lane, int lanes,
                                          bool ascending) {
#pragma unroll 1
  for (int distance = lanes / 2; distance > 0; distance /= 2) {
    const bool keeps_low = ((lane & distance) == 0) == ascending;
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const Pair other = __shfl_xor_sync(kWarp, keys[i], distance);
      keys[i] = (other < keys[i]) == keeps_low ? other : keys[i];
    }
  }
#pragma unroll
  for (int stride = kEach / 2; stride > 0; stride /= 2)
#pragma unroll
    for (int i = 0; i < kEach; ++i)
      if ((i & stride) == 0) order(keys[i], keys[i | stride], ascending);
}

// Bitonic network over 32 * kEach pairs, pair i in register i % kEach of lane i / kEach: most of
// its steps stay within a lane.
template <int kEach>
__device__ inline void sort_in_registers(Pair (&keys)[kEach], int lane) {
#pragma unroll
  for (int run = 2; run < kEach; run *= 2)
#pragma unroll
    for (int stride = run / 2; stride > 0; stride /= 2)
#pragma unroll
      for (int i = 0; i < kEach; ++i)
        if ((i & stride) == 0) order(keys[i], keys[i | stride], (i & run) == 0);
#pragma unroll 1
  for (int lanes = 1; lanes <= 32; lanes *= 2)  // of a run
    merge_in_registers(keys, lane, lanes, (lane & lanes) == 0);
}

// Sorts up to 32 * kEach pairs by one warp. `turned` has room for them, with one word after each
// lane's to keep the lanes out of each other's banks.
template <int kEach>
__device__ inline void sort_short(const Pair* pairs, int count, int* sorted, int* turned) {
  const int lane = threadIdx.x % 32;
  Pair keys[kEach];
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const int at = i * 32 + lane;
    keys[i] = at < count ? pairs[at] : kLast;
  }
  sort_in_registers(keys, lane);
#pragma unroll
  for (int i = 0; i < kEach; ++i) turned[lane * (kEach + 1) + i] = int(keys[i]);
  __syncwarp();
  for (int at = lane; at < count; at += 32) sorted[at] = turned[at + at / kEach];
}

extern "C" __global__ void __launch_bounds__(32 * kShortWarps) sort_short_lists(
    int all_tiles,
    const int2* __restrict__ lists,  // (b, t, tiles)
    const Pair* __restrict__ pairs,  // (pairs)
    int* __restrict__ sorted)        // (pairs): Gaussians
{
  __shared__ int turned[kShortWarps][kShort + 32];
  const int warp = threadIdx.x / 32, tile = blockIdx.x * kShortWarps + warp;
  if (tile >= all_tiles) return;
  const int2 list = lists[tile];
  const int count = list.y - list.x;
  const Pair* from = pairs + list.x;
  int* to = sorted + list.x;
  if (count == 0 || count > kShort) return;
  if (count <= 64)
    sort_short<2>(from, count, to, turned[warp]);
  else if (count <= 128)
    sort_short<4>(from, count, to, turned[warp]);
  else if (count <= 256)
    sort_short<8>(from, count, to, turned[warp]);
  else if (count <= 512)
    sort_short<16>(from, count, to, turned[warp]);
  else
    sort_short<32>(from, count, to, turned[warp]);
}

// Lists for two warps: each sorts a half, they exchange so that the first has the lower pairs and
// the second the higher ones, and each merges its own.
extern "C" __global__ void __launch_bounds__(64) sort_middle_lists(
    const int2* __restrict__ lists,  // (b, t, tiles)
    const Pair* __restrict__ pairs,  // (pairs)
    int* __restrict__ sorted)        // (pairs): Gaussians
{
  constexpr int kEach = kShort / 32, kRow = kEach + 1;  // a word more keeps lanes out of each
  __shared__ Pair turned[2][32 * kRow];                 // other's banks
  const int2 list = lists[blockIdx.x];
  const int count = list.y - list.x;
  if (count <= kShort || count > kMiddle) return;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int first = warp * kShort;
  Pair keys[kEach];
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const int at = first + i * 32 + lane;
    keys[i] = at < count ? pairs[list.x + at] : kLast;
  }
  sort_in_registers(keys, lane);
#pragma unroll
  for (int i = 0; i < kEach; ++i) turned[warp][lane * kRow + i] = keys[i];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const Pair other = turned[1 - warp][(31 - lane) * kRow + kEach - 1 - i];
    keys[i] = (other < keys[i]) == (warp == 0) ? other : keys[i];
  }
  merge_in_registers(keys, lane, 32, true);
  __syncthreads();  // until the other warp has read
#pragma unroll
  for (int i = 0; i < kEach; ++i) turned[warp][lane * kRow + i] = keys[i];
  __syncwarp();
  for (int at = lane; at < kShort && first + at < count; at += 32)
    sorted[list.x + first + at] = int(turned[warp][at + at / kEach]);
}

// Bitonic network over `size` pairs on chip, a power of two, at least 64. For strides up to 32 the
// comparisons of a warp stay within 64 pairs of its own, so that the warp waits for itself alone.
__device__ inline void sort_on_chip(Pair* keys, int size) {
  for (int run = 2; run <= size; run *= 2)
    for (int stride = run / 2; stride > 0; stride /= 2) {
      if (stride > 32 || (stride == 32 && run > 64))
        __syncthreads();
      else
        __syncwarp();
      for (int i = threadIdx.x; i < size / 2; i += blockDim.x) {
        const int low = 2 * i - (i & (stride - 1)), high = low + stride;
        const Pair a = keys[low], b = keys[high];
        if ((a > b) == ((low & run) == 0)) {
          keys[low] = b;
          keys[high] = a;
        }
      }
    }
  __syncthreads();
}

__device__ inline void load_and_sort(Pair* keys, const Pair* pairs, int count) {
  int size = 64;
  while (size < count) size *= 2;
  for (int i = threadIdx.x; i < size; i += blockDim.x) keys[i] = i < count ? pairs[i] : kLast;
  __syncthreads();
  sort_on_chip(keys, size);
}

// Writes kItems pairs, from `out` on, of the merged runs of `width` pairs each.
__device__ inline void merge_items(const Pair* from, Pair* to, int count, int width,
                                   long long out) {
  const int start = int(out / (2 * width)) * (2 * width);
  const Pair* a = from + start;
  const int a_size = min(width, count - start);
  const Pair* b = a + a_size;
  const int b_size = min(width, count - start - a_size);
  const int taken = int(out) - start;
  // How many of the first `taken` pairs come from a.
  int low = max(0, taken - b_size), high = min(taken, a_size);
  while (low < high) {
    const int middle = (low + high) / 2;
    if (a[middle] < b[taken - 1 - middle])
      low = middle + 1;
    else
      high = middle;
  }
  int i = low, j = taken - low;
  for (int k = 0; k < kItems && out + k < count; ++k) {
    const bool from_a = j >= b_size || (i < a_size && a[i] < b[j]);
    to[out + k] = from_a ? a[i++] : b[j++];
  }
}

// Lists that are too long for registers: sorted on chip, the longest in chunks that are then merged
// two by two.
extern "C" __global__ void sort_long_lists(
    const int2* __restrict__ lists,  // (b, t, tiles)
    Pair* pairs,                     // (pairs); overwritten
    Pair* spare,                     // (pairs)
    int* __restrict__ sorted)        // (pairs): Gaussians
{
  __shared__ Pair keys[kChunk];
  const int2 list = lists[blockIdx.x];
  const int count = list.y - list.x;
  if (count <= kMiddle) return;
  Pair* from = pairs + list.x;
  Pair* to = spare + list.x;
  for (int first = 0; first < count; first += kChunk) {
    const int size = min(kChunk, count - first);
    load_and_sort(keys, from + first, size);
    for (int i = threadIdx.x; i < size; i += blockDim.x) from[first + i] = keys[i];
    __syncthreads();
  }
  for (long long width = kChunk; width < count; width *= 2) {
    for (long long out = kItems * threadIdx.x; out < count; out += kItems * blockDim.x)
      merge_items(from, to, count, int(width), out);
    __syncthreads();
    Pair* merged = to;
    to = from;
    from = merged;
  }
  for (int i = threadIdx.x; i < count; i += blockDim.x) sorted[list.x + i] = int(from[i]);
}
