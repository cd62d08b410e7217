// norm_sum: result = sqrt of the sum of the blocks' sums. One workgroup.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require

layout(local_size_x = 128, local_size_x_id = 0) in;

#include "include/math.glsl"
#include "include/reduce.glsl"
#include "optimizer.h"

layout(push_constant) uniform Push { tuff_push_norm_sum push; };

layout(set = 0, binding = 0) readonly restrict buffer Partial { float partial[]; };
layout(set = 0, binding = 1) restrict buffer Result { float result[]; };

void main()
{
    float sum = 0.0;
    for (uint i = gl_LocalInvocationID.x; i < push.count; i += gl_WorkGroupSize.x)
        sum += partial[i];
    sum = tuff_reduce_sum(sum, gl_WorkGroupSize.x);
    if (gl_LocalInvocationID.x != 0u)
        return;
    if (push.accumulate != 0u)
        sum += result[0];
    result[0] = push.finish != 0u ? tuff_sqrt(sum) : sum;
}
