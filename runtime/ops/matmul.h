/* matmul.h: what the matmul operator's parts share: parameters, positions of the inputs, and the sizes behind the
 * shapes. */
#ifndef TUFF_RUNTIME_MATMUL_H
#define TUFF_RUNTIME_MATMUL_H

#include "../op.h"

typedef struct tuff__matmul_params {
    bool transpose_a, transpose_b;
    tuff_activation activation;
    float alpha; /* the factor itself: tuff_matmul has replaced the default */
} tuff__matmul_params;

enum { TUFF__MATMUL_A = 0, TUFF__MATMUL_B = 1, TUFF__MATMUL_BIAS = 2, TUFF__MATMUL_RESIDUAL = 3 };

/* out[batch][m, n] = op(a[batch])·op(b[batch]); all tensors contiguous. Where b serves every batch of an untransposed
 * a, the batches are rows of one product. */
typedef struct tuff__matmul_sizes {
    int64_t batch, m, n, k;
    int64_t a_batch_stride, b_batch_stride; /* elements from one batch to the next; b's is 0 where it is shared */
} tuff__matmul_sizes;

tuff__matmul_sizes tuff__matmul_sizes_of(const tuff_op_call *call);

/* matmul_cpu.c */
void tuff__matmul_compute_fast(const tuff_op_call *call);

/* matmul_vk.c */
uint64_t tuff__matmul_workspace(const tuff_op_call *call, const tuff__target *target);
tuff_status tuff__matmul_record(const tuff_op_call *call, struct tuff__recorder *recorder);
enum { TUFF__MATMUL_VARIANT_COUNT = 3 };
extern const tuff__variant tuff__matmul_variants[TUFF__MATMUL_VARIANT_COUNT];

#endif
