/*
 * attention_cpu.c: owns attention on the CPU device: tasks of some queries of one head, each two matrix products with a
 * softmax between them, so that no thread ever holds more than a block of rows of scores. Heads are read and written in
 * place, C elements from row to row.
 */
#include "attention.h"

#include "../cpu/blas.h"
#include "../cpu/cpu_pool.h"
#include "../cpu/simd.h"

#include <string.h>

/* -- blocks ------------------------------------------------------------------------------------------------------- */

/* Rows of a block: many, for the sake of the products, as long as two blocks of scores stay in a second-level cache. */
static int64_t block_rows(const tuff__attention_sizes *sizes)
{
    const int64_t rows = sizes->tk <= 512 ? 128 : 64;
    return sizes->tq < rows ? sizes->tq : rows;
}

/* Elements of one matrix of scores, a multiple of a cache line so that threads do not share one. */
static int64_t matrix_size(const tuff__attention_sizes *sizes)
{
    return (block_rows(sizes) * sizes->tk + 15) / 16 * 16;
}

uint64_t tuff__attention_cpu_workspace(const tuff_op_call *call, const tuff__target *target, int64_t matrices)
{
    if (target->backend != TUFF_BACKEND_CPU)
        return 0;
    const tuff__attention_sizes sizes = tuff__attention_sizes_of(call);
    return (uint64_t)(matrix_size(&sizes) * matrices) * target->thread_count * sizeof(float);
}

/* Some queries of one head. */
typedef struct attention_block {
    tuff__attention_mask mask;
    float scale;
    int64_t head, b, h;  /* head = b·H + h */
    int64_t first, rows; /* queries */
    int64_t visible;     /* keys that the last query sees, and so any */
    int64_t at_q, at_k;  /* where the block starts in [B, Tq, C], and its head's keys in [B, Tk, C] */
    float *scores;       /* [rows, visible] */
    float *gradients;    /* [rows, visible], where there are two matrices */
} attention_block;

static attention_block block_of(const tuff_op_call *call, int64_t head, int64_t first, uint32_t thread,
                                int64_t matrices)
{
    attention_block x = {.mask = tuff__attention_mask_of(call), .head = head, .first = first};
    const tuff__attention_params *params = call->params;
    const tuff__attention_sizes *s = &x.mask.sizes;
    x.scale = params->scale;
    x.b = head / s->heads;
    x.h = head % s->heads;
    x.rows = block_rows(s);
    if (x.rows > s->tq - first)
        x.rows = s->tq - first;
    x.at_q = (x.b * s->tq + first) * s->channels + x.h * s->head_size;
    x.at_k = x.b * s->tk * s->channels + x.h * s->head_size;
    x.visible = tuff__attention_visible(&x.mask, x.b, first + x.rows - 1);
    x.scores = (float *)call->workspace + (int64_t)thread * matrix_size(s) * matrices;
    x.gradients = x.scores + matrix_size(s);
    return x;
}

/* out[rows, visible] = alpha·rows·keysᵀ */
static void multiply_rows(const attention_block *x, float alpha, const float *rows, const float *keys, float *out)
{
    const int64_t channels = x->mask.sizes.channels;
    tuff__sgemm(&(tuff__sgemm_call){.transpose_b = true,
                                    .m = x->rows,
                                    .n = x->visible,
                                    .k = x->mask.sizes.head_size,
                                    .alpha = alpha,
                                    .a = rows,
                                    .lda = channels,
                                    .b = keys,
                                    .ldb = channels,
                                    .c = out,
                                    .ldc = x->visible});
}

/* -- rows of scores ----------------------------------------------------------------------------------------------- */

/* Independent partial results, which the compiler keeps in vector registers and we add in a fixed order. */
enum { LANES = 32 };

