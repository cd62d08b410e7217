/* math_check.h: constants of math_check.comp. */
#ifndef TUFF_SHADERS_MATH_CHECK_H
#define TUFF_SHADERS_MATH_CHECK_H

#include "include/shared.h"

/* Specialization constant 3 */
#define TUFF_MATH_EXP 0
#define TUFF_MATH_LOG 1
#define TUFF_MATH_TANH 2
#define TUFF_MATH_ERF 3
#define TUFF_MATH_SIGMOID 4
#define TUFF_MATH_SQRT 5
#define TUFF_MATH_RSQRT 6
#define TUFF_MATH_DIVIDE 7
#define TUFF_MATH_GELU 8
#define TUFF_MATH_GELU_GRADIENT 9
#define TUFF_MATH_GELU_TANH 10
#define TUFF_MATH_GELU_TANH_GRADIENT 11
#define TUFF_MATH_SILU 12
#define TUFF_MATH_SILU_GRADIENT 13
#define TUFF_MATH_COUNT 14

struct tuff_push_math_check {
    tuff_uint count;
};
TUFF_PUSH_CONSTANTS(math_check)

#endif
