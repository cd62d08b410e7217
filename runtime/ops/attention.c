/*
 * attention.c: owns attention as operators, with their reference. Per batch b and head h, all in one row of C = H·D:
 *
 *     s[i, j] = scale·q[i]·k[j],  P[i, j] = exp(s[i, j] - lse[i]) for the keys j that query i sees, else 0
 *     lse[i] = log sum over j of exp(s[i, j]),  o[i] = sum over j of m[i, j]·P[i, j]·v[j]
 *
 * m is 1, or with dropout 0 or 1/(1-p). lse is kept, P is not: the backward pass computes it again (Dao et al. 2022,
 * "FlashAttention", algorithm 4), in two operators without atomics:
 *
 *     delta[i] = do[i]·o[i],  dP[i, j] = m[i, j]·do[i]·v[j],  dS[i, j] = P[i, j]·(dP[i, j] - delta[i])
 *     dv[j] = sum over i of m[i, j]·P[i, j]·do[i],  dk[j] = scale·sum over i of dS[i, j]·q[i]
 *     dq[i] = scale·sum over j of dS[i, j]·k[j]
 *
 * A query that sees no key has o = 0, lse = 0 and takes and gives no gradient.
 */
#include "attention.h"

#include <math.h>
#include <string.h>

/* -- shapes ------------------------------------------------------------------------------------------------------- */

tuff__attention_sizes tuff__attention_sizes_of(const tuff_op_call *call)
{
    const tuff__attention_params *params = call->params;
    const tuff_shape *q = &call->inputs[0].shape, *k = &call->inputs[1].shape;
    return (tuff__attention_sizes){
        .batch = q->dims[0],
        .heads = params->num_attention_heads,
        .tq = q->dims[1],
        .tk = k->dims[1],
        .head_size = q->dims[2] / params->num_attention_heads,
        .channels = q->dims[2],
    };
}

tuff__attention_mask tuff__attention_mask_of(const tuff_op_call *call)
{
    const tuff__attention_params *params = call->params;
    const uint32_t lengths = tuff__attention_lengths_input(call);
    tuff__attention_mask mask = {
        .sizes = tuff__attention_sizes_of(call),
        .causal = params->causal,
        .lengths = tuff__call_has(call, lengths) ? call->inputs[lengths].data : NULL,
        .keep_scale = 1,
    };
    if (params->dropout > 0) {
        const tuff_step_parameters *step = call->inputs[lengths + 1].data;
        mask.threshold = tuff__dropout_threshold(params->dropout);
        mask.keep_scale = tuff__dropout_scale(params->dropout);
        mask.site = params->site;
        mask.step = step->step;
        mask.seed[0] = step->seed[0];
        mask.seed[1] = step->seed[1];
    }
    return mask;
}

/* Rank 3, f32, and heads that divide the last dimension. */
static tuff_status check_heads(const tuff_op_call *call, uint32_t input)
{
    const tuff__attention_params *params = call->params;
    const tuff_shape *x = &call->inputs[input].shape;
    char text[TUFF__SHAPE_TEXT];
    TUFF_TRY(tuff__check_dtype(call, input, TUFF_F32));
    if (x->rank != 3)
        return tuff__fail_shape(call, "input %u is %s, wanted rank 3", input, tuff__shape_text(x, text));
    if (params->num_attention_heads == 0)
        return tuff__fail_value(call, "num_attention_heads is 0, wanted at least 1");
    if (x->dims[2] % params->num_attention_heads)
        return tuff__fail_shape(call, "input %u is %s, which %u heads do not divide", input, tuff__shape_text(x, text),
                                params->num_attention_heads);
    if (x->dims[2] / params->num_attention_heads > TUFF__ATTENTION_MAX_HEAD_SIZE)
        return tuff__fail_shape(call, "input %u is %s, %u heads of size %lld, wanted at most %d", input,
                                tuff__shape_text(x, text), params->num_attention_heads,
                                (long long)(x->dims[2] / params->num_attention_heads), TUFF__ATTENTION_MAX_HEAD_SIZE);
    return TUFF_SUCCESS;
}

