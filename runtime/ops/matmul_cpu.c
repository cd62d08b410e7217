/*
 * matmul_cpu.c: owns the matrix product of the CPU device. The result is cut into parts, each a product of one thread
 * (cpu/blas.h) whose bias, activation and residual are applied while the part is in the cache.
 */
#include "matmul.h"

#include "../cpu/blas.h"
#include "../cpu/cpu_pool.h"
#include "../cpu/simd.h"

/* Rows of a part, where there are enough. A CBLAS packs all of op(b) for each product: at 256 rows that costs 4 % of
 * OpenBLAS's speed, at 64 it costs 15 % (EPYC Zen 4, 4096 x 384 x 384 and 1024³). */
enum { PART_ROWS = 256, PARTS_PER_THREAD = 4, PART_ALIGNMENT = 16, SERIAL_FLOPS = 200000 };

typedef struct matmul_job {
    const tuff_op_call *call;
    tuff__matmul_sizes sizes;
    int64_t rows, columns;           /* of a part */
    int64_t row_parts, column_parts; /* of one batch's result */
} matmul_job;

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The size that cuts `count` into about `parts` aligned pieces, and how many that makes. */
static int64_t cut(int64_t count, int64_t parts, int64_t *out_parts)
{
    const int64_t aligned = tuff__divide_up(tuff__divide_up(count, parts), PART_ALIGNMENT) * PART_ALIGNMENT;
    const int64_t size = parts <= 1 ? count : least(aligned, count);
    *out_parts = tuff__divide_up(count, size);
    return size;
}

static matmul_job plan_job(const tuff_op_call *call)
{
    matmul_job job = {.call = call, .sizes = tuff__matmul_sizes_of(call)};
    const tuff__matmul_sizes *s = &job.sizes;
    const int64_t threads = (int64_t)tuff__pool_thread_count(call->pool);
    int64_t row_parts = least(s->m / PART_ROWS, threads * PARTS_PER_THREAD), column_parts = 1;
    if (row_parts < 1 || threads == 1)
        row_parts = 1;
    if (row_parts > threads) /* three parts on two threads take as long as four */
        row_parts = tuff__divide_up(row_parts, threads) * threads;
    /* Too few for the threads: smaller parts of the longer side. */
    if (s->batch * row_parts < threads && (double)s->m * (double)s->n * (double)s->k > SERIAL_FLOPS) {
        const int64_t wanted = tuff__divide_up(threads, s->batch);
        if (s->m >= s->n)
            row_parts = wanted;
        else
            column_parts = tuff__divide_up(wanted, row_parts);
    }
    job.rows = cut(s->m, row_parts, &job.row_parts);
    job.columns = cut(s->n, column_parts, &job.column_parts);
    return job;
}

/* -- the epilogue of one row -------------------------------------------------------------------------------------- */

TUFF__SIMD static void add_row(float *restrict out, const float *restrict x, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        out[i] += x[i];
}

#define ACTIVATE_ROW(name, function)                                                                                   \
    TUFF__SIMD static void name(float *out, int64_t count)                                                             \
    {                                                                                                                  \
        for (int64_t i = 0; i < count; i++)                                                                            \
            out[i] = function(out[i]);                                                                                 \
    }
ACTIVATE_ROW(gelu_row, tuff__geluf)
ACTIVATE_ROW(gelu_tanh_row, tuff__gelu_tanhf)
ACTIVATE_ROW(silu_row, tuff__siluf)
ACTIVATE_ROW(tanh_row, tuff__tanhf)

TUFF__SIMD static void relu_row(float *out, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = out[i] < 0 ? 0 : out[i]; /* NaN stays */
}

static void activate_row(tuff_activation activation, float *out, int64_t count)
{
    switch (activation) {
    case TUFF_ACTIVATION_NONE:
        break;
    case TUFF_ACTIVATION_GELU:
        gelu_row(out, count);
        break;
    case TUFF_ACTIVATION_GELU_TANH:
        gelu_tanh_row(out, count);
        break;
    case TUFF_ACTIVATION_SILU:
        silu_row(out, count);
        break;
    case TUFF_ACTIVATION_TANH:
        tanh_row(out, count);
        break;
    case TUFF_ACTIVATION_RELU:
        relu_row(out, count);
        break;
    }
}

/* -- one part ----------------------------------------------------------------------------------------------------- */

static void run_part(void *user, size_t index, uint32_t thread)
{
    (void)thread;
    const matmul_job *job = user;
    const tuff_op_call *call = job->call;
    const tuff__matmul_params *params = call->params;
    const tuff__matmul_sizes *s = &job->sizes;
    const int64_t part = (int64_t)index, column = part % job->column_parts * job->columns;
    const int64_t row = part / job->column_parts % job->row_parts * job->rows;
    const int64_t batch = part / (job->column_parts * job->row_parts);
    const int64_t rows = least(job->rows, s->m - row), columns = least(job->columns, s->n - column);
    const int64_t out_start = (batch * s->m + row) * s->n + column;
    float *out = (float *)call->outputs[0].data + out_start;
    tuff__sgemm(&(tuff__sgemm_call){
        .transpose_a = params->transpose_a,
        .transpose_b = params->transpose_b,
        .m = rows,
        .n = columns,
        .k = s->k,
        .alpha = params->alpha,
        .a = (const float *)call->inputs[TUFF__MATMUL_A].data + batch * s->a_batch_stride +
             row * (params->transpose_a ? 1 : s->k),
        .lda = params->transpose_a ? s->m : s->k,
        .b = (const float *)call->inputs[TUFF__MATMUL_B].data + batch * s->b_batch_stride +
             column * (params->transpose_b ? s->k : 1),
        .ldb = params->transpose_b ? s->k : s->n,
        .c = out,
        .ldc = s->n,
    });
    const float *bias = tuff__call_has(call, TUFF__MATMUL_BIAS) ? call->inputs[TUFF__MATMUL_BIAS].data : NULL;
    const float *residual =
        tuff__call_has(call, TUFF__MATMUL_RESIDUAL) ? call->inputs[TUFF__MATMUL_RESIDUAL].data : NULL;
    if (!bias && !residual && params->activation == TUFF_ACTIVATION_NONE)
        return;
    for (int64_t i = 0; i < rows; i++, out += s->n) {
        if (bias)
            add_row(out, bias + column, columns);
        activate_row(params->activation, out, columns);
        if (residual)
            add_row(out, residual + out_start + i * s->n, columns);
    }
}

void tuff__matmul_compute_fast(const tuff_op_call *call)
{
    matmul_job job = plan_job(call);
    tuff__pool_run(call->pool, (size_t)(job.sizes.batch * job.row_parts * job.column_parts), run_part, &job);
}
