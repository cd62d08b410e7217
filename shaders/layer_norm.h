/* layer_norm.h: push constants of layer_norm*.comp. */
#ifndef TUFF_SHADERS_LAYER_NORM_H
#define TUFF_SHADERS_LAYER_NORM_H

#include "include/shared.h"

/* Specialization constant 3 of layer_norm.comp and layer_norm_backward.comp: invocations a row; 4 of layer_norm.comp:
 * whether a residual is added and the sum stored. */

struct tuff_push_layer_norm {
    tuff_uint rows, columns;
    tuff_uint base, row_base; /* of the first element, of the first row's statistics */
    tuff_float eps;
};
TUFF_PUSH_CONSTANTS(layer_norm)

struct tuff_push_layer_norm_affine {
    tuff_uint rows, columns;
    tuff_uint base, row_base;
    tuff_uint chunk_rows; /* rows that one workgroup sums up */
};
TUFF_PUSH_CONSTANTS(layer_norm_affine)

struct tuff_push_layer_norm_affine_sum {
    tuff_uint chunks, columns;
    tuff_uint accumulate; /* 1: add to what the outputs hold */
};
TUFF_PUSH_CONSTANTS(layer_norm_affine_sum)

#endif
