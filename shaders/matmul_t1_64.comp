// matmul_t1_64: matmul_t1 for results too small to fill a device with 128 x 128 tiles.
// Grid: one workgroup per 64 x 64 tile (include/matmul_tile.glsl).
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#define THREADS 256u
#define TILE_M 64u
#define TILE_N 64u
#define TILE_K 16u
#define REG_M 4u
#define REG_N 4u
#define PREFETCH true
#include "include/matmul_tile.glsl"
