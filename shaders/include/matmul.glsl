// matmul.glsl: what every matmul kernel shares: constants, and what happens to a finished sum. The kernel defines
// BIAS_BINDING; bias, residual and out follow each other from there.
#include "matmul.h"
#include "include/activation.glsl"

layout(push_constant) uniform Push { tuff_push_matmul push; };
layout(constant_id = TUFF_MATMUL_TRANSPOSE_A) const bool transpose_a = false;
layout(constant_id = TUFF_MATMUL_TRANSPOSE_B) const bool transpose_b = false;
layout(constant_id = TUFF_MATMUL_EPILOGUE) const uint epilogue = 0u;
layout(constant_id = TUFF_MATMUL_ACTIVATION) const uint activation = 0u;
layout(constant_id = TUFF_MATMUL_VECTORS) const uint vectors = 0u;

layout(set = 0, binding = BIAS_BINDING) readonly restrict buffer Bias { float bias[]; };
layout(set = 0, binding = BIAS_BINDING + 1) readonly restrict buffer Residual { float residual[]; };
layout(set = 0, binding = BIAS_BINDING + 2) restrict buffer Out { float c[]; };

// Where element [i, j] of a batch lies, from the bases of out and residual.
uint position(uint batch, uint i, uint j)
{
    return batch * push.c_batch + i * push.ldc + j;
}

// From the sum over k to what the bias is added to.
float begin_epilogue(uint at, float sum)
{
    const float y = push.alpha * sum;
    return (epilogue & TUFF_MATMUL_ADD_RESULT) != 0u ? y + c[push.c_base + at] : y;
}

float end_epilogue(uint at, uint j, float y)
{
    if ((epilogue & TUFF_MATMUL_ADD_BIAS) != 0u)
        y += bias[push.bias_base + j];
    y = tuff_activate(activation, y);
    return (epilogue & TUFF_MATMUL_ADD_RESIDUAL) != 0u ? y + residual[push.residual_base + at] : y;
}

// The sum of element [i, j] of a batch is complete.
void finish(uint batch, uint i, uint j, float sum)
{
    const uint at = position(batch, i, j);
    c[push.c_base + at] = end_epilogue(at, j, begin_epilogue(at, sum));
}

// One sum over the piece of k that workgroup z takes.
void store(uint z, uint i, uint j, float sum)
{
    if ((epilogue & TUFF_MATMUL_PARTIAL) != 0u)
        c[push.c_base + (z * push.m + i) * push.n + j] = sum;
    else
        finish(z, i, j, sum);
}
