// cross_entropy: lse[n] = log(sum of e^logits[n, v]) and the loss of each counted row, 0 for others, relative to the
// row's largest logit. Grid: workgroups of 128/LANES rows, LANES invocations each, striding over the rest.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require

layout(local_size_x = 128, local_size_x_id = 0) in;

#include "include/math.glsl"
#include "include/reduce.glsl"
#include "cross_entropy.h"

layout(constant_id = 3) const uint LANES = 128;
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

const uint BLOCK = TUFF_SUM_BLOCK * LANES;

void reduce_row(uint start, uint columns, uint row)
{
    const uint lane = gl_LocalInvocationID.x % LANES;
    float largest = columns != 0u ? logits[start] : 0.0;
    for (uint c = lane; c < columns; c += LANES)
        largest = max(largest, logits[start + c]);
    largest = tuff_reduce_max(largest, LANES);
    float sum = 0.0, total = 0.0;
    for (uint block = lane; block < columns; block += BLOCK) {
        float part = 0.0, part_total = 0.0;
        for (uint c = block; c < min(block + BLOCK, columns); c += LANES) {
            const float x = logits[start + c] - largest;
            part += tuff_exp(x);
            part_total += x;
        }
        sum += part;
        total += part_total;
    }
    const float log_sum = tuff_log(tuff_reduce_sum(sum, LANES));
    total = tuff_reduce_sum(total, LANES);
    if (lane == 0u && columns != 0u) {
        lse[row] = largest + log_sum;
        row_loss[row] = loss_of(start, labels[row], largest, log_sum, total);
    }
}

void main()
{
    const uint rows = gl_WorkGroupSize.x / LANES;
    for (uint first = gl_WorkGroupID.x * rows; first < push.rows; first += gl_NumWorkGroups.x * rows) {
        const uint row = first + gl_LocalInvocationID.x / LANES;
        // Invocations beyond the last row reach the barriers with no columns.
        reduce_row(push.base + row * push.columns, row < push.rows ? push.columns : 0u, push.row_base + row);
    }
}
