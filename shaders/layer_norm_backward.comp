// layer_norm_backward: g = dy·weight, n = (s - mean)·rstd, dx = rstd·(g - mean(g) - n·mean(g·n)).
// Grid: workgroups of 128/LANES rows, LANES invocations each, striding over the rest.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require

layout(local_size_x = 128, local_size_x_id = 0) in;

#include "include/reduce.glsl"
#include "layer_norm.h"

layout(constant_id = 3) const uint LANES = 128;
layout(push_constant) uniform Push { tuff_push_layer_norm push; };

layout(set = 0, binding = 0) readonly restrict buffer Sum { float s[]; };
layout(set = 0, binding = 1) readonly restrict buffer Weight { float weight[]; };
layout(set = 0, binding = 2) readonly restrict buffer Mean { float mean_in[]; };
layout(set = 0, binding = 3) readonly restrict buffer Rstd { float rstd_in[]; };
layout(set = 0, binding = 4) readonly restrict buffer Dy { float dy[]; };
layout(set = 0, binding = 5) writeonly restrict buffer Dx { float dx[]; };

const uint BLOCK = TUFF_SUM_BLOCK * LANES;

void differentiate(uint start, uint columns, float mean, float rstd)
{
    const uint lane = gl_LocalInvocationID.x % LANES;
    const float per_column = 1.0 / float(push.columns);
    float sum_g = 0.0, sum_gn = 0.0;
    for (uint block = lane; block < columns; block += BLOCK) {
        float part_g = 0.0, part_gn = 0.0;
        for (uint c = block; c < min(block + BLOCK, columns); c += LANES) {
            const float g = dy[start + c] * weight[c];
            part_g += g;
            part_gn += g * ((s[start + c] - mean) * rstd);
        }
        sum_g += part_g;
        sum_gn += part_gn;
    }
    const float mean_g = tuff_reduce_sum(sum_g, LANES) * per_column;
    const float mean_gn = tuff_reduce_sum(sum_gn, LANES) * per_column;
    for (uint c = lane; c < columns; c += LANES) {
        const float n = (s[start + c] - mean) * rstd;
        dx[start + c] = rstd * (dy[start + c] * weight[c] - mean_g - n * mean_gn);
    }
}

void main()
{
    const uint rows = gl_WorkGroupSize.x / LANES;
    for (uint first = gl_WorkGroupID.x * rows; first < push.rows; first += gl_NumWorkGroups.x * rows) {
        const uint row = first + gl_LocalInvocationID.x / LANES;
        // Invocations beyond the last row reach the barriers with no columns.
        const bool inside = row < push.rows;
        const uint r = push.row_base + (inside ? row : 0u);
        differentiate(push.base + row * push.columns, inside ? push.columns : 0u, mean_in[r], rstd_in[r]);
    }
}
