// attention_backward_kv: dk and dv of attention on any device: 128 invocations and 12.4 KiB of shared memory.
// Grid: one workgroup per 8·ROWS keys of a head (include/attention_backward_kv.glsl).
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#define THREADS_R 8u
#define THREADS_C 16u
#define COLUMNS 2u
#define CHUNK 32u
#include "include/attention_backward_kv.glsl"
