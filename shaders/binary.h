/* binary.h: constants of binary.comp. */
#ifndef TUFF_SHADERS_BINARY_H
#define TUFF_SHADERS_BINARY_H

#include "include/shared.h"

/* Specialization constant 3 */
#define TUFF_BINARY_ADD 0
#define TUFF_BINARY_MUL 1
/* Specialization constant 4: 1 where b is broadcast */

struct tuff_push_binary {
    tuff_uint count;
    tuff_uint first;                              /* index in a of the bound window's first element */
    tuff_uint dim1, dim2, dim3;                   /* of a; the slowest needs no division */
    tuff_uint stride0, stride1, stride2, stride3; /* of b, 0 where it repeats */
    tuff_uint b_first, b_count, b_base;           /* the window of b that is bound */
};
TUFF_PUSH_CONSTANTS(binary)

#endif