TUFF__SIMD static float row_max(const float *x, int64_t count)
{
    float largest[LANES];
    for (int l = 0; l < LANES; l++)
        largest[l] = -INFINITY;
    int64_t j = 0;
    for (; j + LANES <= count; j += LANES)
        for (int l = 0; l < LANES; l++)
            largest[l] = x[j + l] > largest[l] ? x[j + l] : largest[l];
    for (; j < count; j++)
        largest[0] = x[j] > largest[0] ? x[j] : largest[0];
    for (int l = 1; l < LANES; l++)
        largest[0] = largest[l] > largest[0] ? largest[l] : largest[0];
    return largest[0];
}

/* x = exp(x - shift); returns the sum. */
TUFF__SIMD static float row_exp(float *x, float shift, int64_t count)
{
    float sums[LANES] = {0};
    int64_t j = 0;
    for (; j + LANES <= count; j += LANES)
        for (int l = 0; l < LANES; l++) {
            x[j + l] = tuff__expf(x[j + l] - shift);
            sums[l] += x[j + l];
        }
    for (; j < count; j++) {
        x[j] = tuff__expf(x[j] - shift);
        sums[0] += x[j];
    }
    for (int l = 1; l < LANES; l++)
        sums[0] += sums[l];
    return sums[0];
}

TUFF__SIMD static void row_scale(float *x, float factor, int64_t count)
{
    for (int64_t j = 0; j < count; j++)
        x[j] *= factor;
}

/* x *= m[row, ..] */
TUFF__SIMD static void drop_row(const attention_block *x, int64_t row, float *values, int64_t count)
{
    const tuff__attention_mask mask = x->mask;
    for (int64_t block = 0; block * 4 < count; block++) {
        const tuff__philox_words words = tuff__attention_words(&mask, x->b, x->h, x->first + row, block);
        for (int64_t j = block * 4; j < block * 4 + 4 && j < count; j++)
            values[j] *= words.word[j - block * 4] >= mask.threshold ? mask.keep_scale : 0; /* NaN stays */
    }
}

static float softmax_row(const attention_block *x, int64_t row)
{
    float *scores = x->scores + row * x->visible;
    const int64_t visible = tuff__attention_visible(&x->mask, x->b, x->first + row);
    memset(scores + visible, 0, (size_t)(x->visible - visible) * sizeof *scores);
    if (visible == 0)
        return 0;
    const float largest = row_max(scores, visible), total = row_exp(scores, largest, visible);
    row_scale(scores, 1 / total, visible);
    if (x->mask.threshold)
        drop_row(x, row, scores, visible);
    return largest + tuff__logf(total);
}

/* -- forward ------------------------------------------------------------------------------------------------------ */

static int64_t blocks_per_head(const tuff__attention_sizes *sizes)
{
    const int64_t rows = block_rows(sizes);
    return tuff__divide_up(sizes->tq, rows);
}

static void forward_block(void *user, size_t index, uint32_t thread)
{
    const tuff_op_call *call = user;
    const tuff__attention_sizes s = tuff__attention_sizes_of(call);
    const int64_t blocks = blocks_per_head(&s), head = (int64_t)index / blocks;
    const attention_block x = block_of(call, head, (int64_t)index % blocks * block_rows(&s), thread, 1);
    float *o = (float *)call->outputs[0].data + x.at_q;
    float *lse = (float *)call->outputs[1].data + head * s.tq + x.first;
    if (x.visible == 0) {
        for (int64_t row = 0; row < x.rows; row++)
            memset(o + row * s.channels, 0, (size_t)s.head_size * sizeof *o);
        memset(lse, 0, (size_t)x.rows * sizeof *lse);
        return;
    }
    multiply_rows(&x, x.scale, (const float *)call->inputs[TUFF__ATTENTION_Q].data + x.at_q,
                  (const float *)call->inputs[TUFF__ATTENTION_K].data + x.at_k, x.scores);
    for (int64_t row = 0; row < x.rows; row++)
        lse[row] = softmax_row(&x, row);
    tuff__sgemm(&(tuff__sgemm_call){.m = x.rows,
                                    .n = s.head_size,
                                    .k = x.visible,
                                    .alpha = 1,
                                    .a = x.scores,
                                    .lda = x.visible,
                                    .b = (const float *)call->inputs[TUFF__ATTENTION_V].data + x.at_k,
                                    .ldb = s.channels,
                                    .c = o,
                                    .ldc = s.channels});
}

