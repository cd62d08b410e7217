// reduce.glsl: reductions over a workgroup in shared memory, as a tree of fixed shape: the same bits every run, on any
// subgroup size. gl_WorkGroupSize.x must be a power of two of at most 256, and declared before this file is included: until
// then glslang takes it for 1. All invocations call them together and all get the result.
#ifndef TUFF_REDUCE_GLSL
#define TUFF_REDUCE_GLSL

shared float tuff_reduce_space[256];

float tuff_reduce_sum(float x)
{
    const uint i = gl_LocalInvocationID.x;
    barrier(); // an earlier reduction may still be read
    tuff_reduce_space[i] = x;
    barrier();
    for (uint stride = gl_WorkGroupSize.x / 2u; stride > 0u; stride >>= 1) {
        if (i < stride)
            tuff_reduce_space[i] += tuff_reduce_space[i + stride];
        barrier();
    }
    return tuff_reduce_space[0];
}

float tuff_reduce_max(float x)
{
    const uint i = gl_LocalInvocationID.x;
    barrier();
    tuff_reduce_space[i] = x;
    barrier();
    for (uint stride = gl_WorkGroupSize.x / 2u; stride > 0u; stride >>= 1) {
        if (i < stride)
            tuff_reduce_space[i] = max(tuff_reduce_space[i], tuff_reduce_space[i + stride]);
        barrier();
    }
    return tuff_reduce_space[0];
}

#endif
