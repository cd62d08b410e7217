// attention_backward_kv_t0c: dv[j] = sum over i of m·P[i, j]·do[i], dk[j] = scale·sum over i of dS[i, j]·q[i] for
// Vulkan on a CPU: an invocation is a key.
// Grid: x 16 keys each, y heads, z batches of the dispatch (include/attention_lanes.glsl).
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
layout(set = 0, binding = 6) restrict buffer DK { float dk[]; };
layout(set = 0, binding = 7) restrict buffer DV { float dv[]; };
layout(set = 0, binding = 0) readonly restrict buffer QFours { vec4 q_fours[]; };
layout(set = 0, binding = 3) readonly restrict buffer DOutputFours { vec4 dout_fours[]; };

void main()
{
    const uint head = gl_WorkGroupID.y, batch = gl_WorkGroupID.z, first_row = gl_WorkGroupID.x * LANES;
    const uint row = first_row + gl_LocalInvocationID.x, here = min(row, push.k_count - 1u), key = push.first_k + here;
    const uint q_start = push.q_base + batch * push.tq * push.channels + head * head_size;
    const uint k_at = push.k_base + (batch * push.tk + here) * push.channels + head * head_size;
    const uint row_start = push.row_base + (batch * push.heads + head) * push.tq;
    uint end = push.q_count;
    if (push.first_k + first_row >= visible_keys(batch, push.tq - 1u)) // no query sees these keys
        end = 0u;

    vec4 own[FOURS], own_value[FOURS], k_sums[FOURS], v_sums[FOURS];
    [[unroll]] for (uint f = 0u; f < FOURS; f++) {
        own[f] = push.scale * OWN_FOUR(k, k_at, f);
        own_value[f] = OWN_FOUR(v, k_at, f);
        k_sums[f] = v_sums[f] = vec4(0.0);
    }
    if (has_flag(TUFF_ATTENTION_CONTINUES))
        [[unroll]] for (uint f = 0u; f < FOURS; f++) {
            k_sums[f] = OWN_FOUR(dk, k_at, f) / push.scale;
            v_sums[f] = OWN_FOUR(dv, k_at, f);
        }

    for (uint query = first_seeing(first_row); query < end; query++) {
        const uint at = q_start + query * push.channels, i = push.first_q + query;
        vec4 queries[FOURS], outputs[FOURS], scores = vec4(0.0), gradients = vec4(0.0);
        [[unroll]] for (uint f = 0u; f < FOURS; f++) {
            queries[f] = READ_FOUR(q, q_fours, at, f);
            outputs[f] = READ_FOUR(dout, dout_fours, at, f);
            scores += own[f] * queries[f];
            gradients += own_value[f] * outputs[f];
        }
        const float score = (scores.x + scores.y) + (scores.z + scores.w);
        const float gradient = (gradients.x + gradients.y) + (gradients.z + gradients.w);
        const vec2 pair = pairs[row_start + query];
        const float p = key < visible_keys(batch, i) ? tuff_exp(score - pair.x) : 0.0;
        const float keep = has_dropout ? keep_factor(random_words(batch, head, i, key / 4u), key) : 1.0;
        const float ds = p * (keep * gradient - pair.y), dropped = keep * p;
        [[unroll]] for (uint f = 0u; f < FOURS; f++) {
            k_sums[f] += ds * queries[f];
            v_sums[f] += dropped * outputs[f];
        }
    }

    if (row < push.k_count)
        [[unroll]] for (uint f = 0u; f < FOURS; f++) {
            WRITE_FOUR(dk, k_at, f, push.scale * k_sums[f])
            WRITE_FOUR(dv, k_at, f, v_sums[f])
        }
}
