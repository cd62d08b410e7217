// layer_norm: s = x (+ residual); y = (s - mean(s))/sqrt(var(s) + eps)·weight + bias, with mean and 1/sqrt stored.
// Grid: workgroups of 128/LANES rows, LANES invocations each, striding over the rest.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require

layout(local_size_x = 128, local_size_x_id = 0) in;

#include "include/math.glsl"
#include "include/reduce.glsl"
#include "layer_norm.h"

layout(constant_id = 3) const uint LANES = 128;
layout(constant_id = 4) const uint RESIDUAL = 0;
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

const uint BLOCK = TUFF_SUM_BLOCK * LANES;

void normalise(uint start, uint columns, uint row)
{
    const uint lane = gl_LocalInvocationID.x % LANES;
    float sum = 0.0;
    for (uint block = lane; block < columns; block += BLOCK) {
        float part = 0.0;
        for (uint c = block; c < min(block + BLOCK, columns); c += LANES) {
            const float s = load(start + c);
            if (RESIDUAL != 0u)
                s_out[start + c] = s;
            part += s;
        }
        sum += part;
    }
    const float mean = tuff_divide(tuff_reduce_sum(sum, LANES), float(push.columns));
    float squares = 0.0;
    for (uint block = lane; block < columns; block += BLOCK) {
        float part = 0.0;
        for (uint c = block; c < min(block + BLOCK, columns); c += LANES) {
            const float deviation = load(start + c) - mean;
            part += deviation * deviation;
        }
        squares += part;
    }
    const float variance = tuff_divide(tuff_reduce_sum(squares, LANES), float(push.columns));
    const float rstd = tuff_rsqrt(variance + push.eps);
    for (uint c = lane; c < columns; c += LANES)
        y[start + c] = (load(start + c) - mean) * rstd * weight[c] + bias[c];
    if (lane == 0u && columns != 0u) {
        mean_out[row] = mean;
        rstd_out[row] = rstd;
    }
}

void main()
{
    const uint rows = gl_WorkGroupSize.x / LANES;
    for (uint first = gl_WorkGroupID.x * rows; first < push.rows; first += gl_NumWorkGroups.x * rows) {
        const uint row = first + gl_LocalInvocationID.x / LANES;
        // Invocations beyond the last row reach the barriers with no columns.
        normalise(push.base + row * push.columns, row < push.rows ? push.columns : 0u, push.row_base + row);
    }
}
