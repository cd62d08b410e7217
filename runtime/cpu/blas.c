/*
 * blas.c: owns the f32 matrix product of one thread. It loads the CBLAS that the build found, for the first CPU device,
 * and has loops of its own for machines without one. It starts no threads: the CPU device cuts the work (see
 * ops/matmul_cpu.c).
 *
 * The application may use the same CBLAS, and the environment is its own: what is changed in either is put back.
 *
 * Our loops, after Goto & van de Geijn 2008: a block of op(A) and a panel of op(B) are packed into arrays that stay in
 * the first two cache levels, and a register tile of MR x NR sums runs over them. All of it fits the stack, so that
 * running a graph allocates nothing.
 */
#include "blas.h"

#include "../log.h"
#include "../os.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#if defined(__GNUC__) && defined(__x86_64__)
#define X86_KERNELS 1
#define CPU_HAS(feature) __builtin_cpu_supports(feature)
#else
#define X86_KERNELS 0
#endif

/* -- our own loops ------------------------------------------------------------------------------------------------ */

enum {
    BLOCK_K = 192, /* depth of a packed block: a panel of 32 columns is 24 KiB */
    BLOCK_M = 72,  /* rows of a packed block, a multiple of every MR: 54 KiB */
    MAX_NR = 32,
    MAX_MR = 12,
};

/* tile[MR][NR] = sum over depth of a[depth][MR]·b[depth][NR] */
typedef void (*tile_function)(int64_t depth, const float *a, const float *b, float *tile);

typedef struct tile_kernel {
    const char *name;
    int64_t rows, columns; /* MR, NR */
    tile_function run;
} tile_kernel;

/* The sums must live in registers, so the loops over them have constant bounds; each instruction set has its own size:
 * sums + one row of b + one of a below the number of vector registers. */
#define TILE_KERNEL(function, MR, NR)                                                                                  \
    static void function(int64_t depth, const float *restrict a, const float *restrict b, float *restrict tile)        \
    {                                                                                                                  \
        float sums[MR][NR];                                                                                            \
        for (int i = 0; i < (MR); i++)                                                                                 \
            for (int j = 0; j < (NR); j++)                                                                             \
                sums[i][j] = 0;                                                                                        \
        for (int64_t p = 0; p < depth; p++, a += (MR), b += (NR))                                                      \
            for (int i = 0; i < (MR); i++)                                                                             \
                for (int j = 0; j < (NR); j++)                                                                         \
                    sums[i][j] += a[i] * b[j];                                                                         \
        for (int i = 0; i < (MR); i++)                                                                                 \
            for (int j = 0; j < (NR); j++)                                                                             \
                tile[i * (NR) + j] = sums[i][j];                                                                       \
    }

TILE_KERNEL(tile_portable, 4, 8)
static const tile_kernel portable_kernel = {"tuff's own loops", 4, 8, tile_portable};

#if X86_KERNELS
__attribute__((target("avx2,fma"))) TILE_KERNEL(tile_avx2, 6, 16) __attribute__((target("avx512f")))
TILE_KERNEL(tile_avx512, 12, 32) static const tile_kernel avx2_kernel = {"tuff's own loops, AVX2", 6, 16, tile_avx2};
static const tile_kernel avx512_kernel = {"tuff's own loops, AVX-512", 12, 32, tile_avx512};
#endif

static const tile_kernel *choose_kernel(void)
{
#if X86_KERNELS
    if (CPU_HAS("avx512f"))
        return &avx512_kernel;
    if (CPU_HAS("avx2") && CPU_HAS("fma"))
        return &avx2_kernel;
#endif
    return &portable_kernel;
}

/* packed[ceil(rows/width)][depth][width] from element (row, p) at source[row*row_stride + p*depth_stride], padded with
 * zeros: a block of op(A) and, with rows meaning columns, one of op(B). */
