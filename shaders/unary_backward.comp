// unary_backward: dx[i] = f'(x[i])·dy[i]; of tanh, x is the result y. Each invocation takes every (groups·local
// size)-th element.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#include "include/math.glsl"
#include "unary.h"

layout(local_size_x = 128, local_size_x_id = 0) in;
layout(constant_id = 3) const uint KIND = TUFF_UNARY_GELU;
layout(push_constant) uniform Push { tuff_push_unary push; };

layout(set = 0, binding = 0) readonly restrict buffer X { float x[]; };
layout(set = 0, binding = 1) readonly restrict buffer Dy { float dy[]; };
layout(set = 0, binding = 2) writeonly restrict buffer Dx { float dx[]; };

float apply(float value, float gradient)
{
    switch (KIND) {
    case TUFF_UNARY_GELU:
        return tuff_gelu_gradient(value) * gradient;
    case TUFF_UNARY_GELU_TANH:
        return tuff_gelu_tanh_gradient(value) * gradient;
    case TUFF_UNARY_SILU:
        return tuff_silu_gradient(value) * gradient;
    case TUFF_UNARY_TANH:
        return (1.0 - value) * (1.0 + value) * gradient;
    default:
        return value > 0.0 ? gradient : 0.0;
    }
}

void main()
{
    for (uint i = gl_GlobalInvocationID.x; i < push.count; i += gl_WorkGroupSize.x * gl_NumWorkGroups.x)
        dx[i] = apply(x[i], dy[i]);
}
