// Puts every tile's list in order of depth. Keys are unique, so that the result does not depend on
// the order in which the pairs came.

using Pair = unsigned long long;  // depth, Gaussian
constexpr int kChunk = 2048;      // pairs sorted on chip
constexpr int kItems = 8;         // pairs a thread merges in a row
constexpr Pair kLast = ~0ull;

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

__device__ inline int load_and_sort(Pair* keys, const Pair* pairs, int count) {
  int size = 64;
  while (size < count) size *= 2;
  for (int i = threadIdx.x; i < size; i += blockDim.x) keys[i] = i < count ? pairs[i] : kLast;
  __syncthreads();
  sort_on_chip(keys, size);
  return size;
}

extern "C" __global__ void sort_short_lists(
    const int2* __restrict__ lists,  // (b, t, tiles)
    const Pair* __restrict__ pairs,  // (pairs)
    int* __restrict__ sorted)        // (pairs): Gaussians
{
  __shared__ Pair keys[kChunk];
  const int2 list = lists[blockIdx.x];
  const int count = list.y - list.x;
  if (count == 0 || count > kChunk) return;
  load_and_sort(keys, pairs + list.x, count);
  for (int i = threadIdx.x; i < count; i += blockDim.x) sorted[list.x + i] = int(keys[i]);
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

// Lists that do not fit on the chip: sorted chunks, merged two by two.
extern "C" __global__ void sort_long_lists(
    const int2* __restrict__ lists,  // (b, t, tiles)
    Pair* pairs,                     // (pairs); overwritten
    Pair* spare,                     // (pairs)
    int* __restrict__ sorted)        // (pairs): Gaussians
{
  __shared__ Pair keys[kChunk];
  const int2 list = lists[blockIdx.x];
  const int count = list.y - list.x;
  if (count <= kChunk) return;
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
