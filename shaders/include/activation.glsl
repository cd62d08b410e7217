// activation.glsl: the activations by their number, tuff_activation; any other leaves x as it is.
#include "include/math.glsl"
#include "unary.h"

float tuff_activate(uint activation, float x)
{
    switch (activation) {
    case TUFF_UNARY_GELU:
        return tuff_gelu(x);
    case TUFF_UNARY_GELU_TANH:
        return tuff_gelu_tanh(x);
    case TUFF_UNARY_SILU:
        return tuff_silu(x);
    case TUFF_UNARY_TANH:
        return tuff_tanh(x);
    case TUFF_UNARY_RELU:
        return x < 0.0 ? 0.0 : x; // NaN stays
    default:
        return x;
    }
}
