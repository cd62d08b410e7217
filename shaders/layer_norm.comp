// layer_norm: s = x (+ residual); y = (s - mean(s))/sqrt(var(s) + eps)·weight + bias, with mean and 1/sqrt stored.
// Grid: one workgroup per row, striding over the rest.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require

layout(local_size_x = 128, local_size_x_id = 0) in;

#include "include/math.glsl"
#include "include/reduce.glsl"
#include "layer_norm.h"

layout(constant_id = 3) const uint RESIDUAL = 0;
layout(push_constant) uniform Push { tuff_push_layer_norm push; };

layout(set = 0, binding = 0) readonly restrict buffer X { float x[]; };
layout(set = 0, binding = 1) readonly restrict buffer Weight { float weight[]; };
layout(set = 0, binding = 2) readonly restrict buffer Bias { float bias[]; };
layout(set = 0, binding = 3) readonly restrict buffer Residual { float residual[]; };
layout(set = 0, binding = 4) writeonly restrict buffer Y { float y[]; };
layout(set = 0, binding = 5) writeonly restrict buffer Mean { float mean_out[]; };
layout(set = 0, binding = 6) writeonly restrict buffer Rstd { float rstd_out[]; };
layout(set = 0, binding = 7) writeonly restrict buffer Sum { float s_out[]; };

float load(uint i)
{
    return RESIDUAL != 0u ? x[i] + residual[i] : x[i];
}

void main()
{
    const uint step = gl_WorkGroupSize.x;
    for (uint row = gl_WorkGroupID.x; row < push.rows; row += gl_NumWorkGroups.x) {
        const uint start = push.base + row * push.columns;
        float sum = 0.0;
        for (uint c = gl_LocalInvocationID.x; c < push.columns; c += step) {
            const float s = load(start + c);
            if (RESIDUAL != 0u)
                s_out[start + c] = s;
            sum += s;
        }
        const float mean = tuff_divide(tuff_reduce_sum(sum), float(push.columns));
        float squares = 0.0;
        for (uint c = gl_LocalInvocationID.x; c < push.columns; c += step) {
            const float deviation = load(start + c) - mean;
            squares += deviation * deviation;
        }
        const float variance = tuff_divide(tuff_reduce_sum(squares), float(push.columns));
        const float rstd = tuff_rsqrt(variance + push.eps);
        for (uint c = gl_LocalInvocationID.x; c < push.columns; c += step)
            y[start + c] = (load(start + c) - mean) * rstd * weight[c] + bias[c];
        if (gl_LocalInvocationID.x == 0u) {
            mean_out[push.row_base + row] = mean;
            rstd_out[push.row_base + row] = rstd;
        }
    }
}
