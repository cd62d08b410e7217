// reduce_row: the sum, or the largest element and its first index, of each chunk of each row of [outer, n].
// Grid: workgroups of 128/LANES chunks, LANES invocations each, striding over the rest.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require

layout(local_size_x = 128, local_size_x_id = 0) in;

#include "include/reduce_max.glsl"
#include "include/reduce.glsl"
#include "reduce.h"

layout(constant_id = 3) const uint KIND = TUFF_REDUCE_SUM;
layout(constant_id = 4) const uint FLAGS = 0;
layout(constant_id = 5) const uint LANES = 128;
layout(push_constant) uniform Push { tuff_push_reduce push; };

layout(set = 0, binding = 0) readonly restrict buffer X { float x[]; };
layout(set = 0, binding = 1) readonly restrict buffer XIndices { uint x_indices[]; };
layout(set = 0, binding = 2) writeonly restrict buffer Values { float values[]; };
layout(set = 0, binding = 3) writeonly restrict buffer Indices { uint indices[]; };

shared float best_value[128];
shared uint best_index[128];

const uint BLOCK = TUFF_SUM_BLOCK * LANES;

void sum_chunk(uint start, uint begin, uint end, uint place)
{
    const uint lane = gl_LocalInvocationID.x % LANES;
    float sum = 0.0;
    for (uint block = begin + lane; block < end; block += BLOCK) {
        float part = 0.0;
        for (uint k = block; k < min(block + BLOCK, end); k += LANES)
            part += x[start + k];
        sum += part;
    }
    sum = tuff_reduce_sum(sum, LANES);
    if (lane == 0u && begin < end)
        values[place] = sum * push.scale;
}

void max_chunk(uint start, uint begin, uint end, uint place)
{
    const uint i = gl_LocalInvocationID.x, lane = i % LANES;
    float value = 0.0;
    uint index = 0u;
    if (begin < end) {
        // Lanes beyond a short chunk start from its last element, which changes nothing.
        uint k = min(begin + lane, end - 1u);
        value = x[start + k];
        index = k;
        for (k += LANES; k < end; k += LANES)
            if (tuff_is_larger(x[start + k], value)) {
                value = x[start + k];
                index = k;
            }
        index = (FLAGS & TUFF_REDUCE_READS_INDICES) != 0u ? x_indices[start + index] : push.n_first + index;
    }
    if (LANES > 1u) {
        barrier(); // an earlier chunk's may still be read
        best_value[i] = value;
        best_index[i] = index;
        barrier();
        for (uint stride = LANES / 2u; stride > 0u; stride >>= 1) {
            if (lane < stride &&
                tuff_is_better(best_value[i + stride], best_index[i + stride], best_value[i], best_index[i])) {
                best_value[i] = best_value[i + stride];
                best_index[i] = best_index[i + stride];
            }
            barrier();
        }
        value = best_value[i];
        index = best_index[i];
    }
    if (lane == 0u && begin < end && (FLAGS & TUFF_REDUCE_WRITES_VALUES) != 0u)
        values[place] = value;
    if (lane == 0u && begin < end && (FLAGS & TUFF_REDUCE_WRITES_INDICES) != 0u)
        indices[place] = index;
}

void main()
{
    const uint rows = gl_WorkGroupSize.x / LANES, items = push.outer * push.chunks;
    for (uint first = gl_WorkGroupID.x * rows; first < items; first += gl_NumWorkGroups.x * rows) {
        const uint item = first + gl_LocalInvocationID.x / LANES;
        const uint start = push.in_base + item / push.chunks * push.n;
        const uint begin = item % push.chunks * push.chunk;
        // Invocations beyond the last chunk reach the barriers with an empty one.
        const uint end = item < items ? min(begin + push.chunk, push.n) : begin;
        if (KIND == TUFF_REDUCE_SUM)
            sum_chunk(start, begin, end, push.out_base + item);
        else
            max_chunk(start, begin, end, push.out_base + item);
    }
}
