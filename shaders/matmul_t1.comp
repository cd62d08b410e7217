// matmul_t1: out = act(alpha·op(a)·op(b) + bias) + residual, for devices with 256 invocations and 32 KiB of shared
// memory.
// Grid: one workgroup per 128 x 128 tile (include/matmul_tile.glsl).
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#define THREADS 256u
#define TILE_M 128u
#define TILE_N 128u
#define TILE_K 16u
#define REG_M 8u
#define REG_N 8u
#define PREFETCH true
#include "include/matmul_tile.glsl"
