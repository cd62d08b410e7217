/* optimizer.h: params of adamw; norm takes none. */
#ifndef TUFF_RUNTIME_OPS_OPTIMIZER_H
#define TUFF_RUNTIME_OPS_OPTIMIZER_H

#include <stdint.h>

/* tuff_adamw_info with its defaults applied. */
typedef struct tuff__adamw_params {
    float beta1, beta2;
    float rest1, rest2; /* 1 - beta1, 1 - beta2, from the decimals that the betas stand for */
    float eps;
    float weight_decay;
    int64_t decay_count;
    float max_grad_norm;
} tuff__adamw_params;

#endif
