// reduce.glsl: reductions over `lanes` neighbouring invocations of a workgroup, in shared memory, as a tree of fixed
// shape: the same bits every run, on any subgroup size. `lanes` is a power of two that divides gl_WorkGroupSize.x,
// which is at most 256 and must be declared before this file is included: until then glslang takes it for 1. All
// invocations call them together, with the same `lanes`, and get the result of theirs; 1 lane needs no barrier.
#ifndef TUFF_REDUCE_GLSL
#define TUFF_REDUCE_GLSL

// What one invocation adds up before it joins its total: long chains of additions would lose digits.
const uint TUFF_SUM_BLOCK = 32u;

shared float tuff_reduce_space[256];

float tuff_reduce_sum(float x, uint lanes)
{
    if (lanes == 1u)
        return x;
    const uint i = gl_LocalInvocationID.x, lane = i & (lanes - 1u);
    barrier(); // an earlier reduction may still be read
    tuff_reduce_space[i] = x;
    barrier();
    for (uint stride = lanes / 2u; stride > 0u; stride >>= 1) {
        if (lane < stride)
            tuff_reduce_space[i] += tuff_reduce_space[i + stride];
        barrier();
    }
    return tuff_reduce_space[i - lane];
}

float tuff_reduce_max(float x, uint lanes)
{
    if (lanes == 1u)
        return x;
    const uint i = gl_LocalInvocationID.x, lane = i & (lanes - 1u);
    barrier();
    tuff_reduce_space[i] = x;
    barrier();
    for (uint stride = lanes / 2u; stride > 0u; stride >>= 1) {
        if (lane < stride)
            tuff_reduce_space[i] = max(tuff_reduce_space[i], tuff_reduce_space[i + stride]);
        barrier();
    }
    return tuff_reduce_space[i - lane];
}

#endif
