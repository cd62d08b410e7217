// reduce_column: the sum, or the largest element and its first index, over chunks of n in [outer, n, inner].
// Grid: x an invocation per column (outer·inner of them), striding over the rest; y chunks.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require

// Before the includes, which use gl_WorkGroupSize: newer glslang insists.
layout(local_size_x = 128, local_size_x_id = 0) in;

#include "include/reduce_max.glsl"
#include "reduce.h"

layout(constant_id = 3) const uint KIND = TUFF_REDUCE_SUM;
layout(constant_id = 4) const uint FLAGS = 0;
layout(push_constant) uniform Push { tuff_push_reduce push; };

layout(set = 0, binding = 0) readonly restrict buffer X { float x[]; };
layout(set = 0, binding = 1) readonly restrict buffer XIndices { uint x_indices[]; };
layout(set = 0, binding = 2) writeonly restrict buffer Values { float values[]; };
layout(set = 0, binding = 3) writeonly restrict buffer Indices { uint indices[]; };

const uint BLOCK = 64u; // elements added up before they join the total, which keeps long chains exact

void sum_column(uint start, uint begin, uint end, uint place)
{
    float total = 0.0;
    for (uint block = begin; block < end; block += BLOCK) {
        float sum = 0.0;
        for (uint k = block; k < min(block + BLOCK, end); k++)
            sum += x[start + k * push.inner];
        total += sum;
    }
    values[place] = total * push.scale;
}

void max_column(uint start, uint begin, uint end, uint place)
{
    uint index = begin;
    float value = x[start + begin * push.inner];
    for (uint k = begin + 1u; k < end; k++)
        if (tuff_is_larger(x[start + k * push.inner], value)) {
            value = x[start + k * push.inner];
            index = k;
        }
    if ((FLAGS & TUFF_REDUCE_WRITES_VALUES) != 0u)
        values[place] = value;
    if ((FLAGS & TUFF_REDUCE_WRITES_INDICES) != 0u)
        indices[place] =
            (FLAGS & TUFF_REDUCE_READS_INDICES) != 0u ? x_indices[start + index * push.inner] : push.n_first + index;
}

void main()
{
    const uint begin = gl_WorkGroupID.y * push.chunk, end = min(begin + push.chunk, push.n);
    const uint columns = push.outer * push.inner;
    for (uint item = gl_GlobalInvocationID.x; item < columns; item += gl_WorkGroupSize.x * gl_NumWorkGroups.x) {
        const uint outer = item / push.inner, column = item % push.inner;
        const uint start = push.in_base + outer * push.n * push.inner + column;
        const uint place = push.out_base + (outer * push.chunks + gl_WorkGroupID.y) * push.inner + column;
        if (KIND == TUFF_REDUCE_SUM)
            sum_column(start, begin, end, place);
        else
            max_column(start, begin, end, place);
    }
}
