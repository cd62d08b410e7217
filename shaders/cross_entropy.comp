// cross_entropy: lse[n] = log(sum of e^logits[n, v]) and the loss of each counted row, 0 for others, relative to the row's
// largest logit. Grid: one workgroup per row, striding over the rest.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require

layout(local_size_x = 128, local_size_x_id = 0) in;

#include "include/math.glsl"
#include "include/reduce.glsl"
#include "cross_entropy.h"

layout(push_constant) uniform Push { tuff_push_cross_entropy push; };

layout(set = 0, binding = 0) readonly restrict buffer Logits { float logits[]; };
layout(set = 0, binding = 1) readonly restrict buffer Labels { int labels[]; };
layout(set = 0, binding = 2) writeonly restrict buffer Lse { float lse[]; };
layout(set = 0, binding = 3) writeonly restrict buffer Rows { float row_loss[]; };

float loss_of(uint start, int label, float largest, float log_sum, float total)
{
    if (label == push.ignore_index || label < 0 || label >= int(push.columns))
        return 0.0;
    const float loss = log_sum - (logits[start + uint(label)] - largest);
    if (push.label_smoothing == 0.0)
        return loss;
    return (1.0 - push.label_smoothing) * loss +
           push.label_smoothing * (log_sum - tuff_divide(total, float(push.columns)));
}

void main()
{
    const uint step = gl_WorkGroupSize.x;
    for (uint row = gl_WorkGroupID.x; row < push.rows; row += gl_NumWorkGroups.x) {
        const uint start = push.base + row * push.columns;
        float largest = logits[start];
        for (uint c = gl_LocalInvocationID.x; c < push.columns; c += step)
            largest = max(largest, logits[start + c]);
        largest = tuff_reduce_max(largest);
        float sum = 0.0, total = 0.0;
        for (uint c = gl_LocalInvocationID.x; c < push.columns; c += step) {
            const float x = logits[start + c] - largest;
            sum += tuff_exp(x);
            total += x;
        }
        const float log_sum = tuff_log(tuff_reduce_sum(sum));
        total = tuff_reduce_sum(total);
        if (gl_LocalInvocationID.x == 0u) {
            lse[push.row_base + row] = largest + log_sum;
            row_loss[push.row_base + row] =
                loss_of(start, labels[push.row_base + row], largest, log_sum, total);
        }
    }
}