static tuff_status check_equal(const tuff_op_call *call, uint32_t input, const tuff_shape *wanted)
{
    char found[TUFF__SHAPE_TEXT], text[TUFF__SHAPE_TEXT];
    TUFF_TRY(tuff__check_dtype(call, input, TUFF_F32));
    if (tuff__shape_equal(&call->inputs[input].shape, wanted))
        return TUFF_SUCCESS;
    return tuff__fail_shape(call, "input %u is %s, wanted %s", input,
                            tuff__shape_text(&call->inputs[input].shape, found), tuff__shape_text(wanted, text));
}

static tuff_status check_qkv(const tuff_op_call *call)
{
    TUFF_TRY(check_heads(call, TUFF__ATTENTION_Q));
    TUFF_TRY(check_heads(call, TUFF__ATTENTION_K));
    const tuff_shape *q = &call->inputs[TUFF__ATTENTION_Q].shape, *k = &call->inputs[TUFF__ATTENTION_K].shape;
    char q_text[TUFF__SHAPE_TEXT], k_text[TUFF__SHAPE_TEXT];
    if (q->dims[0] != k->dims[0] || q->dims[2] != k->dims[2])
        return tuff__fail_shape(call, "q is %s and k is %s, wanted equal first and last dimensions",
                                tuff__shape_text(q, q_text), tuff__shape_text(k, k_text));
    return check_equal(call, TUFF__ATTENTION_V, k);
}

static tuff_status check_mask(const tuff_op_call *call)
{
    const tuff__attention_params *params = call->params;
    const uint32_t lengths = tuff__attention_lengths_input(call), step = lengths + 1;
    const int64_t batch = call->inputs[0].shape.dims[0];
    if (tuff__call_has(call, lengths)) {
        TUFF_TRY(tuff__check_dtype(call, lengths, TUFF_I32));
        const tuff_shape *found = &call->inputs[lengths].shape;
        char text[TUFF__SHAPE_TEXT];
        if (found->rank != 1 || found->dims[0] != batch)
            return tuff__fail_shape(call, "key_lengths is %s, wanted [%lld]", tuff__shape_text(found, text),
                                    (long long)batch);
    }
    if (!(params->dropout >= 0 && params->dropout < 1))
        return tuff__fail_value(call, "dropout is %g, wanted 0 <= dropout < 1", (double)params->dropout);
    if (params->dropout > 0 && !tuff__call_has(call, step))
        return tuff__fail_value(call, "dropout is %g without step parameters", (double)params->dropout);
    if (tuff__call_has(call, step)) {
        TUFF_TRY(tuff__check_dtype(call, step, TUFF_I32));
        if (tuff_shape_count(&call->inputs[step].shape) * 4 != (int64_t)sizeof(tuff_step_parameters))
            return tuff__fail_shape(call, "input %u is not the graph's step parameters", step);
    }
    return TUFF_SUCCESS;
}

static tuff_shape row_shape(const tuff_op_call *call)
{
    const tuff__attention_params *params = call->params;
    const tuff_shape *q = &call->inputs[0].shape;
    return TUFF_SHAPE(q->dims[0], params->num_attention_heads, q->dims[1]);
}

static tuff_status forward_infer(tuff_op_call *call)
{
    TUFF_TRY(check_qkv(call));
    TUFF_TRY(check_mask(call));
    tuff__output_like(call, 0, TUFF__ATTENTION_Q);
    tuff__output_set(call, 1, TUFF_F32, row_shape(call));
    return TUFF_SUCCESS;
}

static tuff_status delta_infer(tuff_op_call *call)
{
    TUFF_TRY(check_heads(call, 0));
    TUFF_TRY(check_equal(call, 1, &call->inputs[0].shape));
    tuff__output_set(call, 0, TUFF_F32, row_shape(call));
    return TUFF_SUCCESS;
}

