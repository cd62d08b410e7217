/* shape.h: arithmetic on shapes. */
#ifndef TUFF_RUNTIME_SHAPE_H
#define TUFF_RUNTIME_SHAPE_H

#include "tuff/graph.h"

enum { TUFF__SHAPE_TEXT = 96 };

bool tuff__shape_equal(const tuff_shape *a, const tuff_shape *b);
/* "[2, 5, 257]" into text; returns text. */
const char *tuff__shape_text(const tuff_shape *shape, char text[TUFF__SHAPE_TEXT]);
/* Product of the dims [first, last). */
int64_t tuff__shape_product(const tuff_shape *shape, uint32_t first, uint32_t last);
/* The last dim, 1 for rank 0; and all before it multiplied. */
int64_t tuff__shape_columns(const tuff_shape *shape);
int64_t tuff__shape_rows(const tuff_shape *shape);
/* How many pieces of `size` hold `count`; both at least 1. */
static inline int64_t tuff__divide_up(int64_t count, int64_t size)
{
    return (count + size - 1) / size;
}
/* Dims positive (at least 1), rank within TUFF_MAX_RANK, count below 2^40. */
bool tuff__shape_valid(const tuff_shape *shape);

#endif
