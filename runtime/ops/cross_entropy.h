/* cross_entropy.h: params of cross_entropy and its gradient. */
#ifndef TUFF_RUNTIME_OPS_CROSS_ENTROPY_H
#define TUFF_RUNTIME_OPS_CROSS_ENTROPY_H

#include <stdint.h>

typedef struct tuff__cross_entropy_params {
    float label_smoothing; /* 0 to 1 */
    int32_t ignore_index;  /* rows with this label are left out: -100 */
} tuff__cross_entropy_params;

#endif
