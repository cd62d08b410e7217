/* fill.h: push constants of fill.comp. */
#ifndef TUFF_SHADERS_FILL_H
#define TUFF_SHADERS_FILL_H

#include "include/shared.h"

struct tuff_push_fill {
    tuff_uint count; /* 32-bit words */
    tuff_uint word;
};
TUFF_PUSH_CONSTANTS(fill)

#endif
