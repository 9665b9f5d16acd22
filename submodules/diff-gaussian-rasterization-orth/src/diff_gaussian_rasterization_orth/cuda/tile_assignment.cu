// From Gaussians in depth order to a list of Gaussians per tile.
#include "footprint.cuh"

// Writes one (tile, Gaussian) pair for every tile that a Gaussian touches, Gaussians in depth
// order: a stable sort of the pairs by tile then leaves each tile's list in depth order.
template <typename Key>
__device__ inline void emit(long long total, int times, int gaussians, int rotating, int width,
                            int height, int key_offset, const Splat* splats,
                            const Footprint* footprints, const TileRect* rects,
                            const int* tile_counts, const long long* depth_order,
                            const long long* pair_ends, Key* pair_tiles, int* pair_splats) {
  const long long rank = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (rank >= total) return;
  const long long index = depth_order[rank];
  const int count = tile_counts[index];
  if (count == 0) return;

  const int image = int(index / gaussians), g = int(index % gaussians);
  const int tiles_x = (width + kTileSize - 1) / kTileSize;
  const int tiles_y = (height + kTileSize - 1) / kTileSize;
  const int first_tile = image * tiles_x * tiles_y - key_offset;
  const Splat splat = splats[index];
  const Footprint footprint =
      footprints[footprint_index(image, g, times, gaussians, rotating)];
  const TileRect rect = rects[index];
  const Bounds bounds = bounds_of(splat, footprint);

  long long pair = pair_ends[rank] - count;
  for (int y = rect.y0; y < rect.y1; ++y)
    for (int x = rect.x0; x < rect.x1; ++x)
      if (touches(splat, footprint, bounds, pixels_of_tile(x, y, width, height))) {
        pair_tiles[pair] = Key(first_tile + y * tiles_x + x);
        pair_splats[pair] = int(index);
        ++pair;
      }
}

// Marks where each tile's list begins and ends, and puts the Gaussians in the sorted order.
template <typename Key>
__device__ inline void find_lists(long long pairs, int key_offset, const Key* sorted_tiles,
                                  const long long* permutation, const int* pair_splats,
                                  int2* tile_lists, int* sorted_splats) {
  const long long pair = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (pair >= pairs) return;
  const int tile = sorted_tiles[pair];
  if (pair == 0 || sorted_tiles[pair - 1] != tile) tile_lists[tile + key_offset].x = int(pair);
  if (pair == pairs - 1 || sorted_tiles[pair + 1] != tile)
    tile_lists[tile + key_offset].y = int(pair) + 1;
  sorted_splats[pair] = pair_splats[permutation[pair]];
}

// Tile keys of 16 bits halve the sorting where all tiles of all images fit; a key is the tile's
// number over all images, less `key_offset`.
#define TILE_KERNELS(SUFFIX, Key)                                                               \
  extern "C" __global__ void emit_pairs_##SUFFIX(                                               \
      long long total, int times, int gaussians, int rotating, int width, int height,           \
      int key_offset,                                                                           \
      const Splat* __restrict__ splats,           /* (b, t, n) */                               \
      const Footprint* __restrict__ footprints,   /* (b, n), rotating (b, t, n) */              \
      const TileRect* __restrict__ rects,         /* (b, t, n) */                               \
      const int* __restrict__ tile_counts,        /* (b, t, n) */                               \
      const long long* __restrict__ depth_order,  /* (b*t*n) */                                 \
      const long long* __restrict__ pair_ends,    /* (b*t*n), in depth order */                 \
      Key* __restrict__ pair_tiles,               /* (pairs) */                                 \
      int* __restrict__ pair_splats)              /* (pairs) */                                 \
  {                                                                                             \
    emit<Key>(total, times, gaussians, rotating, width, height, key_offset, splats, footprints, \
              rects, tile_counts, depth_order, pair_ends, pair_tiles, pair_splats);             \
  }                                                                                             \
  extern "C" __global__ void find_tile_lists_##SUFFIX(                                          \
      long long pairs, int key_offset,                                                          \
      const Key* __restrict__ sorted_tiles,       /* (pairs) */                                 \
      const long long* __restrict__ permutation,  /* (pairs) */                                 \
      const int* __restrict__ pair_splats,        /* (pairs) */                                 \
      int2* __restrict__ tile_lists,              /* (b, t, tiles), zeroed */                   \
      int* __restrict__ sorted_splats)            /* (pairs) */                                 \
  {                                                                                             \
    find_lists<Key>(pairs, key_offset, sorted_tiles, permutation, pair_splats, tile_lists,      \
                    sorted_splats);                                                             \
  }

TILE_KERNELS(16, short)
TILE_KERNELS(32, int)
