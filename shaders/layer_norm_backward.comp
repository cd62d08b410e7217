// layer_norm_backward: g = dy·weight, n = (s - mean)·rstd, dx = rstd·(g - mean(g) - n·mean(g·n)).
// Grid: one workgroup per row, striding over the rest.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require

layout(local_size_x = 128, local_size_x_id = 0) in;

#include "include/reduce.glsl"
#include "layer_norm.h"

layout(push_constant) uniform Push { tuff_push_layer_norm push; };

layout(set = 0, binding = 0) readonly restrict buffer Sum { float s[]; };
layout(set = 0, binding = 1) readonly restrict buffer Weight { float weight[]; };
layout(set = 0, binding = 2) readonly restrict buffer Mean { float mean_in[]; };
layout(set = 0, binding = 3) readonly restrict buffer Rstd { float rstd_in[]; };
layout(set = 0, binding = 4) readonly restrict buffer Dy { float dy[]; };
layout(set = 0, binding = 5) writeonly restrict buffer Dx { float dx[]; };

void main()
{
    const uint step = gl_WorkGroupSize.x;
    const float per_column = 1.0 / float(push.columns);
    for (uint row = gl_WorkGroupID.x; row < push.rows; row += gl_NumWorkGroups.x) {
        const uint start = push.base + row * push.columns;
        const float mean = mean_in[push.row_base + row];
        const float rstd = rstd_in[push.row_base + row];
        float sum_g = 0.0, sum_gn = 0.0;
        for (uint c = gl_LocalInvocationID.x; c < push.columns; c += step) {
            const float g = dy[start + c] * weight[c];
            sum_g += g;
            sum_gn += g * ((s[start + c] - mean) * rstd);
        }
        const float mean_g = tuff_reduce_sum(sum_g) * per_column;
        const float mean_gn = tuff_reduce_sum(sum_gn) * per_column;
        for (uint c = gl_LocalInvocationID.x; c < push.columns; c += step) {
            const float n = (s[start + c] - mean) * rstd;
            dx[start + c] = rstd * (dy[start + c] * weight[c] - mean_g - n * mean_gn);
        }
    }
}
