// max_backward: dx[o, k, i] = dy[o, i] where k = indices[o, i], else 0. Each invocation takes every (groups·local
// size)-th element.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#include "reduce.h"

layout(local_size_x = 128, local_size_x_id = 0) in;
layout(push_constant) uniform Push { tuff_push_max_backward push; };

layout(set = 0, binding = 0) readonly restrict buffer Dy { float dy[]; };
layout(set = 0, binding = 1) readonly restrict buffer Indices { uint indices[]; };
layout(set = 0, binding = 2) writeonly restrict buffer Dx { float dx[]; };

void main()
{
    for (uint i = gl_GlobalInvocationID.x; i < push.count; i += gl_WorkGroupSize.x * gl_NumWorkGroups.x) {
        const uint element = push.first + i, row = element / push.inner, outer = row / push.n;
        const uint place = push.reduced_base + outer * push.inner + element % push.inner;
        dx[push.base + i] = indices[place] == row % push.n ? dy[place] : 0.0;
    }
}