static void pack(const float *source, int64_t row_stride, int64_t depth_stride, int64_t rows, int64_t depth,
                 int64_t width, float *packed)
{
    for (int64_t first = 0; first < rows; first += width) {
        const int64_t here = rows - first < width ? rows - first : width;
        const float *from = source + first * row_stride;
        if (here < width)
            memset(packed, 0, (size_t)(width * depth) * sizeof *packed);
        if (row_stride == 1)
            for (int64_t p = 0; p < depth; p++)
                memcpy(packed + p * width, from + p * depth_stride, (size_t)here * sizeof *packed);
        else
            for (int64_t row = 0; row < here; row++)
                for (int64_t p = 0; p < depth; p++)
                    packed[p * width + row] = from[row * row_stride + p * depth_stride];
        packed += width * depth;
    }
}

static void store_tile(const tuff__sgemm_call *call, const tile_kernel *kernel, int64_t row, int64_t column,
                       const float *tile)
{
    const int64_t rows = call->m - row < kernel->rows ? call->m - row : kernel->rows;
    const int64_t columns = call->n - column < kernel->columns ? call->n - column : kernel->columns;
    for (int64_t i = 0; i < rows; i++) {
        float *c = call->c + (row + i) * call->ldc + column;
        const float *sums = tile + i * kernel->columns;
        for (int64_t j = 0; j < columns; j++)
            c[j] += call->alpha * sums[j];
    }
}

/* C += alpha·op(A)·op(B) for a block of rows and a block of the depth. */
static void run_block(const tuff__sgemm_call *call, const tile_kernel *kernel, int64_t row, int64_t start)
{
    float a[BLOCK_M * BLOCK_K], b[MAX_NR * BLOCK_K], tile[MAX_MR * MAX_NR];
    const int64_t rows = call->m - row < BLOCK_M ? call->m - row : BLOCK_M;
    const int64_t depth = call->k - start < BLOCK_K ? call->k - start : BLOCK_K;
    const int64_t a_row = call->transpose_a ? 1 : call->lda, a_depth = call->transpose_a ? call->lda : 1;
    const int64_t b_column = call->transpose_b ? call->ldb : 1, b_depth = call->transpose_b ? 1 : call->ldb;
    pack(call->a + row * a_row + start * a_depth, a_row, a_depth, rows, depth, kernel->rows, a);
    for (int64_t column = 0; column < call->n; column += kernel->columns) {
        const int64_t columns = call->n - column < kernel->columns ? call->n - column : kernel->columns;
        pack(call->b + column * b_column + start * b_depth, b_column, b_depth, columns, depth, kernel->columns, b);
        for (int64_t i = 0; i < rows; i += kernel->rows) {
            kernel->run(depth, a + i * depth, b, tile);
            store_tile(call, kernel, row + i, column, tile);
        }
    }
}

static void scale_result(const tuff__sgemm_call *call)
{
    for (int64_t i = 0; i < call->m; i++) {
        float *c = call->c + i * call->ldc;
        if (call->beta == 0) /* what is there may be NaN */
            memset(c, 0, (size_t)call->n * sizeof *c);
        else if (call->beta != 1)
            for (int64_t j = 0; j < call->n; j++)
                c[j] *= call->beta;
    }
}

void tuff__sgemm_own(const tuff__sgemm_call *call)
{
    if (call->m <= 0 || call->n <= 0)
        return;
    const tile_kernel *kernel = choose_kernel();
    scale_result(call);
    for (int64_t row = 0; row < call->m; row += BLOCK_M)
        for (int64_t start = 0; start < call->k; start += BLOCK_K)
            run_block(call, kernel, row, start);
}

/* -- the CBLAS ---------------------------------------------------------------------------------------------------- */

enum { CBLAS_ROW_MAJOR = 101, CBLAS_NO_TRANSPOSE = 111, CBLAS_TRANSPOSE = 112 };

typedef void (*cblas_sgemm_function)(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                                     const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);
typedef void (*set_threads_function)(int count);
typedef int (*get_threads_function)(void);
typedef const char *(*text_function)(void);

