// matmul_reduce: adds the partial sums [batch][split][m][n] of a product whose k was split, in order, and finishes
// them.
// Grid: invocations stride over batch·m·n elements.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#define BIAS_BINDING 1
#include "include/matmul.glsl"

layout(local_size_x_id = 0) in;
layout(set = 0, binding = 0) readonly restrict buffer Partial { float partial[]; };

void main()
{
    const uint size = push.m * push.n; // of one batch
    const uint count = push.a_batch;   // elements of all batches
    for (uint e = gl_GlobalInvocationID.x; e < count; e += gl_WorkGroupSize.x * gl_NumWorkGroups.x) {
        const uint batch = e / size, element = e % size;
        float sum = 0.0;
        for (uint s = 0u; s < push.splits; s++)
            sum += partial[(batch * push.splits + s) * size + element];
        finish(batch, element / push.n, element % push.n, sum);
    }
}
