/*
 * blas_stand_in.c: stands for the CBLAS in runs of test_blas. Its product is NaN unless its number of threads is 1, and
 * it fails the process that leaves it so. With TUFF_STAND_IN_OPENMP each calling thread has its own number; with
 * TUFF_STAND_IN_THREADS it is the process's, as if the application had chosen it before; with neither it is a library
 * without cblas_sgemm.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

int omp_get_max_threads(void);
void omp_set_num_threads(int count);
void cblas_sgemm(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a, int lda,
                 const float *b, int ldb, float beta, float *c, int ldc);
const char *openblas_get_config(void);
int openblas_get_num_threads(void);
void openblas_set_num_threads(int count);

EXPORT const char *openblas_get_config(void)
{
    return "stand-in 1.0";
}

enum { CHOSEN = 8, TRANSPOSE = 112 };

#ifdef TUFF_STAND_IN_OPENMP
static _Thread_local int threads = CHOSEN;

EXPORT int omp_get_max_threads(void)
{
    return threads;
}

EXPORT void omp_set_num_threads(int count)
{
    threads = count;
}
#endif

#ifdef TUFF_STAND_IN_THREADS
static int threads = CHOSEN;

EXPORT int openblas_get_num_threads(void)
{
    return threads;
}

EXPORT void openblas_set_num_threads(int count)
{
    threads = count;
}

__attribute__((constructor)) static void check_environment(void)
{
    const char *count = getenv("OPENBLAS_NUM_THREADS");
    if (count && !strcmp(count, "1"))
        return;
    fprintf(stderr, "opened with OPENBLAS_NUM_THREADS=%s, wanted 1\n", count ? count : "");
    _Exit(1);
}
#endif

#if defined(TUFF_STAND_IN_OPENMP) || defined(TUFF_STAND_IN_THREADS)

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
    fprintf(stderr, "left with %d threads, wanted %d\n", threads, CHOSEN);
    _Exit(1);
}
#endif
