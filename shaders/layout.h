/* layout.h: push constants of strided_copy.comp; its specialization constant 3 says whether
 * both sides are contiguous. */
#ifndef TUFF_SHADERS_LAYOUT_H
#define TUFF_SHADERS_LAYOUT_H

#include "include/shared.h"

struct tuff_push_strided_copy {
    tuff_uint count;
    tuff_uint first;                              /* index in the box of the first element of this dispatch */
    tuff_uint dim1, dim2, dim3;                   /* of the box; the slowest needs no division */
    tuff_uint source0, source1, source2, source3; /* strides */
    tuff_uint source_offset;
    tuff_uint target0, target1, target2, target3;
    tuff_uint target_offset;
    tuff_uint source_first, source_count, source_base; /* the windows that are bound */
    tuff_uint target_first, target_count, target_base;
};
TUFF_PUSH_CONSTANTS(strided_copy)

#endif
