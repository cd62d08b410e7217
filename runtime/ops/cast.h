/* cast.h: params of cast. */
#ifndef TUFF_RUNTIME_OPS_CAST_H
#define TUFF_RUNTIME_OPS_CAST_H

#include "tuff/graph.h"

typedef struct tuff__cast_params {
    tuff_dtype dtype; /* of the result */
} tuff__cast_params;

#endif
