// norm: partial[b] = sum of the squares of block b. Grid: one workgroup per block, striding over the rest.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require

layout(local_size_x = 128, local_size_x_id = 0) in;

#include "include/reduce.glsl"
#include "optimizer.h"

layout(push_constant) uniform Push { tuff_push_norm push; };

layout(set = 0, binding = 0) readonly restrict buffer X { float x[]; };
layout(set = 0, binding = 1) writeonly restrict buffer Partial { float partial[]; };

void main()
{
    const uint blocks = (push.count + TUFF_NORM_BLOCK - 1u) / TUFF_NORM_BLOCK;
    for (uint block = gl_WorkGroupID.x; block < blocks; block += gl_NumWorkGroups.x) {
        const uint end = min((block + 1u) * TUFF_NORM_BLOCK, push.count);
        float sum = 0.0;
        for (uint i = block * TUFF_NORM_BLOCK + gl_LocalInvocationID.x; i < end; i += gl_WorkGroupSize.x)
            sum += x[i] * x[i];
        sum = tuff_reduce_sum(sum, gl_WorkGroupSize.x);
        if (gl_LocalInvocationID.x == 0u)
            partial[push.base + block] = sum;
    }
}
