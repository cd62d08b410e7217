// unary: y[i] = f(x[i]). Each invocation takes every (groups·local size)-th element.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#include "include/activation.glsl"

layout(local_size_x = 128, local_size_x_id = 0) in;
layout(constant_id = 3) const uint KIND = TUFF_UNARY_GELU;
layout(push_constant) uniform Push { tuff_push_unary push; };

layout(set = 0, binding = 0) readonly restrict buffer X { float x[]; };
layout(set = 0, binding = 1) writeonly restrict buffer Y { float y[]; };

void main()
{
    for (uint i = gl_GlobalInvocationID.x; i < push.count; i += gl_WorkGroupSize.x * gl_NumWorkGroups.x)
        y[i] = KIND == TUFF_UNARY_SCALE ? x[i] * push.factor : tuff_activate(KIND, x[i]);
}
