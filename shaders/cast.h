/* cast.h: constants of cast.comp. */
#ifndef TUFF_SHADERS_CAST_H
#define TUFF_SHADERS_CAST_H

#include "include/shared.h"

/* Specialization constants 3 (from) and 4 (to): values of tuff_dtype */
#define TUFF_CAST_F32 0
#define TUFF_CAST_F16 1
#define TUFF_CAST_BF16 2
#define TUFF_CAST_I32 3

struct tuff_push_cast {
    tuff_uint count;
};
TUFF_PUSH_CONSTANTS(cast)

#endif
