// attention_mask.glsl: what every attention kernel shares: constants, masks and dropout. The kernel defines
// LENGTHS_BINDING, which the step parameters follow, or MARKS_BINDING, where attention_pack has put both.
#extension GL_EXT_control_flow_attributes : require
#include "attention.h"
#include "include/math.glsl"
#include "include/philox.glsl"

layout(push_constant) uniform Push { tuff_push_attention push; };
layout(constant_id = TUFF_ATTENTION_HEAD_SIZE) const uint head_size = 64u;
layout(constant_id = TUFF_ATTENTION_DROPOUT) const bool has_dropout = false;

bool has_flag(uint flag)
{
    return (push.flags & flag) != 0u;
}

#ifdef MARKS_BINDING
layout(set = 0, binding = MARKS_BINDING) readonly restrict buffer Marks { uint marks[]; };
int key_length(uint batch) { return int(marks[TUFF_ATTENTION_FIRST_LENGTH + push.first_batch + batch]); }
uint step_parameter(uint i) { return marks[i]; }
#else
layout(set = 0, binding = LENGTHS_BINDING) readonly restrict buffer Lengths { int key_lengths[]; };
layout(set = 0, binding = LENGTHS_BINDING + 1) readonly restrict buffer Step { uint step_parameters[]; };
int key_length(uint batch)
{
    return has_flag(TUFF_ATTENTION_LENGTHS) ? key_lengths[push.lengths_base + batch] : int(push.tk);
}
uint step_parameter(uint i) { return step_parameters[i]; }
#endif

// A query's largest score before its first key: no score is below, but -infinity.
const float NOTHING_SEEN = -3.402823466e38;

// Query i (of all) sees the keys [0, this) of batch `batch` (of the dispatch).
uint visible_keys(uint batch, uint i)
{
    int visible = min(int(push.tk), key_length(batch));
    if (has_flag(TUFF_ATTENTION_CAUSAL))
        visible = min(visible, int(i) + int(push.tk) - int(push.tq) + 1);
    return uint(max(visible, 0));
}

// The random words of keys 4·block .. 4·block + 3 of query i, all counted from 0 of the whole tensor.
uvec4 random_words(uint batch, uint head, uint i, uint block)
{
    const uint row = ((push.first_batch + batch) * push.heads + head) * push.tq + i;
    uint high, low, carry;
    umulExtended(row, (push.tk + 3u) / 4u, high, low);
    low = uaddCarry(low, block, carry);
    return tuff_philox(uvec4(low, push.site, step_parameter(2u), high + carry),
                       uvec2(step_parameter(0u), step_parameter(1u)));
}

// 1/(1-p) or 0 for one of the words.
float keep_factor(uvec4 words, uint key)
{
    return words[key % 4u] >= push.threshold ? push.keep_scale : 0.0;
}

// Of those, how many lie in the window of keys; 0 for rows beyond the window of queries.
uint visible_in_window(uint batch, uint row)
{
    const uint all = row < push.q_count ? visible_keys(batch, push.first_q + row) : 0u;
    return min(max(all, push.first_k) - push.first_k, push.k_count);
}

// Where the first query that sees key `row` of the window lies in the window of queries.
uint first_seeing(uint row)
{
    if (!has_flag(TUFF_ATTENTION_CAUSAL))
        return 0u;
    return uint(max(int(push.first_k + row) - int(push.tk) + int(push.tq) - int(push.first_q), 0));
}

// Between windows of keys a row's state is its o, already divided, and its log-sum-exp: a sum of 1, or 0 before any
// key.
float total_of(float stored_lse)
{
    return stored_lse == NOTHING_SEEN ? 0.0 : 1.0; // a NaN is a sum
}

// What a row's sums are multiplied by in the end: 0 where there was no key, NaN, as in the reference, where there were
// some whose scores were all -infinity.
float inverse_of(float total, uint batch, uint row)
{
    if (total != 0.0 || !has_flag(TUFF_ATTENTION_LAST))
        return total == 0.0 ? 0.0 : 1.0 / total;
    return visible_keys(batch, push.first_q + row) == 0u ? 0.0 : uintBitsToFloat(0x7FC00000u);
}

// The log-sum-exp to leave behind, from a row's largest score, its sum of exp(score - largest) and that sum's inverse.
float lse_of(float largest, float total, float inverse)
{
    if (total != 0.0)
        return largest + tuff_log(total);
    return has_flag(TUFF_ATTENTION_LAST) ? inverse : NOTHING_SEEN; // 0 or NaN
}
