/* cross_entropy.h: push constants of cross_entropy*.comp. */
#ifndef TUFF_SHADERS_CROSS_ENTROPY_H
#define TUFF_SHADERS_CROSS_ENTROPY_H

#include "include/shared.h"

/* Specialization constant 3 of cross_entropy.comp: invocations a row */

struct tuff_push_cross_entropy {
    tuff_uint rows, columns;
    tuff_uint base;     /* of the logits, and of their gradient */
    tuff_uint row_base; /* of labels, log-sum-exp and row losses */
    tuff_int ignore_index;
    tuff_float label_smoothing;
};
TUFF_PUSH_CONSTANTS(cross_entropy)

struct tuff_push_cross_entropy_sum {
    tuff_uint rows, columns;
    tuff_uint row_base;
    tuff_int ignore_index;
    tuff_uint accumulate; /* 1: add to what the outputs hold */
    tuff_uint finish;     /* 1: the last rows: divide by the count */
};
TUFF_PUSH_CONSTANTS(cross_entropy_sum)

#endif
