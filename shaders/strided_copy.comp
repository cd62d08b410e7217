// strided_copy: words of a box of four dimensions, read at one set of strides and written at another. Elements outside
// of the bound windows are left to another dispatch. Each invocation takes every (groups·local size)-th element.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#include "layout.h"

layout(local_size_x = 128, local_size_x_id = 0) in;
layout(constant_id = 3) const uint FLAT = 0; // 1: both sides lie in the box's own order
layout(push_constant) uniform Push { tuff_push_strided_copy push; };

layout(set = 0, binding = 0) readonly restrict buffer Source { uint source[]; };
layout(set = 0, binding = 1) writeonly restrict buffer Target { uint target[]; };

// Where element `index` of the box is read (x) and written (y), counted from the windows' starts. Before a window the
// difference wraps to a large number.
uvec2 places(uint index)
{
    if (FLAT != 0u)
        return uvec2(push.source_offset - push.source_first, push.target_offset - push.target_first) + index;
    const uint rest3 = index / push.dim3, i3 = index - rest3 * push.dim3;
    const uint rest2 = rest3 / push.dim2, i2 = rest3 - rest2 * push.dim2;
    const uint i0 = rest2 / push.dim1, i1 = rest2 - i0 * push.dim1;
    return uvec2(push.source_offset + i0 * push.source0 + i1 * push.source1 + i2 * push.source2 + i3 * push.source3 -
                     push.source_first,
                 push.target_offset + i0 * push.target0 + i1 * push.target1 + i2 * push.target2 + i3 * push.target3 -
                     push.target_first);
}

void main()
{
    for (uint i = gl_GlobalInvocationID.x; i < push.count; i += gl_WorkGroupSize.x * gl_NumWorkGroups.x) {
        const uvec2 at = places(push.first + i);
        if (at.x < push.source_count && at.y < push.target_count)
            target[push.target_base + at.y] = source[push.source_base + at.x];
    }
}
