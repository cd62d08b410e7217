// dropout: y[i] = x[i]·scale where word i%4 of Philox block i/4 is at least the threshold, else 0.
// Grid: an invocation per block of four elements, striding over the rest.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#include "include/philox.glsl"
#include "dropout.h"

layout(local_size_x = 128, local_size_x_id = 0) in;
layout(push_constant) uniform Push { tuff_push_dropout push; };

layout(set = 0, binding = 0) readonly restrict buffer X { float x[]; };
layout(set = 0, binding = 1) readonly restrict buffer Step { uint step_parameters[]; }; // tuff_step_parameters
layout(set = 0, binding = 2) writeonly restrict buffer Y { float y[]; };

void main()
{
    const uvec2 seed = uvec2(step_parameters[0], step_parameters[1]);
    const uint blocks = (push.count + 3u) / 4u;
    for (uint b = gl_GlobalInvocationID.x; b < blocks; b += gl_WorkGroupSize.x * gl_NumWorkGroups.x) {
        const uvec4 words = tuff_dropout_words(push.first_block + b, push.site, step_parameters[2], seed);
        for (uint lane = 0u; lane < 4u; lane++) {
            const uint i = b * 4u + lane;
            if (i < push.count)
                y[i] = words[lane] >= push.threshold ? x[i] * push.scale : 0.0;
        }
    }
}
