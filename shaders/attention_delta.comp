// attention_delta: delta[b, h, i] = o[b, i, h]·do[b, i, h].
// Grid: invocations stride over queries x heads; consecutive ones take the heads of one query.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#include "attention.h"

layout(local_size_x_id = 0) in;
layout(push_constant) uniform Push { tuff_push_attention_delta push; };
layout(set = 0, binding = 0) readonly restrict buffer Output { float o[]; };
layout(set = 0, binding = 1) readonly restrict buffer DOutput { float dout[]; };
layout(set = 0, binding = 2) writeonly restrict buffer Delta { float delta[]; };

void main()
{
    const uint count = push.batches * push.q_count * push.heads;
    for (uint item = gl_GlobalInvocationID.x; item < count; item += gl_WorkGroupSize.x * gl_NumWorkGroups.x) {
        const uint row = item / push.heads, head = item % push.heads;
        const uint start = push.q_base + row * push.channels + head * push.head_size;
        float sum = 0.0;
        for (uint d = 0u; d < push.head_size; d++)
            sum = fma(o[start + d], dout[start + d], sum);
        const uint batch = row / push.q_count, query = row % push.q_count;
        delta[push.row_base + (batch * push.heads + head) * push.tq + query] = sum;
    }
}
