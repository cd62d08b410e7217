/* embedding.h: push constants of embedding*.comp. */
#ifndef TUFF_SHADERS_EMBEDDING_H
#define TUFF_SHADERS_EMBEDDING_H

#include "include/shared.h"

struct tuff_push_embedding {
    tuff_uint tokens, columns;
    tuff_uint first_row, row_count; /* the window of the table that is bound */
    tuff_uint vocabulary;
    tuff_uint table_base, ids_base, out_base;
};
TUFF_PUSH_CONSTANTS(embedding)

struct tuff_push_embedding_last {
    tuff_uint tokens, ids_base;
};
TUFF_PUSH_CONSTANTS(embedding_last)

#endif
