// embedding_backward: dtable[v, c] += sum over tokens t with ids[t] = v of dy[t, c]. The workgroups of the first token
// of an id sum up the tokens to the last one: 32 columns by lanes, which take tokens in turn and are then added in
// order.
// Grid: x tokens, striding over the rest; y blocks of 32 columns.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#include "embedding.h"

layout(local_size_x = 128) in;
layout(push_constant) uniform Push { tuff_push_embedding push; };

layout(set = 0, binding = 0) readonly restrict buffer Ids { uint ids[]; };
layout(set = 0, binding = 1) readonly restrict buffer Last { uint last[]; };
layout(set = 0, binding = 2) readonly restrict buffer Dy { float dy[]; };
layout(set = 0, binding = 3) restrict buffer Dtable { float dtable[]; };

const uint COLUMNS = 32u, LANES = 4u;

shared float space[128];

void main()
{
    const uint lane = gl_LocalInvocationID.x / COLUMNS;
    for (uint token = gl_WorkGroupID.x; token < push.tokens; token += gl_NumWorkGroups.x) {
        const uint end = last[token];
        const uint id = ids[push.ids_base + token];
        const uint row = id - push.first_row; // below the window this wraps to a large number
        if (end == 0u || id >= push.vocabulary || row >= push.row_count)
            continue; // the same for all invocations
        for (uint block = gl_WorkGroupID.y * COLUMNS; block < push.columns; block += gl_NumWorkGroups.y * COLUMNS) {
            const uint column = block + gl_LocalInvocationID.x % COLUMNS;
            float sum = 0.0;
            if (column < push.columns)
                for (uint other = token + lane; other < end; other += LANES)
                    if (ids[push.ids_base + other] == id)
                        sum += dy[push.out_base + other * push.columns + column];
            space[gl_LocalInvocationID.x] = sum;
            barrier();
            if (lane == 0u && column < push.columns) {
                for (uint l = 1u; l < LANES; l++)
                    sum += space[l * COLUMNS + gl_LocalInvocationID.x];
                dtable[push.table_base + row * push.columns + column] += sum;
            }
            barrier();
        }
    }
}
