// binary: y[i] = a[i] + b[j] or a[i]·b[j], where j is i, or the element of b that is broadcast to i. Elements whose j
// lies outside of the bound window of b are left to another dispatch. Each invocation takes every (groups·local
// size)-th element.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#include "binary.h"

layout(local_size_x = 128, local_size_x_id = 0) in;
layout(constant_id = 3) const uint KIND = TUFF_BINARY_ADD;
layout(constant_id = 4) const uint BROADCAST = 0;
layout(push_constant) uniform Push { tuff_push_binary push; };

layout(set = 0, binding = 0) readonly restrict buffer A { float a[]; };
layout(set = 0, binding = 1) readonly restrict buffer B { float b[]; };
layout(set = 0, binding = 2) writeonly restrict buffer Y { float y[]; };

uint place(uint i)
{
    if (BROADCAST == 0u)
        return i;
    uint rest = i / push.dim3;
    uint at = (i - rest * push.dim3) * push.stride3;
    const uint rest2 = rest / push.dim2;
    at += (rest - rest2 * push.dim2) * push.stride2;
    const uint rest1 = rest2 / push.dim1;
    at += (rest2 - rest1 * push.dim1) * push.stride1;
    return at + rest1 * push.stride0;
}

void main()
{
    for (uint i = gl_GlobalInvocationID.x; i < push.count; i += gl_WorkGroupSize.x * gl_NumWorkGroups.x) {
        const uint j = place(push.first + i) - push.b_first; // before the window this wraps to a large number
        if (j < push.b_count) {
            const float other = b[push.b_base + j];
            y[i] = KIND == TUFF_BINARY_ADD ? a[i] + other : a[i] * other;
        }
    }
}
