/* optimizer.h: push constants of norm*.comp and adamw.comp. */
#ifndef TUFF_SHADERS_OPTIMIZER_H
#define TUFF_SHADERS_OPTIMIZER_H

#include "include/shared.h"

#define TUFF_NORM_BLOCK 4096 /* elements whose squares one workgroup sums up */

struct tuff_push_norm {
    tuff_uint count;
    tuff_uint base; /* of the partial sums */
};
TUFF_PUSH_CONSTANTS(norm)

struct tuff_push_norm_sum {
    tuff_uint count;
    tuff_uint accumulate; /* 1: add to what the output holds */
    tuff_uint finish;     /* 1: the last partial sums: take the root */
};
TUFF_PUSH_CONSTANTS(norm_sum)

/* Specialization constant 3 of adamw.comp: 1 where gradients are clipped by the norm */
struct tuff_push_adamw {
    tuff_uint count;
    tuff_uint decay_count; /* of these, the first are decayed */
    tuff_float beta2;
    tuff_float rest1, rest2;
    tuff_float eps;
    tuff_float weight_decay;
    tuff_float max_grad_norm;
};
TUFF_PUSH_CONSTANTS(adamw)

#endif