static tuff_status backward_infer(tuff_op_call *call)
{
    TUFF_TRY(check_qkv(call));
    TUFF_TRY(check_mask(call));
    const tuff_shape rows = row_shape(call);
    TUFF_TRY(check_equal(call, TUFF__ATTENTION_DO, &call->inputs[TUFF__ATTENTION_Q].shape));
    TUFF_TRY(check_equal(call, TUFF__ATTENTION_LSE, &rows));
    return check_equal(call, TUFF__ATTENTION_DELTA, &rows);
}

static tuff_status backward_kv_infer(tuff_op_call *call)
{
    TUFF_TRY(backward_infer(call));
    tuff__output_like(call, 0, TUFF__ATTENTION_K);
    tuff__output_like(call, 1, TUFF__ATTENTION_V);
    return TUFF_SUCCESS;
}

static tuff_status backward_q_infer(tuff_op_call *call)
{
    TUFF_TRY(backward_infer(call));
    tuff__output_like(call, 0, TUFF__ATTENTION_Q);
    return TUFF_SUCCESS;
}

/* -- reference ---------------------------------------------------------------------------------------------------- */

/* One head of one batch. */
typedef struct head {
    tuff__attention_mask mask;
    double scale;
    int64_t b, h;
    const float *q, *k, *v, *dout; /* [T, D] with C from row to row */
    const float *lse, *delta;      /* [Tq] */
    int64_t start_q, start_k;      /* of this head in [B, Tq, C] and in [B, Tk, C] */
} head;

static head head_of(const tuff_op_call *call, int64_t index)
{
    const tuff__attention_params *params = call->params;
    head x = {.mask = tuff__attention_mask_of(call), .scale = (double)params->scale};
    const tuff__attention_sizes *s = &x.mask.sizes;
    x.b = index / s->heads;
    x.h = index % s->heads;
    x.start_q = x.b * s->tq * s->channels + x.h * s->head_size;
    x.start_k = x.b * s->tk * s->channels + x.h * s->head_size;
    x.q = (const float *)call->inputs[TUFF__ATTENTION_Q].data + x.start_q;
    x.k = (const float *)call->inputs[TUFF__ATTENTION_K].data + x.start_k;
    x.v = (const float *)call->inputs[TUFF__ATTENTION_V].data + x.start_k;
    if (call->op != &tuff__op_attention) {
        x.dout = (const float *)call->inputs[TUFF__ATTENTION_DO].data + x.start_q;
        x.lse = (const float *)call->inputs[TUFF__ATTENTION_LSE].data + index * s->tq;
        x.delta = (const float *)call->inputs[TUFF__ATTENTION_DELTA].data + index * s->tq;
    }
    return x;
}