void tuff__attention_compute_fast(const tuff_op_call *call)
{
    const tuff__attention_sizes s = tuff__attention_sizes_of(call);
    tuff__pool_run(call->pool, (size_t)(s.batch * s.heads * blocks_per_head(&s)), forward_block,
                   (void *)(uintptr_t)call);
}

/* -- backward ----------------------------------------------------------------------------------------------------- */

TUFF__SIMD static float dot(const float *a, const float *b, int64_t count)
{
    float sums[LANES] = {0};
    int64_t d = 0;
    for (; d + LANES <= count; d += LANES)
        for (int l = 0; l < LANES; l++)
            sums[l] += a[d + l] * b[d + l];
    for (; d < count; d++)
        sums[0] += a[d] * b[d];
    for (int l = 1; l < LANES; l++)
        sums[0] += sums[l];
    return sums[0];
}

/* Rows are queries of all batches. */
static void delta_rows(void *user, int64_t first, int64_t last)
{
    const tuff_op_call *call = user;
    const tuff__attention_sizes s = tuff__attention_sizes_of(call);
    const float *o = call->inputs[0].data, *dout = call->inputs[1].data;
    float *delta = call->outputs[0].data;
    for (int64_t row = first; row < last; row++)
        for (int64_t h = 0; h < s.heads; h++) {
            const int64_t at = row * s.channels + h * s.head_size;
            delta[(row / s.tq * s.heads + h) * s.tq + row % s.tq] = dot(o + at, dout + at, s.head_size);
        }
}

void tuff__attention_delta_compute_fast(const tuff_op_call *call)
{
    const tuff__attention_sizes s = tuff__attention_sizes_of(call);
    tuff__pool_run_range(call->pool, s.batch * s.tq, 16384 / s.channels + 1, delta_rows, (void *)(uintptr_t)call);
}

/* scores = m·P, gradients = dS for one row; both zero beyond what the query sees. */
TUFF__SIMD static void gradient_values(float *restrict p, float *restrict dp, float lse, float delta, int64_t count)
{
    for (int64_t j = 0; j < count; j++) {
        p[j] = tuff__expf(p[j] - lse);
        dp[j] = p[j] * (dp[j] - delta);
    }
}

static void gradient_row(const attention_block *x, int64_t row, float lse, float delta)
{
    float *p = x->scores + row * x->visible, *dp = x->gradients + row * x->visible;
    const int64_t visible = tuff__attention_visible(&x->mask, x->b, x->first + row);
    memset(p + visible, 0, (size_t)(x->visible - visible) * sizeof *p);
    memset(dp + visible, 0, (size_t)(x->visible - visible) * sizeof *dp);
    if (x->mask.threshold)
        drop_row(x, row, dp, visible);
    gradient_values(p, dp, lse, delta, visible);
    if (x->mask.threshold)
        drop_row(x, row, p, visible);
}

/* Fills both matrices of a block. */
static void gradient_block(const tuff_op_call *call, const attention_block *x)
{
    const int64_t row_at = x->head * x->mask.sizes.tq + x->first;
    const float *lse = (const float *)call->inputs[TUFF__ATTENTION_LSE].data + row_at;
    const float *delta = (const float *)call->inputs[TUFF__ATTENTION_DELTA].data + row_at;
    multiply_rows(x, x->scale, (const float *)call->inputs[TUFF__ATTENTION_Q].data + x->at_q,
                  (const float *)call->inputs[TUFF__ATTENTION_K].data + x->at_k, x->scores);
    multiply_rows(x, 1, (const float *)call->inputs[TUFF__ATTENTION_DO].data + x->at_q,
                  (const float *)call->inputs[TUFF__ATTENTION_V].data + x->at_k, x->gradients);
    for (int64_t row = 0; row < x->rows; row++)
        gradient_row(x, row, lse[row], delta[row]);
}

