/* unary.h: constants of unary.comp and unary_backward.comp. */
#ifndef TUFF_SHADERS_UNARY_H
#define TUFF_SHADERS_UNARY_H

#include "include/shared.h"

/* Specialization constant 3; the first five are tuff_activation, which unary.c asserts. */
#define TUFF_UNARY_GELU 1u
#define TUFF_UNARY_GELU_TANH 2u
#define TUFF_UNARY_SILU 3u
#define TUFF_UNARY_TANH 4u
#define TUFF_UNARY_RELU 5u
#define TUFF_UNARY_SCALE 6u

struct tuff_push_unary {
    tuff_uint count;
    tuff_float factor; /* of scale */
};
TUFF_PUSH_CONSTANTS(unary)

#endif