static double dot(const float *a, const float *b, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static double score(const head *x, int64_t i, int64_t j)
{
    const tuff__attention_sizes *s = &x->mask.sizes;
    return x->scale * dot(x->q + i * s->channels, x->k + j * s->channels, s->head_size);
}

/* m[i, j] */
static double kept(const head *x, int64_t i, int64_t j)
{
    if (!x->mask.threshold)
        return 1;
    const tuff__philox_words words = tuff__attention_words(&x->mask, x->b, x->h, i, j / 4);
    return words.word[j % 4] >= x->mask.threshold ? (double)x->mask.keep_scale : 0;
}

static void add_scaled(double *sums, double factor, const float *row, int64_t count)
{
    for (int64_t d = 0; d < count; d++)
        sums[d] += factor * (double)row[d];
}

static void write_row(float *out, const double *sums, double factor, int64_t count)
{
    for (int64_t d = 0; d < count; d++)
        out[d] = (float)(factor * sums[d]);
}

static void forward_row(const head *x, int64_t i, float *o, float *lse)
{
    const tuff__attention_sizes *s = &x->mask.sizes;
    const int64_t visible = tuff__attention_visible(&x->mask, x->b, i);
    double sums[TUFF__ATTENTION_MAX_HEAD_SIZE] = {0}, largest = -INFINITY, total = 0;
    for (int64_t j = 0; j < visible; j++)
        largest = fmax(largest, score(x, i, j));
    for (int64_t j = 0; j < visible; j++) {
        const double p = exp(score(x, i, j) - largest);
        total += p;
        add_scaled(sums, p * kept(x, i, j), x->v + j * s->channels, s->head_size);
    }
    *lse = visible ? (float)(largest + log(total)) : 0;
    write_row(o, sums, visible ? 1 / total : 0, s->head_size);
}

static int64_t head_count(const tuff_op_call *call)
{
    const tuff__attention_sizes s = tuff__attention_sizes_of(call);
    return s.batch * s.heads;
}

static void forward_compute(const tuff_op_call *call)
{
    for (int64_t index = 0; index < head_count(call); index++) {
        const head x = head_of(call, index);
        float *o = (float *)call->outputs[0].data + x.start_q;
        float *lse = (float *)call->outputs[1].data + index * x.mask.sizes.tq;
        for (int64_t i = 0; i < x.mask.sizes.tq; i++)
            forward_row(&x, i, o + i * x.mask.sizes.channels, lse + i);
    }
}

static void delta_compute(const tuff_op_call *call)
{
    const tuff__attention_sizes s = tuff__attention_sizes_of(call);
    const float *o = call->inputs[0].data, *dout = call->inputs[1].data;
    float *delta = call->outputs[0].data;
    for (int64_t b = 0; b < s.batch; b++)
        for (int64_t h = 0; h < s.heads; h++)
            for (int64_t i = 0; i < s.tq; i++) {
                const int64_t start = (b * s.tq + i) * s.channels + h * s.head_size;
                delta[(b * s.heads + h) * s.tq + i] = (float)dot(o + start, dout + start, s.head_size);
            }
}

/* P[i, j] and dS[i, j] */
static double probability(const head *x, int64_t i, int64_t j)
{
    return exp(score(x, i, j) - (double)x->lse[i]);
}

static double score_gradient(const head *x, int64_t i, int64_t j, double p)
{
    const tuff__attention_sizes *s = &x->mask.sizes;
    const double dp = kept(x, i, j) * dot(x->dout + i * s->channels, x->v + j * s->channels, s->head_size);
    return p * (dp - (double)x->delta[i]);
}

static void backward_kv_compute(const tuff_op_call *call)
{
    for (int64_t index = 0; index < head_count(call); index++) {
        const head x = head_of(call, index);
        const tuff__attention_sizes *s = &x.mask.sizes;
        for (int64_t j = 0; j < s->tk; j++) {
            double dk[TUFF__ATTENTION_MAX_HEAD_SIZE] = {0}, dv[TUFF__ATTENTION_MAX_HEAD_SIZE] = {0};
            for (int64_t i = 0; i < s->tq; i++) {
                if (j >= tuff__attention_visible(&x.mask, x.b, i))
                    continue;
                const double p = probability(&x, i, j);
                add_scaled(dk, score_gradient(&x, i, j, p), x.q + i * s->channels, s->head_size);
                add_scaled(dv, p * kept(&x, i, j), x.dout + i * s->channels, s->head_size);
            }
            const int64_t at = x.start_k + j * s->channels;
            write_row((float *)call->outputs[0].data + at, dk, x.scale, s->head_size);
            write_row((float *)call->outputs[1].data + at, dv, 1, s->head_size);
        }
    }
}

static void backward_q_compute(const tuff_op_call *call)
{
    for (int64_t index = 0; index < head_count(call); index++) {
        const head x = head_of(call, index);
        const tuff__attention_sizes *s = &x.mask.sizes;
        for (int64_t i = 0; i < s->tq; i++) {
            double dq[TUFF__ATTENTION_MAX_HEAD_SIZE] = {0};
            const int64_t visible = tuff__attention_visible(&x.mask, x.b, i);
            for (int64_t j = 0; j < visible; j++)
                add_scaled(dq, score_gradient(&x, i, j, probability(&x, i, j)), x.k + j * s->channels, s->head_size);
            write_row((float *)call->outputs[0].data + x.start_q + i * s->channels, dq, x.scale, s->head_size);
        }
    }
}

/* -- allowances --------------------------------------------------------------------------------------------------- */

/* Sum of |a·b|: in whose units the sum of a·b rounds. */
static double bound(const float *a, const float *b, int64_t count)
{
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += fabs((double)a[i] * (double)b[i]);
    return sum;
}

static void add_scaled_absolute(double *sums, double factor, const float *row, int64_t count)
{
    for (int64_t d = 0; d < count; d++)
        sums[d] += factor * fabs((double)row[d]);
}

/* A score's rounding error, in units of 2^-23, is at most about its bound; a probability's relative error is the
 * score's absolute one and that of exp. The row's total rounds by the mean of those, and so does the log-sum-exp. */
static double row_error(const head *x, int64_t i, double lse, double sums[TUFF__ATTENTION_MAX_HEAD_SIZE])
{
    const tuff__attention_sizes *s = &x->mask.sizes;
    const int64_t visible = tuff__attention_visible(&x->mask, x->b, i);
    double mean = 0, plain[TUFF__ATTENTION_MAX_HEAD_SIZE] = {0};
    for (int64_t j = 0; j < visible; j++) {
        const double p = exp(score(x, i, j) - lse);
        const double of_score = fabs(x->scale) * bound(x->q + i * s->channels, x->k + j * s->channels, s->head_size);
        const float *value = x->v + j * s->channels;
        mean += p * (1 + of_score);
        add_scaled_absolute(sums, p * (1 + of_score) * kept(x, i, j), value, s->head_size);
        add_scaled_absolute(plain, p * kept(x, i, j), value, s->head_size);
    }
    mean += sqrt((double)visible) / 16; /* chains of additions, mostly of one sign: see matmul.c */
    for (int64_t d = 0; d < s->head_size; d++)
        sums[d] += mean * plain[d];
    return mean;
}

static void forward_magnitude(const tuff_op_call *call, uint32_t output, float *out)
{
    for (int64_t index = 0; index < head_count(call); index++) {
        const head x = head_of(call, index);
        const tuff__attention_sizes *s = &x.mask.sizes;
        for (int64_t i = 0; i < s->tq; i++) {
            double sums[TUFF__ATTENTION_MAX_HEAD_SIZE] = {0};
            const double lse = (double)((const float *)call->outputs[1].data)[index * s->tq + i];
            const double error = row_error(&x, i, lse, sums);
            if (output == 1)
                out[index * s->tq + i] = (float)error;
            else
                write_row(out + x.start_q + i * s->channels, sums, 1, s->head_size);
        }
    }
}

static void delta_magnitude(const tuff_op_call *call, uint32_t output, float *out)
{
    (void)output;
    const tuff__attention_sizes s = tuff__attention_sizes_of(call);
    for (int64_t index = 0; index < head_count(call); index++)
        for (int64_t i = 0; i < s.tq; i++) {
            const int64_t at = (index / s.heads * s.tq + i) * s.channels + index % s.heads * s.head_size;
            out[index * s.tq + i] = (float)bound((const float *)call->inputs[0].data + at,
                                                 (const float *)call->inputs[1].data + at, s.head_size);
        }
}

/* How much P[i, j] and dS[i, j] round, to first order: the backward kernels' bounds are sums of these over the very
 * terms that the element is a sum of. */
typedef struct pair_error {
    double probability, score_gradient;
} pair_error;

static pair_error error_of(const head *x, int64_t i, int64_t j)
{
    const tuff__attention_sizes *s = &x->mask.sizes;
    const int64_t q = i * s->channels, k = j * s->channels;
    const double lse = fabs((double)x->lse[i]), delta = fabs((double)x->delta[i]), p = probability(x, i, j);
    const double relative = 1 + fabs(x->scale) * bound(x->q + q, x->k + k, s->head_size) + lse;
    const double factor = kept(x, i, j);
    const double dp = factor * bound(x->dout + q, x->v + k, s->head_size);
    return (pair_error){.probability = factor * p * relative,
                        .score_gradient = fabs(score_gradient(x, i, j, p)) * relative + p * (dp + delta)};
}

static void backward_kv_magnitude(const tuff_op_call *call, uint32_t output, float *out)
{
    for (int64_t index = 0; index < head_count(call); index++) {
        const head x = head_of(call, index);
        const tuff__attention_sizes *s = &x.mask.sizes;
        for (int64_t j = 0; j < s->tk; j++) {
            double sums[TUFF__ATTENTION_MAX_HEAD_SIZE] = {0};
            for (int64_t i = 0; i < s->tq; i++) {
                if (j >= tuff__attention_visible(&x.mask, x.b, i))
                    continue;
                const pair_error error = error_of(&x, i, j);
                add_scaled_absolute(sums, output == 0 ? error.score_gradient : error.probability,
                                    (output == 0 ? x.q : x.dout) + i * s->channels, s->head_size);
            }
            write_row(out + x.start_k + j * s->channels, sums, output == 0 ? fabs(x.scale) : 1, s->head_size);
        }
    }
}

static void backward_q_magnitude(const tuff_op_call *call, uint32_t output, float *out)
{
    (void)output;
    for (int64_t index = 0; index < head_count(call); index++) {
        const head x = head_of(call, index);
        const tuff__attention_sizes *s = &x.mask.sizes;
        for (int64_t i = 0; i < s->tq; i++) {
            double sums[TUFF__ATTENTION_MAX_HEAD_SIZE] = {0};
            const int64_t visible = tuff__attention_visible(&x.mask, x.b, i);
            for (int64_t j = 0; j < visible; j++)
                add_scaled_absolute(sums, error_of(&x, i, j).score_gradient, x.k + j * s->channels, s->head_size);
            write_row(out + x.start_q + i * s->channels, sums, fabs(x.scale), s->head_size);
        }
    }
}

/* -- work --------------------------------------------------------------------------------------------------------- */

/* Products of Tq x Tk x D; causal ones leave out half. */
static double products(const tuff_op_call *call, double count)
{
    const tuff__attention_params *params = call->params;
    const tuff__attention_sizes s = tuff__attention_sizes_of(call);
    const double pairs = (double)s.batch * (double)s.tq * (double)s.tk * (params->causal ? 0.5 : 1);
    return 2 * count * pairs * (double)s.channels;
}

static double forward_flops(const tuff_op_call *call)
{
    return products(call, 2);
}

static double backward_kv_flops(const tuff_op_call *call)
{
    return products(call, 4);
}

static double backward_q_flops(const tuff_op_call *call)
{
    return products(call, 3);
}

static double delta_flops(const tuff_op_call *call)
{
    return 2 * (double)tuff_shape_count(&call->inputs[0].shape);
}

static uint64_t one_matrix(const tuff_op_call *call, const tuff__target *target)
{
    return tuff__attention_cpu_workspace(call, target, 1);
}

static uint64_t backward_workspace(const tuff_op_call *call, const tuff__target *target)
{
    if (target->backend == TUFF_BACKEND_VULKAN)
        return tuff__attention_vk_workspace(call);
    return tuff__attention_cpu_workspace(call, target, 2);
}

/* -- gradient ----------------------------------------------------------------------------------------------------- */

static void backward(tuff__gradient *gradient)
{
    const tuff__attention_params *params = gradient->params;
    tuff_graph *graph = gradient->graph;
    const tuff_tensor o = gradient->outputs[0], dout = gradient->output_grads[0];
    if (!dout.id) /* lse alone is nobody's loss: tuff_attention does not hand it out */
        return;
    const tuff_tensor pair[] = {o, dout};
    const tuff_tensor delta = tuff__graph_add(graph, TUFF__OP_ATTENTION_DELTA, params, sizeof *params, pair, 2, NULL);
    tuff_tensor inputs[8] = {gradient->inputs[TUFF__ATTENTION_Q],
                             gradient->inputs[TUFF__ATTENTION_K],
                             gradient->inputs[TUFF__ATTENTION_V],
                             dout,
                             gradient->outputs[1],
                             delta};
    for (uint32_t i = TUFF__ATTENTION_LENGTHS; i <= TUFF__ATTENTION_STEP && i < gradient->input_count; i++)
        inputs[i - TUFF__ATTENTION_LENGTHS + TUFF__ATTENTION_BACKWARD_LENGTHS] = gradient->inputs[i];
    if (gradient->wanted[TUFF__ATTENTION_K] || gradient->wanted[TUFF__ATTENTION_V]) {
        tuff_tensor outputs[2] = {{0}};
        tuff__graph_add(graph, TUFF__OP_ATTENTION_BACKWARD_KV, params, sizeof *params, inputs, 8, outputs);
        gradient->input_grads[TUFF__ATTENTION_K] = outputs[0];
        gradient->input_grads[TUFF__ATTENTION_V] = outputs[1];
    }
    if (gradient->wanted[TUFF__ATTENTION_Q])
        gradient->input_grads[TUFF__ATTENTION_Q] =
            tuff__graph_add(graph, TUFF__OP_ATTENTION_BACKWARD_Q, params, sizeof *params, inputs, 8, NULL);
}

tuff_tensor tuff_attention(tuff_graph *graph, tuff_tensor q, tuff_tensor k, tuff_tensor v,
                           const tuff_attention_info *info)
{
    if (!tuff__graph_given(graph, info, "attention: info"))
        return (tuff_tensor){0};
    const tuff_shape shape = tuff_tensor_shape(graph, q);
    tuff__attention_params params = {
        .num_attention_heads = info->num_attention_heads,
        .causal = info->causal,
        .scale = info->scale,
        .dropout = info->dropout,
        .site = info->dropout > 0 ? tuff__graph_next_site(graph) : 0,
    };
    if (params.scale == 0 && shape.rank == 3 && params.num_attention_heads)
        params.scale = (float)(1 / sqrt((double)shape.dims[2] / params.num_attention_heads));
    const tuff_tensor inputs[] = {q, k, v, info->key_lengths,
                                  info->dropout > 0 ? info->step_parameters : (tuff_tensor){0}};
    return tuff__graph_add(graph, TUFF__OP_ATTENTION, &params, sizeof params, inputs, 5, NULL);
}

/* What a kernel rung must get right before it is used: head sizes around the chunks, one that is read four elements at
 * a time with all that masks, one that is wide; then one for the clock. */
static const tuff__attention_params proof_plain = {.num_attention_heads = 3, .scale = 0.2F},
                                    proof_causal = {.num_attention_heads = 2, .causal = true, .scale = 0.15F},
                                    proof_masked = {.num_attention_heads = 2, .scale = 0.125F, .dropout = 0.25F},
                                    proof_wide = {.num_attention_heads = 1, .scale = 0.08F},
                                    proof_timed = {.num_attention_heads = 6, .scale = 0.2F};
/* The formatter takes the braces of initialisers for blocks. MASKED is the rank of key lengths and step parameters: 0
 * where there are none. */
/* clang-format off */
#define FORWARD_PROOF(parameters, masked, is_timed, b, h, tq, tk, c)                                                   \
    {.inputs = {{3, {b, tq, c}}, {3, {b, tk, c}}, {3, {b, tk, c}}, {masked, {b}}, {masked, {8}}},                      \
     .integers = 1u << TUFF__ATTENTION_LENGTHS | 1u << TUFF__ATTENTION_STEP,                                           \
     .input_count = 5, .params = &(parameters), .params_size = sizeof(parameters), .timed = is_timed}
#define BACKWARD_PROOF(parameters, masked, is_timed, b, h, tq, tk, c)                                                  \
    {.inputs = {{3, {b, tq, c}}, {3, {b, tk, c}}, {3, {b, tk, c}},                                                     \
                {3, {b, tq, c}}, {3, {b, h, tq}}, {3, {b, h, tq}}, {masked, {b}}, {masked, {8}}},                      \
     .integers = 1u << TUFF__ATTENTION_BACKWARD_LENGTHS | 1u << TUFF__ATTENTION_BACKWARD_STEP,                         \
     .input_count = 8, .params = &(parameters), .params_size = sizeof(parameters), .timed = is_timed}
#define PROOFS(PROOF)                                                                                                  \
    {PROOF(proof_plain, 0, false, 2, 3, 33, 65, 60),                                                                   \
     PROOF(proof_causal, 0, false, 1, 2, 67, 67, 140),                                                                 \
     PROOF(proof_masked, 1, false, 3, 2, 37, 66, 128),                                                                 \
     PROOF(proof_wide, 0, false, 1, 1, 17, 34, 136),                                                                   \
     PROOF(proof_timed, 0, true, 2, 6, 128, 128, 192)}
/* clang-format on */
static const tuff__proof forward_proofs[] = PROOFS(FORWARD_PROOF), backward_proofs[] = PROOFS(BACKWARD_PROOF);

/* Of the allowances: a probability's relative error is that of exp (2 ulp, cpu/simd.h) and of the row's total, a sum of
 * up to some thousand terms of one sign (0.15·√Tk units, see matmul), times what the magnitudes make of the score's
 * error; the largest seen over all cases is 0.8 on every device. 4 leaves room for the longest rows. */
const tuff_op_desc tuff__op_attention = {
    .name = "attention",
    .input_count = 5,
    .output_count = 2,
    .optional_inputs = 2,
    .allowance = 4,
    .infer = forward_infer,
    .workspace = one_matrix,
    .compute = forward_compute,
    .compute_fast = tuff__attention_compute_fast,
    .record = tuff__attention_record,
    .backward = backward,
    .flops = forward_flops,
    .magnitude = forward_magnitude,
    .variants = tuff__attention_variants,
    .variant_count = TUFF__ATTENTION_VARIANT_COUNT,
    .proofs = forward_proofs,
    .proof_count = sizeof forward_proofs / sizeof forward_proofs[0],
};

const tuff_op_desc tuff__op_attention_delta = {
    .name = "attention_delta",
    .input_count = 2,
    .output_count = 1,
    .allowance = 4,
    .infer = delta_infer,
    .compute = delta_compute,
    .compute_fast = tuff__attention_delta_compute_fast,
    .record = tuff__attention_delta_record,
    .flops = delta_flops,
    .magnitude = delta_magnitude,
};

const tuff_op_desc tuff__op_attention_backward_kv = {
    .name = "attention_backward_kv",
    .input_count = 8,
    .output_count = 2,
    .optional_inputs = 2,
    .allowance = 4,
    .infer = backward_kv_infer,
    .workspace = backward_workspace,
    .compute = backward_kv_compute,
    .compute_fast = tuff__attention_backward_kv_compute_fast,
    .record = tuff__attention_backward_kv_record,
    .flops = backward_kv_flops,
    .magnitude = backward_kv_magnitude,
    .variants = tuff__attention_backward_variants,
    .variant_count = TUFF__ATTENTION_BACKWARD_VARIANT_COUNT,
    .proofs = backward_proofs,
    .proof_count = sizeof backward_proofs / sizeof backward_proofs[0],
};

const tuff_op_desc tuff__op_attention_backward_q = {
    .name = "attention_backward_q",
    .input_count = 8,
    .output_count = 1,
    .optional_inputs = 2,
    .allowance = 4,
    .infer = backward_q_infer,
    .workspace = backward_workspace,
    .compute = backward_q_compute,
    .compute_fast = tuff__attention_backward_q_compute_fast,
    .record = tuff__attention_backward_q_record,
    .flops = backward_q_flops,
    .magnitude = backward_q_magnitude,
    .variants = tuff__attention_backward_variants,
    .variant_count = TUFF__ATTENTION_BACKWARD_VARIANT_COUNT,
    .proofs = backward_proofs,
    .proof_count = sizeof backward_proofs / sizeof backward_proofs[0],
};
