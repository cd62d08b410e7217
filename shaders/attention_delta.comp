// attention_delta: delta[b, h, i] = o[b, i, h]·do[b, i, h].
// Grid: workgroups of 128/LANES heads of queries, LANES invocations each, striding over the rest; consecutive ones take
// the heads of one query.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require

layout(local_size_x = 128, local_size_x_id = 0) in;

#include "attention.h"
#include "include/reduce.glsl"

layout(constant_id = TUFF_ATTENTION_DELTA_LANES) const uint LANES = 16u;
layout(push_constant) uniform Push { tuff_push_attention_delta push; };
layout(set = 0, binding = 0) readonly restrict buffer Output { float o[]; };
layout(set = 0, binding = 1) readonly restrict buffer DOutput { float dout[]; };
layout(set = 0, binding = 2) writeonly restrict buffer Delta { float delta[]; };

void main()
{
    const uint count = push.batches * push.q_count * push.heads, items = gl_WorkGroupSize.x / LANES;
    const uint lane = gl_LocalInvocationID.x % LANES;
    for (uint first = gl_WorkGroupID.x * items; first < count; first += gl_NumWorkGroups.x * items) {
        const uint item = first + gl_LocalInvocationID.x / LANES, row = item / push.heads, head = item % push.heads;
        const uint start = push.q_base + row * push.channels + head * push.head_size;
        // Invocations beyond the last item reach the barriers with no elements.
        const uint end = item < count ? push.head_size : 0u;
        float sum = 0.0;
        for (uint d = lane; d < end; d += LANES)
            sum = fma(o[start + d], dout[start + d], sum);
        sum = tuff_reduce_sum(sum, LANES);
        const uint batch = row / push.q_count, query = row % push.q_count;
        if (lane == 0u && item < count)
            delta[push.row_base + (batch * push.heads + head) * push.tq + query] = sum;
    }
}
