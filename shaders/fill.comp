// fill: data[i] = word for i < count. Each invocation takes every (groups·local size)-th word.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#include "fill.h"

layout(local_size_x_id = 0) in;
layout(push_constant) uniform Push { tuff_push_fill push; };

layout(set = 0, binding = 0) writeonly restrict buffer Data { uint data[]; };

void main()
{
    for (uint i = gl_GlobalInvocationID.x; i < push.count; i += gl_WorkGroupSize.x * gl_NumWorkGroups.x)
        data[i] = push.word;
}
