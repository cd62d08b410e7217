// cross_entropy_backward: dlogits = dloss/count·(e^(logits - lse) - target) in the counted rows, else 0.
// Each invocation takes every (groups·local size)-th element.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#include "include/math.glsl"
#include "cross_entropy.h"

layout(local_size_x = 128, local_size_x_id = 0) in;
layout(push_constant) uniform Push { tuff_push_cross_entropy push; };

layout(set = 0, binding = 0) readonly restrict buffer Logits { float logits[]; };
layout(set = 0, binding = 1) readonly restrict buffer Labels { int labels[]; };
layout(set = 0, binding = 2) readonly restrict buffer Lse { float lse[]; };
layout(set = 0, binding = 3) readonly restrict buffer Count { float count[]; };
layout(set = 0, binding = 4) readonly restrict buffer Dloss { float dloss[]; };
layout(set = 0, binding = 5) writeonly restrict buffer Dlogits { float dlogits[]; };

void main()
{
    const float factor = count[0] > 0.0 ? tuff_divide(dloss[0], count[0]) : 0.0;
    const float spread = tuff_divide(push.label_smoothing, float(push.columns));
    const uint elements = push.rows * push.columns;
    for (uint i = gl_GlobalInvocationID.x; i < elements; i += gl_WorkGroupSize.x * gl_NumWorkGroups.x) {
        const uint row = i / push.columns, column = i % push.columns;
        const int label = labels[push.row_base + row];
        float gradient = 0.0;
        if (label != push.ignore_index && label >= 0 && label < int(push.columns)) {
            const float target = (int(column) == label ? 1.0 - push.label_smoothing : 0.0) + spread;
            gradient = factor * (tuff_exp(logits[push.base + i] - lse[push.row_base + row]) - target);
        }
        dlogits[push.base + i] = gradient;
    }
}
