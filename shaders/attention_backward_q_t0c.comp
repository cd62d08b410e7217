// attention_backward_q_t0c: dq[i] = scale·sum over j of dS[i, j]·k[j] for Vulkan on a CPU: an invocation is a query.
// Grid: x 16 queries each, y heads, z batches of the dispatch (include/attention_lanes.glsl).
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#define MARKS_BINDING 5
#include "include/attention_lanes.glsl"

layout(set = 0, binding = 0) readonly restrict buffer Q { float q[]; };
layout(set = 0, binding = 1) readonly restrict buffer K { float k[]; };
layout(set = 0, binding = 2) readonly restrict buffer V { float v[]; };
layout(set = 0, binding = 3) readonly restrict buffer DOutput { float dout[]; };
layout(set = 0, binding = 4) readonly restrict buffer Pairs { vec2 pairs[]; }; // (lse, delta): attention_pack
layout(set = 0, binding = 6) restrict buffer DQ { float dq[]; };
layout(set = 0, binding = 1) readonly restrict buffer KFours { vec4 k_fours[]; };
layout(set = 0, binding = 2) readonly restrict buffer VFours { vec4 v_fours[]; };

void main()
{
    const uint head = gl_WorkGroupID.y, batch = gl_WorkGroupID.z, first_row = gl_WorkGroupID.x * LANES;
    const uint row = first_row + gl_LocalInvocationID.x, here = min(row, push.q_count - 1u);
    const uint q_at = push.q_base + (batch * push.tq + here) * push.channels + head * head_size;
    const uint k_start = push.k_base + batch * push.tk * push.channels + head * head_size;
    const uint row_at = push.row_base + (batch * push.heads + head) * push.tq + here;
    const uint visible = visible_in_window(batch, row);
    const uint end = visible_in_window(batch, min(first_row + LANES, push.q_count) - 1u);
    const vec2 pair = pairs[row_at];

    vec4 own[FOURS], own_gradient[FOURS], sums[FOURS];
    [[unroll]] for (uint f = 0u; f < FOURS; f++) {
        own[f] = push.scale * OWN_FOUR(q, q_at, f);
        own_gradient[f] = OWN_FOUR(dout, q_at, f);
        sums[f] = vec4(0.0);
    }
    if (has_flag(TUFF_ATTENTION_CONTINUES))
        [[unroll]] for (uint f = 0u; f < FOURS; f++)
            sums[f] = OWN_FOUR(dq, q_at, f) / push.scale;

    uvec4 words = uvec4(0u);
    for (uint j = 0u; j < end; j++) {
        const uint at = k_start + j * push.channels, key = push.first_k + j;
        vec4 keys[FOURS], scores = vec4(0.0), gradients = vec4(0.0);
        [[unroll]] for (uint f = 0u; f < FOURS; f++) {
            keys[f] = READ_FOUR(k, k_fours, at, f);
            scores += own[f] * keys[f];
            gradients += own_gradient[f] * READ_FOUR(v, v_fours, at, f);
        }
        float gradient = (gradients.x + gradients.y) + (gradients.z + gradients.w);
        if (has_dropout) {
            if (j % 4u == 0u)
                words = random_words(batch, head, push.first_q + here, key / 4u);
            gradient *= keep_factor(words, key);
        }
        const float p = tuff_exp((scores.x + scores.y) + (scores.z + scores.w) - pair.x);
        const float ds = j < visible ? p * (gradient - pair.y) : 0.0;
        [[unroll]] for (uint f = 0u; f < FOURS; f++)
            sums[f] += ds * keys[f];
    }

    if (row < push.q_count)
        [[unroll]] for (uint f = 0u; f < FOURS; f++)
            WRITE_FOUR(dq, q_at, f, push.scale * sums[f])
}
