/* layout.h: params of the operators that move elements without changing them. */
#ifndef TUFF_RUNTIME_OPS_LAYOUT_H
#define TUFF_RUNTIME_OPS_LAYOUT_H

#include "tuff/graph.h"

typedef struct tuff__full_params {
    tuff_shape shape;
    float value;
} tuff__full_params;

typedef struct tuff__reshape_params {
    tuff_shape shape;
} tuff__reshape_params;

typedef struct tuff__transpose_params {
    uint32_t permutation[TUFF_MAX_RANK]; /* result.dims[i] = x.dims[permutation[i]] */
} tuff__transpose_params;

typedef struct tuff__slice_params {
    uint32_t dim;
    int64_t start, length;
} tuff__slice_params;

typedef struct tuff__slice_backward_params {
    tuff_shape shape; /* of what was sliced */
    uint32_t dim;
    int64_t start;
} tuff__slice_backward_params;

typedef struct tuff__concat_params {
    uint32_t dim;
} tuff__concat_params;

typedef struct tuff__expand_params {
    uint32_t dim;
    int64_t length;
} tuff__expand_params;

#endif
