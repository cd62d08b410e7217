/* reduce.h: params of the reductions over one dimension. */
#ifndef TUFF_RUNTIME_OPS_REDUCE_H
#define TUFF_RUNTIME_OPS_REDUCE_H

#include "tuff/graph.h"

typedef struct tuff__reduce_params {
    uint32_t dim;
} tuff__reduce_params;

typedef struct tuff__max_backward_params {
    tuff_shape shape; /* of what was reduced */
    uint32_t dim;
} tuff__max_backward_params;

#endif
