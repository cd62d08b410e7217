// attention_lanes.glsl: attention for Vulkan on a CPU, where shared memory and barriers cost: an invocation owns a
// whole row of one head (a query, or a key for dK and dV) and walks over the other side row by row, whose elements are
// then equal in all lanes. Loops over the head are unrolled, so that its sums stay in registers; every load in them
// costs the driver's compiler time, so there is one of each. The kernel defines LENGTHS_BINDING.
#include "include/attention_mask.glsl"

const uint LANES = 16u;
layout(local_size_x = 16) in;
layout(constant_id = TUFF_ATTENTION_FOURS) const bool in_fours = false;

const uint FOURS = (head_size + 3u) / 4u;

// Four elements of a row that starts at AT; zeros beyond the head. The row is the invocation's own, or one that is
// equal in all lanes.
#define OWN_FOUR(BUFFER, AT, FOUR)                                                                                     \
    vec4(BUFFER[(AT) + 4u * (FOUR)], 4u * (FOUR) + 1u < head_size ? BUFFER[(AT) + 4u * (FOUR) + 1u] : 0.0,             \
         4u * (FOUR) + 2u < head_size ? BUFFER[(AT) + 4u * (FOUR) + 2u] : 0.0,                                         \
         4u * (FOUR) + 3u < head_size ? BUFFER[(AT) + 4u * (FOUR) + 3u] : 0.0)
#define READ_FOUR(BUFFER, BUFFER_FOURS, AT, FOUR)                                                                      \
    (in_fours ? BUFFER_FOURS[(AT) / 4u + (FOUR)] : OWN_FOUR(BUFFER, AT, FOUR))

#define WRITE_FOUR(BUFFER, AT, FOUR, VALUE)                                                                            \
    [[unroll]] for (uint lane_element = 0u; lane_element < 4u; lane_element++)                                         \
        if (4u * (FOUR) + lane_element < head_size)                                                                    \
            BUFFER[(AT) + 4u * (FOUR) + lane_element] = (VALUE)[lane_element];
