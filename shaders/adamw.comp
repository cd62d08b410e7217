// adamw: one step of AdamW in place, in PyTorch's order (ops/optimizer.c). Each invocation takes every (groups·local
// size)-th element.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#include "include/math.glsl"
#include "optimizer.h"

layout(local_size_x = 128, local_size_x_id = 0) in;
layout(constant_id = 3) const uint CLIP = 0;
layout(push_constant) uniform Push { tuff_push_adamw push; };

layout(set = 0, binding = 0) readonly restrict buffer Gradient { float gradient[]; };
layout(set = 0, binding = 1) readonly restrict buffer Norm { float norm[]; };
layout(set = 0, binding = 2) readonly restrict buffer Step { uint step_parameters[]; }; // tuff_step_parameters
layout(set = 0, binding = 3) restrict buffer Param { float param[]; };
layout(set = 0, binding = 4) restrict buffer M { float first_moment[]; };
layout(set = 0, binding = 5) restrict buffer V { float second_moment[]; };

void main()
{
    const float learning_rate = uintBitsToFloat(step_parameters[3]);
    const float rate = tuff_divide(learning_rate, uintBitsToFloat(step_parameters[4]));
    const float correction2 = uintBitsToFloat(step_parameters[5]);
    precise float decay = 1.0 - learning_rate * push.weight_decay;
    float clip = 1.0;
    if (CLIP != 0u) {
        clip = tuff_divide(push.max_grad_norm, norm[0] + 1e-6);
        clip = clip > 1.0 ? 1.0 : clip; // a NaN norm stays NaN
    }
    for (uint i = gl_GlobalInvocationID.x; i < push.count; i += gl_WorkGroupSize.x * gl_NumWorkGroups.x) {
        precise float g = gradient[i] * clip;
        precise float m = first_moment[i] + (g - first_moment[i]) * push.rest1;
        precise float v = second_moment[i] * push.beta2 + push.rest2 * g * g;
        precise float p = i < push.decay_count ? param[i] * decay : param[i];
        const float denominator = tuff_divide(tuff_sqrt(v), correction2) + push.eps;
        param[i] = p - tuff_divide(rate * m, denominator);
        first_moment[i] = m;
        second_moment[i] = v;
    }
}
