// attention_backward_kv_wide: attention_backward_kv for heads so large that 16 invocations would keep 32 sums of a key
// each: here 32 share one. 14.5 KiB of shared memory.
// Grid: one workgroup per 4·ROWS keys of a head (include/attention_backward_kv.glsl).
// Adreno 6xx spills a few of the addresses of eight unrolled chunks.
// spill_allowance: 16
#version 450
#extension GL_GOOGLE_include_directive : require
#define THREADS_R 4u
#define THREADS_C 32u
#define COLUMNS 2u
#define CHUNK 32u
#include "include/attention_backward_kv.glsl"