static tuff__once load_once = TUFF__ONCE_INIT;
static cblas_sgemm_function cblas_sgemm;
/* OpenBLAS's number of threads for the whole process; NULL of another library, and of one built with OpenMP. */
static get_threads_function get_threads;
static set_threads_function set_threads;
/* Of a library built with OpenMP, else NULL: there, each thread that calls has a number of threads of its own. */
static get_threads_function omp_get_max_threads;
static set_threads_function omp_set_num_threads;
static char blas_name[160];

#ifdef TUFF_CBLAS_LIBRARY
/* ISO C has no conversion from void * to a function pointer; the systems that have tuff__library_symbol promise that
 * the representation is the same. */
static void load_symbol(tuff__library *library, const char *name, void *out_function, size_t size)
{
    void *symbol = tuff__library_symbol(library, name);
    memcpy(out_function, &symbol, size);
}

/* "OpenBLAS 0.3.21 SkylakeX" from "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ... SkylakeX MAX_THREADS=64". */
static void describe_library(tuff__library *library)
{
    text_function get_config, get_corename;
    load_symbol(library, "openblas_get_config", &get_config, sizeof get_config);
    load_symbol(library, "openblas_get_corename", &get_corename, sizeof get_corename);
    const char *config = get_config ? get_config() : NULL;
    if (!config) {
        snprintf(blas_name, sizeof blas_name, "%s", TUFF_CBLAS_LIBRARY);
        return;
    }
    const char *space = strchr(config, ' ');
    const size_t first_word = space ? (size_t)(space - config) + 1 : strlen(config);
    const int length = (int)(first_word + strcspn(config + first_word, " "));
    snprintf(blas_name, sizeof blas_name, "%.*s %s", length, config, get_corename ? get_corename() : "");
}

/* OpenBLAS asks again without end for a work buffer (32 MiB for each thread that calls it) that it does not get, so a
 * process that may not have much memory goes without it. 64 MiB: the library itself and what it allocates at first.
 * 128 MiB for each thread: glibc maps as much to place a thread's heap, at any time, and may do so first. */
static bool has_room(void)
{
    return tuff__has_address_space(((size_t)64 << 20) + ((size_t)tuff__cpu_count() + 1) * ((size_t)160 << 20));
}

/* What OpenBLAS has once it keeps, so it gets a buffer for each processor while there is room: later the room may be
 * gone. */
static void take_work_buffers(tuff__library *library)
{
    enum { MOST = 64 };
    void *(*take)(int position);
    void (*give_back)(void *buffer);
    load_symbol(library, "blas_memory_alloc", &take, sizeof take);
    load_symbol(library, "blas_memory_free", &give_back, sizeof give_back);
    void *buffers[MOST];
    const uint32_t wanted = tuff__cpu_count(), count = wanted < MOST ? wanted : MOST;
    for (uint32_t i = 0; take && give_back && i < count; i++)
        buffers[i] = take(0);
    for (uint32_t i = 0; take && give_back && i < count; i++)
        give_back(buffers[i]);
}

/* OpenBLAS reads the environment while it is opened, and only then. It stays open: its threads cannot be unloaded. */
static tuff__library *open_library(void)
{
    bool core_set = false;
#if X86_KERNELS
    /* OpenBLAS up to 0.3.2x takes AMD's and unknown CPUs with AVX-512 for Haswell, at half their speed. */
    if (CPU_HAS("avx512f") && CPU_HAS("avx512bw") && CPU_HAS("avx512dq") && CPU_HAS("avx512vl"))
        core_set = tuff__environment_default("OPENBLAS_CORETYPE", "SkylakeX");
#endif
    /* Else it starts a thread a processor while loading, which we would never use. */
    const bool threads_set = tuff__environment_default("OPENBLAS_NUM_THREADS", "1");
    tuff__library *library = tuff__library_open(TUFF_CBLAS_LIBRARY);
    if (core_set)
        tuff__environment_unset("OPENBLAS_CORETYPE");
    if (threads_set)
        tuff__environment_unset("OPENBLAS_NUM_THREADS");
    return library;
}

