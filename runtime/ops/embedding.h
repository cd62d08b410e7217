/* embedding.h: params of embedding_backward; embedding takes none. */
#ifndef TUFF_RUNTIME_OPS_EMBEDDING_H
#define TUFF_RUNTIME_OPS_EMBEDDING_H

#include <stdint.h>

typedef struct tuff__embedding_backward_params {
    int64_t vocabulary; /* rows of the table */
} tuff__embedding_backward_params;

#endif
