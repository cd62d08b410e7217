// matmul_t0: out = act(alpha·op(a)·op(b) + bias) + residual on any device: 64 invocations, 4.5 KiB of shared memory.
// Grid: one workgroup per 32 x 32 tile (include/matmul_tile.glsl).
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#define THREADS 64u
#define TILE_M 32u
#define TILE_N 32u
#define TILE_K 16u
#define REG_M 4u
#define REG_N 4u
#define PREFETCH false
#include "include/matmul_tile.glsl"
