/* dropout.h: push constants of dropout.comp. */
#ifndef TUFF_SHADERS_DROPOUT_H
#define TUFF_SHADERS_DROPOUT_H

#include "include/shared.h"

struct tuff_push_dropout {
    tuff_uint count;
    tuff_uint first_block; /* of four elements */
    tuff_uint site;
    tuff_uint threshold;
    tuff_float scale;
};
TUFF_PUSH_CONSTANTS(dropout)

#endif
