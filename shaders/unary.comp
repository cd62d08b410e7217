// unary: y[i] = f(x[i]). Each invocation takes every (groups·local size)-th element.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#include "include/math.glsl"
#include "unary.h"

layout(local_size_x = 128, local_size_x_id = 0) in;
layout(constant_id = 3) const uint KIND = TUFF_UNARY_GELU;
layout(push_constant) uniform Push { tuff_push_unary push; };

layout(set = 0, binding = 0) readonly restrict buffer X { float x[]; };
layout(set = 0, binding = 1) writeonly restrict buffer Y { float y[]; };

float apply(float value)
{
    switch (KIND) {
    case TUFF_UNARY_GELU:
        return tuff_gelu(value);
    case TUFF_UNARY_GELU_TANH:
        return tuff_gelu_tanh(value);
    case TUFF_UNARY_SILU:
        return tuff_silu(value);
    case TUFF_UNARY_TANH:
        return tuff_tanh(value);
    case TUFF_UNARY_RELU:
        return value < 0.0 ? 0.0 : value;
    default:
        return value * push.factor;
    }
}

void main()
{
    for (uint i = gl_GlobalInvocationID.x; i < push.count; i += gl_WorkGroupSize.x * gl_NumWorkGroups.x)
        y[i] = apply(x[i]);
}
