// layer_norm_backward_affine_sum: dweight[c] (+)= sum over chunks of partial[chunk, 0, c], dbias[c] of partial[chunk,
// 1, c].
// Grid: an invocation per column, striding over the rest.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#include "layer_norm.h"

layout(local_size_x = 128, local_size_x_id = 0) in;
layout(push_constant) uniform Push { tuff_push_layer_norm_affine_sum push; };

layout(set = 0, binding = 0) readonly restrict buffer Partial { float partial[]; };
layout(set = 0, binding = 1) restrict buffer Dweight { float dweight[]; };
layout(set = 0, binding = 2) restrict buffer Dbias { float dbias[]; };

void main()
{
    for (uint c = gl_GlobalInvocationID.x; c < push.columns; c += gl_WorkGroupSize.x * gl_NumWorkGroups.x) {
        float sum_weight = 0.0, sum_bias = 0.0;
        for (uint chunk = 0u; chunk < push.chunks; chunk++) {
            sum_weight += partial[chunk * 2u * push.columns + c];
            sum_bias += partial[(chunk * 2u + 1u) * push.columns + c];
        }
        if (push.accumulate != 0u) {
            sum_weight += dweight[c];
            sum_bias += dbias[c];
        }
        dweight[c] = sum_weight;
        dbias[c] = sum_bias;
    }
}
