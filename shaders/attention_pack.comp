// attention_pack: what the backward kernels read of queries and batches, put together, so that they need no more than
// eight buffers, all that some devices allow: pairs[i] = (lse[i], delta[i]); marks = three step parameters, one unused
// word, and the key length of each batch, all keys where no lengths are given.
// Grid: workgroups of 128 striding over the elements.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require

layout(local_size_x = 128, local_size_x_id = 0) in;

#include "attention.h"

layout(push_constant) uniform Push { tuff_push_attention_pack push; };
layout(set = 0, binding = 0) readonly restrict buffer Lse { float lse[]; };
layout(set = 0, binding = 1) readonly restrict buffer Delta { float delta[]; };
layout(set = 0, binding = 2) readonly restrict buffer Lengths { uint key_lengths[]; };
layout(set = 0, binding = 3) readonly restrict buffer Step { uint step_parameters[]; };
layout(set = 0, binding = 4) writeonly restrict buffer Pairs { vec2 pairs[]; };
layout(set = 0, binding = 5) writeonly restrict buffer Marks { uint marks[]; };

uint mark_of(uint i)
{
    if (i < TUFF_ATTENTION_FIRST_LENGTH)
        return push.has_step != 0u && i < 3u ? step_parameters[i] : 0u;
    return push.has_lengths != 0u ? key_lengths[i - TUFF_ATTENTION_FIRST_LENGTH] : push.tk;
}

void main()
{
    const uint stride = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < push.count; i += stride)
        pairs[i] = vec2(lse[i], delta[i]);
    for (uint i = gl_GlobalInvocationID.x; i < push.mark_count; i += stride)
        marks[i] = mark_of(i);
}