static void load_threads_functions(tuff__library *library)
{
    load_symbol(library, "omp_get_max_threads", &omp_get_max_threads, sizeof omp_get_max_threads);
    load_symbol(library, "omp_set_num_threads", &omp_set_num_threads, sizeof omp_set_num_threads);
    if (omp_set_num_threads)
        return;
    load_symbol(library, "openblas_get_num_threads", &get_threads, sizeof get_threads);
    load_symbol(library, "openblas_set_num_threads", &set_threads, sizeof set_threads);
}

static void load_cblas(void)
{
    if (!has_room()) {
        tuff__log(TUFF_LOG_WARNING,
                  "blas: this process may have too little memory for %s, so matrix products take slower loops",
                  TUFF_CBLAS_LIBRARY);
        return;
    }
    tuff__library *library = open_library();
    if (!library) {
        tuff__log(TUFF_LOG_WARNING, "blas: %s is not on this machine, so matrix products take slower loops",
                  TUFF_CBLAS_LIBRARY);
        return;
    }
    load_symbol(library, "cblas_sgemm", &cblas_sgemm, sizeof cblas_sgemm);
    if (!cblas_sgemm) {
        tuff__log(TUFF_LOG_WARNING, "blas: %s has no cblas_sgemm, so matrix products take slower loops",
                  TUFF_CBLAS_LIBRARY);
        return;
    }
    load_threads_functions(library);
    take_work_buffers(library);
    describe_library(library);
}
#endif

static void load_library(void)
{
    snprintf(blas_name, sizeof blas_name, "%s", choose_kernel()->name);
#ifdef TUFF_CBLAS_LIBRARY
    load_cblas();
#endif
}

const char *tuff__blas_name(void)
{
    tuff__call_once(&load_once, load_library);
    return blas_name;
}

static uint32_t user_count;
static int threads_before; /* what the application has chosen, while we have one */

/* Our threads call it at the same time, each for a part of the work. */
static void take_threads(void)
{
    const int threads = get_threads && set_threads ? get_threads() : 1;
    if (user_count++ == 0 || threads > 1) /* or chosen anew since the first device was made */
        threads_before = threads;
    if (threads > 1)
        set_threads(1);
}

static void give_threads_back(void)
{
    if (--user_count == 0 && threads_before > 1 && get_threads() == 1)
        set_threads(threads_before);
}

void tuff__blas_take(void)
{
    tuff__call_once(&load_once, load_library);
    tuff__call_alone(take_threads);
}

void tuff__blas_give_back(void)
{
    tuff__call_alone(give_threads_back);
}

static bool fits_int(const tuff__sgemm_call *call)
{
    return call->m <= INT_MAX && call->n <= INT_MAX && call->k <= INT_MAX && call->lda <= INT_MAX &&
           call->ldb <= INT_MAX && call->ldc <= INT_MAX;
}

void tuff__sgemm(const tuff__sgemm_call *call)
{
    if (call->m <= 0 || call->n <= 0)
        return;
    if (!cblas_sgemm || !fits_int(call)) {
        tuff__sgemm_own(call);
        return;
    }
    /* One thread, and what the application has chosen for this one put back. */
    const int threads = omp_get_max_threads && omp_set_num_threads ? omp_get_max_threads() : 1;
    if (threads > 1)
        omp_set_num_threads(1);
    cblas_sgemm(CBLAS_ROW_MAJOR, call->transpose_a ? CBLAS_TRANSPOSE : CBLAS_NO_TRANSPOSE,
                call->transpose_b ? CBLAS_TRANSPOSE : CBLAS_NO_TRANSPOSE, (int)call->m, (int)call->n, (int)call->k,
                call->alpha, call->a, (int)call->lda, call->b, (int)call->ldb, call->beta, call->c, (int)call->ldc);
    if (threads > 1)
        omp_set_num_threads(threads);
}
