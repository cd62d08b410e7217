// reduce_row: the sum, or the largest element and its first index, of each chunk of each row of [outer, n].
// Grid: one workgroup per chunk of a row, striding over the rest.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require

layout(local_size_x = 128, local_size_x_id = 0) in;

#include "include/reduce_max.glsl"
#include "include/reduce.glsl"
#include "reduce.h"

layout(constant_id = 3) const uint KIND = TUFF_REDUCE_SUM;
layout(constant_id = 4) const uint FLAGS = 0;
layout(push_constant) uniform Push { tuff_push_reduce push; };

layout(set = 0, binding = 0) readonly restrict buffer X { float x[]; };
layout(set = 0, binding = 1) readonly restrict buffer XIndices { uint x_indices[]; };
layout(set = 0, binding = 2) writeonly restrict buffer Values { float values[]; };
layout(set = 0, binding = 3) writeonly restrict buffer Indices { uint indices[]; };

shared float best_value[128];
shared uint best_index[128];

void sum_chunk(uint start, uint begin, uint end, uint place)
{
    float sum = 0.0;
    for (uint k = begin + gl_LocalInvocationID.x; k < end; k += gl_WorkGroupSize.x)
        sum += x[start + k];
    sum = tuff_reduce_sum(sum);
    if (gl_LocalInvocationID.x == 0u)
        values[place] = sum * push.scale;
}

void max_chunk(uint start, uint begin, uint end, uint place)
{
    const uint lane = gl_LocalInvocationID.x;
    // Lanes beyond a short chunk start from its last element, which changes nothing.
    uint k = min(begin + lane, end - 1u);
    float value = x[start + k];
    uint index = k;
    for (k += gl_WorkGroupSize.x; k < end; k += gl_WorkGroupSize.x)
        if (tuff_is_larger(x[start + k], value)) {
            value = x[start + k];
            index = k;
        }
    index = (FLAGS & TUFF_REDUCE_READS_INDICES) != 0u ? x_indices[start + index] : push.n_first + index;
    barrier();
    best_value[lane] = value;
    best_index[lane] = index;
    barrier();
    for (uint stride = gl_WorkGroupSize.x / 2u; stride > 0u; stride >>= 1) {
        if (lane < stride && tuff_is_better(best_value[lane + stride], best_index[lane + stride], best_value[lane],
                                            best_index[lane])) {
            best_value[lane] = best_value[lane + stride];
            best_index[lane] = best_index[lane + stride];
        }
        barrier();
    }
    if (lane == 0u && (FLAGS & TUFF_REDUCE_WRITES_VALUES) != 0u)
        values[place] = best_value[0];
    if (lane == 0u && (FLAGS & TUFF_REDUCE_WRITES_INDICES) != 0u)
        indices[place] = best_index[0];
}

void main()
{
    for (uint item = gl_WorkGroupID.x; item < push.outer * push.chunks; item += gl_NumWorkGroups.x) {
        const uint start = push.in_base + item / push.chunks * push.n;
        const uint begin = item % push.chunks * push.chunk, end = min(begin + push.chunk, push.n);
        if (KIND == TUFF_REDUCE_SUM)
            sum_chunk(start, begin, end, push.out_base + item);
        else
            max_chunk(start, begin, end, push.out_base + item);
    }
}
