/* matmul.h: push constants and specialization constants of the matmul kernels, for C and GLSL. */
#ifndef TUFF_SHADERS_MATMUL_H
#define TUFF_SHADERS_MATMUL_H

#include "include/shared.h"

/* One dispatch: a part of the product that fits the bindings. Bases count elements from a binding's start to the
 * part. */
struct tuff_push_matmul {
    tuff_uint m, n, k;                   /* of this part */
    tuff_uint lda, ldb, ldc;             /* elements from one stored row to the next */
    tuff_uint a_batch, b_batch, c_batch; /* elements from one batch to the next */
    tuff_uint a_base, b_base, bias_base, residual_base, c_base;
    tuff_uint splits, split_k; /* k is cut into `splits` pieces of split_k, each a workgroup of its own in z */
    tuff_float alpha;
};
TUFF_PUSH_CONSTANTS(matmul)

/* TUFF_MATMUL_ADD_*: bits of the specialization constant TUFF_MATMUL_EPILOGUE. */
#define TUFF_MATMUL_ADD_BIAS 1u
#define TUFF_MATMUL_ADD_RESIDUAL 2u
#define TUFF_MATMUL_ADD_RESULT 4u /* what an earlier dispatch left in out: k did not fit one binding */
#define TUFF_MATMUL_PARTIAL 8u    /* out is partial sums [batch][split][m][n]; matmul_reduce applies the rest */

/* Ids of specialization constants. */
#define TUFF_MATMUL_TRANSPOSE_A 3
#define TUFF_MATMUL_TRANSPOSE_B 4
#define TUFF_MATMUL_EPILOGUE 5
#define TUFF_MATMUL_ACTIVATION 6 /* tuff_activation */
#define TUFF_MATMUL_VECTORS 7    /* bit 0: a, bit 1: b may be read four elements at a time */

#endif
