// math_check: y[i] = f(x[i]) for each function of math.glsl, so that a test can hold this device's arithmetic to the
// errors stated there. Each invocation takes every (groups·local size)-th element.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#include "include/math.glsl"
#include "math_check.h"

layout(local_size_x = 128, local_size_x_id = 0) in;
layout(constant_id = 3) const uint FUNCTION = TUFF_MATH_EXP;
layout(push_constant) uniform Push { tuff_push_math_check push; };

layout(set = 0, binding = 0) readonly restrict buffer X { float x[]; };
layout(set = 0, binding = 1) writeonly restrict buffer Y { float y[]; };

// A numerator of any digits, either sign and an exponent within 2^±16 for each denominator; test_math.c has the same.
float numerator_of(float value)
{
    const uint hash = floatBitsToUint(value) * 2654435761u;
    return uintBitsToFloat((hash & 0x807FFFFFu) | (111u + (hash >> 23 & 31u)) << 23);
}

float apply(float value)
{
    switch (FUNCTION) {
    case TUFF_MATH_EXP:
        return tuff_exp(value);
    case TUFF_MATH_LOG:
        return tuff_log(value);
    case TUFF_MATH_TANH:
        return tuff_tanh(value);
    case TUFF_MATH_ERF:
        return tuff_erf(value);
    case TUFF_MATH_SIGMOID:
        return tuff_sigmoid(value);
    case TUFF_MATH_SQRT:
        return tuff_sqrt(value);
    case TUFF_MATH_RSQRT:
        return tuff_rsqrt(value);
    case TUFF_MATH_DIVIDE:
        return tuff_divide(numerator_of(value), value);
    case TUFF_MATH_GELU:
        return tuff_gelu(value);
    case TUFF_MATH_GELU_GRADIENT:
        return tuff_gelu_gradient(value);
    case TUFF_MATH_GELU_TANH:
        return tuff_gelu_tanh(value);
    case TUFF_MATH_GELU_TANH_GRADIENT:
        return tuff_gelu_tanh_gradient(value);
    case TUFF_MATH_SILU:
        return tuff_silu(value);
    default:
        return tuff_silu_gradient(value);
    }
}

void main()
{
    for (uint i = gl_GlobalInvocationID.x; i < push.count; i += gl_WorkGroupSize.x * gl_NumWorkGroups.x)
        y[i] = apply(x[i]);
}
