// cross_entropy_sum: loss = sum of row losses / count of counted rows, 0 where there is none. One workgroup.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require

layout(local_size_x = 128, local_size_x_id = 0) in;

#include "include/math.glsl"
#include "include/reduce.glsl"
#include "cross_entropy.h"

layout(push_constant) uniform Push { tuff_push_cross_entropy_sum push; };

layout(set = 0, binding = 0) readonly restrict buffer Rows { float row_loss[]; };
layout(set = 0, binding = 1) readonly restrict buffer Labels { int labels[]; };
layout(set = 0, binding = 2) restrict buffer Loss { float loss[]; };
layout(set = 0, binding = 3) restrict buffer Count { float count[]; };

void main()
{
    float sum = 0.0, counted = 0.0;
    for (uint row = gl_LocalInvocationID.x; row < push.rows; row += gl_WorkGroupSize.x) {
        const int label = labels[push.row_base + row];
        if (label != push.ignore_index && label >= 0 && label < int(push.columns)) {
            sum += row_loss[push.row_base + row];
            counted += 1.0;
        }
    }
    sum = tuff_reduce_sum(sum, gl_WorkGroupSize.x);
    counted = tuff_reduce_sum(counted, gl_WorkGroupSize.x);
    if (gl_LocalInvocationID.x != 0u)
        return;
    if (push.accumulate != 0u) {
        sum += loss[0];
        counted += count[0];
    }
    count[0] = counted;
    loss[0] = push.finish != 0u ? (counted > 0.0 ? tuff_divide(sum, counted) : 0.0) : sum;
}
