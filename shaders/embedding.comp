// embedding: out[t, c] = table[ids[t], c]; zeros for an id outside of the vocabulary. Ids of rows outside of the bound
// window are left to another dispatch. Each invocation takes every (groups·local size)-th element.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#include "embedding.h"

layout(local_size_x = 128, local_size_x_id = 0) in;
layout(push_constant) uniform Push { tuff_push_embedding push; };

layout(set = 0, binding = 0) readonly restrict buffer Table { uint table[]; };
layout(set = 0, binding = 1) readonly restrict buffer Ids { uint ids[]; };
layout(set = 0, binding = 2) writeonly restrict buffer Out { uint rows[]; };

void main()
{
    const uint count = push.tokens * push.columns;
    for (uint i = gl_GlobalInvocationID.x; i < count; i += gl_WorkGroupSize.x * gl_NumWorkGroups.x) {
        const uint token = i / push.columns, column = i % push.columns;
        const uint id = ids[push.ids_base + token];
        if (id >= push.vocabulary)
            rows[push.out_base + i] = 0u;
        else if (id - push.first_row < push.row_count) // below the window the difference wraps to a large number
            rows[push.out_base + i] = table[push.table_base + (id - push.first_row) * push.columns + column];
    }
}
