// attention_t1: attention_t0 for devices with 256 invocations and 32 KiB of shared memory.
// Grid: one workgroup per 16·ROWS queries of a head (include/attention_forward.glsl).
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#define THREADS_R 16u
#define THREADS_C 16u
#define COLUMNS 4u
#define CHUNK 16u
#include "include/attention_forward.glsl"
