/*
 * blas_stand_in.c: stands for the CBLAS in runs of test_blas. As one built with OpenMP, whose product is NaN unless the
 * calling thread has set its number of threads to 1, and which fails the process that leaves it so; or, without
 * TUFF_STAND_IN_OPENMP, as a library without cblas_sgemm.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))

int omp_get_max_threads(void);
void omp_set_num_threads(int count);
void cblas_sgemm(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a, int lda,
                 const float *b, int ldb, float beta, float *c, int ldc);
const char *openblas_get_config(void);

EXPORT const char *openblas_get_config(void)
{
    return "stand-in 1.0";
}

#ifdef TUFF_STAND_IN_OPENMP
enum { CHOSEN = 8, TRANSPOSE = 112 };
static _Thread_local int threads = CHOSEN;

EXPORT int omp_get_max_threads(void)
{
    return threads;
}

EXPORT void omp_set_num_threads(int count)
{
    threads = count;
}

EXPORT void cblas_sgemm(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a,
                        int lda, const float *b, int ldb, float beta, float *c, int ldc)
{
    (void)order;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = threads == 1 ? 0 : (double)NAN;
            for (int p = 0; p < k; p++)
                sum += (double)a[transpose_a == TRANSPOSE ? p * lda + i : i * lda + p] *
                       (double)b[transpose_b == TRANSPOSE ? j * ldb + p : p * ldb + j];
            c[i * ldc + j] = (float)((double)alpha * sum + (beta != 0 ? (double)(beta * c[i * ldc + j]) : 0));
        }
}

__attribute__((destructor)) static void check_restored(void)
{
    if (threads == CHOSEN)
        return;
    fprintf(stderr, "the calling thread is left with %d OpenMP threads, wanted %d\n", threads, CHOSEN);
    _Exit(1);
}
#endif
