/* unary.h: constants of unary.comp and unary_backward.comp. */
#ifndef TUFF_SHADERS_UNARY_H
#define TUFF_SHADERS_UNARY_H

#include "include/shared.h"

/* Specialization constant 3 */
#define TUFF_UNARY_GELU 0
#define TUFF_UNARY_GELU_TANH 1
#define TUFF_UNARY_SILU 2
#define TUFF_UNARY_TANH 3
#define TUFF_UNARY_RELU 4
#define TUFF_UNARY_SCALE 5

struct tuff_push_unary {
    tuff_uint count;
    tuff_float factor; /* of scale */
};
TUFF_PUSH_CONSTANTS(unary)

#endif
