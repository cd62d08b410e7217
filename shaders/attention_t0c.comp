// attention_t0c: o = softmax(scale·q·kᵀ + mask)·v and its log-sum-exp for Vulkan on a CPU: an invocation is a query.
// Grid: x 16 queries each, y heads, z batches of the dispatch (include/attention_lanes.glsl).
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#define LENGTHS_BINDING 3
#include "include/attention_lanes.glsl"

layout(set = 0, binding = 0) readonly restrict buffer Q { float q[]; };
layout(set = 0, binding = 1) readonly restrict buffer K { float k[]; };
layout(set = 0, binding = 2) readonly restrict buffer V { float v[]; };
layout(set = 0, binding = 5) restrict buffer Output { float o[]; };
layout(set = 0, binding = 6) restrict buffer Lse { float lse[]; };
layout(set = 0, binding = 1) readonly restrict buffer KFours { vec4 k_fours[]; };
layout(set = 0, binding = 2) readonly restrict buffer VFours { vec4 v_fours[]; };

const uint BLOCK = 16u; // keys between two looks at the largest score

void main()
{
    const uint head = gl_WorkGroupID.y, batch = gl_WorkGroupID.z, first_row = gl_WorkGroupID.x * LANES;
    const uint row = first_row + gl_LocalInvocationID.x, here = min(row, push.q_count - 1u);
    const uint q_at = push.q_base + (batch * push.tq + here) * push.channels + head * head_size;
    const uint k_start = push.k_base + batch * push.tk * push.channels + head * head_size;
    const uint row_at = push.row_base + (batch * push.heads + head) * push.tq + here;
    const uint visible = visible_in_window(batch, row);
    const uint end = visible_in_window(batch, min(first_row + LANES, push.q_count) - 1u);

    float largest = has_flag(TUFF_ATTENTION_CONTINUES) ? lse[row_at] : NOTHING_SEEN;
    float total = total_of(largest);
    vec4 own[FOURS], sums[FOURS];
    [[unroll]] for (uint f = 0u; f < FOURS; f++) {
        own[f] = push.scale * OWN_FOUR(q, q_at, f);
        sums[f] = vec4(0.0);
    }
    if (has_flag(TUFF_ATTENTION_CONTINUES))
        [[unroll]] for (uint f = 0u; f < FOURS; f++)
            sums[f] = total * OWN_FOUR(o, q_at, f);

    for (uint start = 0u; start < end; start += BLOCK) {
        const uint count = min(BLOCK, end - start);
        float scores[BLOCK], new_largest = largest;
        for (uint j = 0u; j < count; j++) {
            const uint at = k_start + (start + j) * push.channels;
            vec4 products = vec4(0.0);
            [[unroll]] for (uint f = 0u; f < FOURS; f++)
                products += own[f] * READ_FOUR(k, k_fours, at, f);
            scores[j] = start + j < visible ? (products.x + products.y) + (products.z + products.w) : NOTHING_SEEN;
            new_largest = max(new_largest, scores[j]);
        }
        const float shrink = tuff_exp(largest - new_largest);
        largest = new_largest;
        total *= shrink;
        [[unroll]] for (uint f = 0u; f < FOURS; f++)
            sums[f] *= shrink;
        uvec4 words = uvec4(0u);
        for (uint j = 0u; j < count; j++) {
            const uint at = k_start + (start + j) * push.channels, key = push.first_k + start + j;
            float p = start + j < visible ? tuff_exp(scores[j] - largest) : 0.0;
            total += p;
            if (has_dropout) {
                if (j % 4u == 0u)
                    words = random_words(batch, head, push.first_q + here, key / 4u);
                p *= keep_factor(words, key);
            }
            [[unroll]] for (uint f = 0u; f < FOURS; f++)
                sums[f] += p * READ_FOUR(v, v_fours, at, f);
        }
    }

    if (row >= push.q_count)
        return;
    const float inverse = inverse_of(total, batch, row);
    [[unroll]] for (uint f = 0u; f < FOURS; f++)
        WRITE_FOUR(o, q_at, f, sums[f] * inverse)
    lse[row_at] = lse_of(largest, total, inverse);
}
