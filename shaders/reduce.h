/* reduce.h: constants of reduce_row.comp, reduce_column.comp and max_backward.comp. A tensor is seen as [outer, n,
 * inner], with n to be reduced in chunks. */
#ifndef TUFF_SHADERS_REDUCE_H
#define TUFF_SHADERS_REDUCE_H

#include "include/shared.h"

/* Specialization constant 3 */
#define TUFF_REDUCE_SUM 0
#define TUFF_REDUCE_MAX 1
/* Specialization constant 5, of reduce_row.comp: invocations a row; 4, of TUFF_REDUCE_MAX: bits */
#define TUFF_REDUCE_READS_INDICES 1 /* the input is partial maxima with their indices */
#define TUFF_REDUCE_WRITES_VALUES 2
#define TUFF_REDUCE_WRITES_INDICES 4

struct tuff_push_reduce {
    tuff_uint outer, n, inner;
    tuff_uint chunk, chunks; /* of n: elements in one, and how many of them */
    tuff_uint n_first;       /* index of the first of the n */
    tuff_uint in_base, out_base;
    tuff_float scale; /* of sums */
};
TUFF_PUSH_CONSTANTS(reduce)

struct tuff_push_max_backward {
    tuff_uint count;
    tuff_uint first; /* index of the first element, counted from its outer slab on */
    tuff_uint n, inner;
    tuff_uint base, reduced_base;
};
TUFF_PUSH_CONSTANTS(max_backward)

#endif
