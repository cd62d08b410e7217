/* blas.h: f32 matrix product of the CPU device: a CBLAS loaded at run time, else our own loops. */
#ifndef TUFF_RUNTIME_BLAS_H
#define TUFF_RUNTIME_BLAS_H

#include "../status.h"

/* C = alpha·op(A)·op(B) + beta·C, row-major, one thread, callable from several at once.
 * op(A) is [m, k] (stored [k, m] where transpose_a), op(B) is [k, n]; ld* count elements between stored rows. */
typedef struct tuff__sgemm_call {
    bool transpose_a, transpose_b;
    int64_t m, n, k;
    float alpha;
    const float *a;
    int64_t lda;
    const float *b;
    int64_t ldb;
    float beta;
    float *c;
    int64_t ldc;
} tuff__sgemm_call;
/* By the CBLAS while a CPU device has taken it. */
void tuff__sgemm(const tuff__sgemm_call *call);
/* The same by our own loops, even where a CBLAS is loaded. */
void tuff__sgemm_own(const tuff__sgemm_call *call);

/* A CPU device takes the CBLAS when it is made and gives it back at its end; nobody else needs it. While one has it,
 * OpenBLAS has one thread; with the last one gone, as many as the application had chosen. */
void tuff__blas_take(void);
void tuff__blas_give_back(void);

/* "OpenBLAS 0.3.21 SkylakeX" or "tuff's own loops": what tuff__sgemm uses; loads it, and leaves its threads alone. */
const char *tuff__blas_name(void);

#endif