/* out += alpha·weightsᵀ·rows for the keys of a block. */
static void add_to_keys(const attention_block *x, float alpha, const float *weights, const float *rows, float *out)
{
    const tuff__attention_sizes *s = &x->mask.sizes;
    tuff__sgemm(&(tuff__sgemm_call){.transpose_a = true,
                                    .m = x->visible,
                                    .n = s->head_size,
                                    .k = x->rows,
                                    .alpha = alpha,
                                    .a = weights,
                                    .lda = x->visible,
                                    .b = rows,
                                    .ldb = s->channels,
                                    .beta = 1,
                                    .c = out,
                                    .ldc = s->channels});
}

/* One head: its queries' blocks follow each other, so that the sums over queries have one order. */
static void backward_kv_head(void *user, size_t index, uint32_t thread)
{
    const tuff_op_call *call = user;
    const tuff__attention_sizes s = tuff__attention_sizes_of(call);
    const int64_t rows = block_rows(&s);
    for (int64_t first = 0; first < s.tq; first += rows) {
        const attention_block x = block_of(call, (int64_t)index, first, thread, 2);
        float *dk = (float *)call->outputs[0].data + x.at_k, *dv = (float *)call->outputs[1].data + x.at_k;
        for (int64_t j = 0; first == 0 && j < s.tk; j++) {
            memset(dk + j * s.channels, 0, (size_t)s.head_size * sizeof *dk);
            memset(dv + j * s.channels, 0, (size_t)s.head_size * sizeof *dv);
        }
        if (x.visible == 0)
            continue;
        gradient_block(call, &x);
        add_to_keys(&x, x.scale, x.gradients, (const float *)call->inputs[TUFF__ATTENTION_Q].data + x.at_q, dk);
        add_to_keys(&x, 1, x.scores, (const float *)call->inputs[TUFF__ATTENTION_DO].data + x.at_q, dv);
    }
}

void tuff__attention_backward_kv_compute_fast(const tuff_op_call *call)
{
    const tuff__attention_sizes s = tuff__attention_sizes_of(call);
    tuff__pool_run(call->pool, (size_t)(s.batch * s.heads), backward_kv_head, (void *)(uintptr_t)call);
}

static void backward_q_block(void *user, size_t index, uint32_t thread)
{
    const tuff_op_call *call = user;
    const tuff__attention_sizes s = tuff__attention_sizes_of(call);
    const int64_t blocks = blocks_per_head(&s);
    const attention_block x =
        block_of(call, (int64_t)index / blocks, (int64_t)index % blocks * block_rows(&s), thread, 2);
    float *dq = (float *)call->outputs[0].data + x.at_q;
    if (x.visible == 0) {
        for (int64_t row = 0; row < x.rows; row++)
            memset(dq + row * s.channels, 0, (size_t)s.head_size * sizeof *dq);
        return;
    }
    gradient_block(call, &x);
    tuff__sgemm(&(tuff__sgemm_call){.m = x.rows,
                                    .n = s.head_size,
                                    .k = x.visible,
                                    .alpha = x.scale,
                                    .a = x.gradients,
                                    .lda = x.visible,
                                    .b = (const float *)call->inputs[TUFF__ATTENTION_K].data + x.at_k,
                                    .ldb = s.channels,
                                    .c = dq,
                                    .ldc = s.channels});
}

void tuff__attention_backward_q_compute_fast(const tuff_op_call *call)
{
    const tuff__attention_sizes s = tuff__attention_sizes_of(call);
    tuff__pool_run(call->pool, (size_t)(s.batch * s.heads * blocks_per_head(&s)), backward_q_block,
                   (void *)(uintptr_t)call);
}
