// layer_norm_backward_affine: partial[chunk, 0, c] = sum over a chunk of rows of dy·(s - mean)·rstd, partial[chunk, 1,
// c] of dy. Grid: x columns, an invocation each (striding over the rest); y chunks of rows.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#include "layer_norm.h"

layout(local_size_x = 128, local_size_x_id = 0) in;
layout(push_constant) uniform Push { tuff_push_layer_norm_affine push; };

layout(set = 0, binding = 0) readonly restrict buffer Sum { float s[]; };
layout(set = 0, binding = 1) readonly restrict buffer Mean { float mean[]; };
layout(set = 0, binding = 2) readonly restrict buffer Rstd { float rstd[]; };
layout(set = 0, binding = 3) readonly restrict buffer Dy { float dy[]; };
layout(set = 0, binding = 4) writeonly restrict buffer Partial { float partial[]; };

void main()
{
    const uint first = gl_WorkGroupID.y * push.chunk_rows;
    const uint last = min(first + push.chunk_rows, push.rows);
    for (uint c = gl_GlobalInvocationID.x; c < push.columns; c += gl_WorkGroupSize.x * gl_NumWorkGroups.x) {
        float dweight = 0.0, dbias = 0.0;
        for (uint row = first; row < last; row++) {
            const uint i = push.base + row * push.columns + c;
            const uint r = push.row_base + row;
            dweight += dy[i] * ((s[i] - mean[r]) * rstd[r]);
            dbias += dy[i];
        }
        partial[gl_WorkGroupID.y * 2u * push.columns + c] = dweight;
        partial[(gl_WorkGroupID.y * 2u + 1u) * push.columns + c] = dbias;
    }
}
