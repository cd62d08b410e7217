/* dropout.h: params of dropout. */
#ifndef TUFF_RUNTIME_OPS_DROPOUT_H
#define TUFF_RUNTIME_OPS_DROPOUT_H

#include <stdint.h>

typedef struct tuff__dropout_params {
    float p;       /* 0 <= p < 1 */
    uint32_t site; /* tells the random operators of a graph apart */
} tuff__dropout_params;

#endif
