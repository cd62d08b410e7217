// embedding_last: last[t] = 0 where an earlier token has the id of token t, else 1 + the position of the last one that
// has it. Grid: one workgroup per token, striding over the rest.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#include "embedding.h"

layout(local_size_x = 128, local_size_x_id = 0) in;
layout(push_constant) uniform Push { tuff_push_embedding_last push; };

layout(set = 0, binding = 0) readonly restrict buffer Ids { uint ids[]; };
layout(set = 0, binding = 1) writeonly restrict buffer Last { uint last[]; };

shared uint earlier;  // some token before has the id
shared uint position; // of the last one that has it

void main()
{
    for (uint token = gl_WorkGroupID.x; token < push.tokens; token += gl_NumWorkGroups.x) {
        if (gl_LocalInvocationID.x == 0u) {
            earlier = 0u;
            position = token;
        }
        barrier();
        const uint id = ids[push.ids_base + token];
        uint before = 0u, farthest = token;
        for (uint other = gl_LocalInvocationID.x; other < push.tokens; other += gl_WorkGroupSize.x)
            if (ids[push.ids_base + other] == id) {
                before |= other < token ? 1u : 0u;
                farthest = max(farthest, other);
            }
        if (before != 0u)
            atomicOr(earlier, 1u);
        if (farthest != token)
            atomicMax(position, farthest);
        barrier();
        if (gl_LocalInvocationID.x == 0u)
            last[token] = earlier != 0u ? 0u : position + 1u;
        barrier();
    }
}
