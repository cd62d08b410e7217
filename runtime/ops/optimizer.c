/*
 * optimizer.c: owns the global norm and AdamW (Loshchilov & Hutter 2019, algorithm 2) in the order in which PyTorch's
 * single-tensor implementation steps:
 *
 *   g     = gradient·min(1, max_grad_norm/(norm + 1e-6))
 *   param = param·(1 - lr·weight_decay)              elements [0, decay_count)
 *   m     = m + (g - m)·(1 - beta1)
 *   v     = v·beta2 + (1 - beta2)·g²
 *   param = param - (lr/bias_correction1)·m / (√v/bias_correction2_sqrt + eps)
 *
 * norm = √Σx²: blocks of 4096 elements, then the blocks' sums, in a fixed order. Σx² must stay below 3.4e38.
 */
#include "optimizer.h"

#include "../../shaders/optimizer.h"
#include "../cpu/cpu_pool.h"
#include "../cpu/simd.h"
#include "window.h"

enum { FLAT_GRAIN = 16384 };

/* -- norm --------------------------------------------------------------------------------------------------------- */

static int64_t block_count(const tuff_op_call *call)
{
    return (tuff_shape_count(&call->inputs[0].shape) + TUFF_NORM_BLOCK - 1) / TUFF_NORM_BLOCK;
}

static tuff_status norm_infer(tuff_op_call *call)
{
    TUFF_TRY(tuff__check_dtype(call, 0, TUFF_F32));
    tuff__output_set(call, 0, TUFF_F32, (tuff_shape){.rank = 1, .dims = {1}});
    return TUFF_SUCCESS;
}

static void norm_compute(const tuff_op_call *call)
{
    const float *x = call->inputs[0].data;
    const int64_t count = tuff_shape_count(&call->inputs[0].shape);
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    *(float *)call->outputs[0].data = (float)sqrt(sum);
}

typedef struct norm_arrays {
    const float *x;
    float *partial;
    int64_t count;
} norm_arrays;

TUFF__SIMD static void norm_blocks(void *user, int64_t first, int64_t last)
{
    const norm_arrays a = *(const norm_arrays *)user;
    for (int64_t block = first; block < last; block++) {
        const int64_t start = block * TUFF_NORM_BLOCK, rest = a.count - start;
        a.partial[block] = tuff__sum_square(a.x + start, NULL, 0.0F, rest < TUFF_NORM_BLOCK ? rest : TUFF_NORM_BLOCK);
    }
}

static void norm_compute_fast(const tuff_op_call *call)
{
    norm_arrays arrays = {
        .x = call->inputs[0].data,
        .partial = call->workspace,
        .count = tuff_shape_count(&call->inputs[0].shape),
    };
    double sum = 0;
    tuff__pool_run_range(call->pool, block_count(call), 4, norm_blocks, &arrays);
    for (int64_t block = 0; block < block_count(call); block++)
        sum += (double)arrays.partial[block];
    *(float *)call->outputs[0].data = (float)sqrt(sum);
}

static uint64_t norm_workspace(const tuff_op_call *call, const tuff__target *target)
{
    (void)target;
    return (uint64_t)block_count(call) * sizeof(float);
}

static tuff_status record_norm_sum(const tuff_op_call *call, tuff__recorder *recorder)
{
    const int64_t blocks = block_count(call);
    const int64_t part = tuff__rows_per_binding(call->target, blocks, sizeof(float));
    for (int64_t first = 0; first < blocks; first += part) {
        const int64_t n = tuff__min_i64(part, blocks - first);
        const struct tuff_push_norm_sum push = {
            .count = (uint32_t)n,
            .accumulate = first > 0,
            .finish = first + n == blocks,
        };
        const tuff__dispatch dispatch = {
            .shader = "norm_sum",
            .push_constants = &push,
            .push_constants_size = sizeof push,
            .group_count = {1, 1, 1},
            .bindings = {tuff__slice_part(call->workspace_slice, (uint64_t)first * 4, (uint64_t)n * 4),
                         call->outputs[0].slice},
            .binding_count = 2,
        };
        TUFF_TRY(tuff__dispatch_record(recorder, call, &dispatch));
    }
    return TUFF_SUCCESS;
}

/* Partial sums start where a binding may: a part of the blocks is a multiple of 64, unless it is all. */
static tuff_status norm_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const int64_t count = tuff_shape_count(&call->inputs[0].shape), blocks = block_count(call);
    const int64_t fitting = (int64_t)(call->target->max_storage_buffer_range / (TUFF_NORM_BLOCK * sizeof(float)));
    if (fitting == 0)
        return tuff__fail_window(call, "a block", TUFF_NORM_BLOCK);
    for (int64_t first = 0; first < blocks; first += fitting) {
        const int64_t start = first * TUFF_NORM_BLOCK, n = tuff__min_i64(fitting * TUFF_NORM_BLOCK, count - start);
        struct tuff_push_norm push = {.count = (uint32_t)n};
        const tuff__dispatch dispatch = {
            .shader = "norm",
            .push_constants = &push,
            .push_constants_size = sizeof push,
            .group_count = {tuff__groups_for(call->target, tuff__min_i64(fitting, blocks - first), 1), 1, 1},
            .bindings = {tuff__slice_rows(&call->inputs[0], start, n, sizeof(float)),
                         tuff__window(call->workspace_slice, first, tuff__min_i64(fitting, blocks - first),
                                      &push.base)},
            .binding_count = 2,
        };
        TUFF_TRY(tuff__dispatch_record(recorder, call, &dispatch));
    }
    return record_norm_sum(call, recorder);
}

static double norm_flops(const tuff_op_call *call)
{
    return 2.0 * (double)tuff_shape_count(&call->inputs[0].shape);
}

const tuff_op_desc tuff__op_norm = {
    .name = "norm",
    .input_count = 1,
    .output_count = 1,
    .allowance = 8.0F, /* chains of 128 in a block, of 1/128 of the blocks after; all terms positive */
    .infer = norm_infer,
    .workspace = norm_workspace,
    .compute = norm_compute,
    .compute_fast = norm_compute_fast,
    .record = norm_record,
    .flops = norm_flops,
};

tuff_tensor tuff_norm(tuff_graph *graph, tuff_tensor x)
{
    return tuff__graph_add(graph, TUFF__OP_NORM, NULL, 0, &x, 1, NULL);
}

/* -- adamw -------------------------------------------------------------------------------------------------------- */

enum { PARAM = 0, GRADIENT = 1, M = 2, V = 3, NORM = 4, STEP = 5 };

/* `wanted` says in words what the caller has found out. */
static tuff_status check_number(const tuff_op_call *call, bool right, const char *name, float value, const char *wanted)
{
    return right ? TUFF_SUCCESS : tuff__fail_value(call, "%s is %g, wanted %s", name, (double)value, wanted);
}

/* The trainer's limits. NaN is in none of them. */
static tuff_status check_settings(const tuff_op_call *call)
{
    const tuff__adamw_params *p = call->params;
    const int64_t count = tuff_shape_count(&call->inputs[PARAM].shape);
    TUFF_TRY(check_number(call, p->beta1 >= 0 && p->beta1 < 1, "beta1", p->beta1, "0 <= beta1 < 1"));
    TUFF_TRY(check_number(call, p->beta2 >= 0 && p->beta2 < 1, "beta2", p->beta2, "0 <= beta2 < 1"));
    TUFF_TRY(check_number(call, p->eps >= 0 && p->eps <= 1e6F, "eps", p->eps, "0 to 1e6"));
    TUFF_TRY(check_number(call, p->weight_decay >= 0 && p->weight_decay <= 1e6F, "weight_decay", p->weight_decay,
                          "0 to 1e6"));
    TUFF_TRY(check_number(call, p->max_grad_norm >= 0, "max_grad_norm", p->max_grad_norm, "at least 0"));
    if (p->max_grad_norm > 0 && !tuff__call_has(call, NORM))
        return tuff__fail_value(call, "max_grad_norm is %g, but there is no norm", (double)p->max_grad_norm);
    if (p->decay_count < 0 || p->decay_count > count)
        return tuff__fail_value(call, "decay_count is %lld of %lld elements", (long long)p->decay_count,
                                (long long)count);
    if (!tuff__call_has(call, STEP))
        return tuff__fail_value(call, "step_parameters is none, wanted the graph's");
    return TUFF_SUCCESS;
}

static tuff_status adamw_infer(tuff_op_call *call)
{
    for (uint32_t i = PARAM; i <= V; i++) {
        char found[TUFF__SHAPE_TEXT], wanted[TUFF__SHAPE_TEXT];
        TUFF_TRY(tuff__check_dtype(call, i, TUFF_F32));
        if (!tuff__shape_equal(&call->inputs[i].shape, &call->inputs[PARAM].shape))
            return tuff__fail_shape(call, "input %u is %s, param %s", i,
                                    tuff__shape_text(&call->inputs[i].shape, found),
                                    tuff__shape_text(&call->inputs[PARAM].shape, wanted));
    }
    TUFF_TRY(check_settings(call));
    if (call->inputs[STEP].dtype != TUFF_I32 ||
        tuff_shape_count(&call->inputs[STEP].shape) * 4 != sizeof(tuff_step_parameters))
        return tuff__fail_shape(call, "input 5 is not the graph's step parameters");
    if (tuff__call_has(call, NORM) &&
        (call->inputs[NORM].dtype != TUFF_F32 || tuff_shape_count(&call->inputs[NORM].shape) != 1))
        return tuff__fail_shape(call, "the norm is not f32 [1]");
    tuff__output_like(call, 0, PARAM);
    tuff__output_like(call, 1, M);
    tuff__output_like(call, 2, V);
    return TUFF_SUCCESS;
}

static double clip_factor(const tuff_op_call *call)
{
    const tuff__adamw_params *params = call->params;
    if (!(params->max_grad_norm > 0.0F))
        return 1.0;
    const double norm = (double)*(const float *)call->inputs[NORM].data;
    const double factor = (double)params->max_grad_norm / (norm + 1e-6);
    return factor > 1.0 ? 1.0 : factor; /* a NaN norm stays NaN */
}

static void adamw_compute(const tuff_op_call *call)
{
    const tuff__adamw_params *params = call->params;
    const tuff_step_parameters *step = call->inputs[STEP].data;
    const double clip = clip_factor(call), rate = (double)step->learning_rate;
    const float *gradient = call->inputs[GRADIENT].data;
    const int64_t count = tuff_shape_count(&call->inputs[PARAM].shape);
    for (int64_t i = 0; i < count; i++) {
        double param = (double)((const float *)call->inputs[PARAM].data)[i];
        double m = (double)((const float *)call->inputs[M].data)[i],
               v = (double)((const float *)call->inputs[V].data)[i];
        const double g = (double)gradient[i] * clip;
        if (i < params->decay_count)
            param *= 1.0 - rate * (double)params->weight_decay;
        m += (g - m) * (double)params->rest1;
        v = v * (double)params->beta2 + (double)params->rest2 * g * g;
        const double denominator = sqrt(v) / (double)step->bias_correction2_sqrt + (double)params->eps;
        param -= rate / (double)step->bias_correction1 * m / denominator;
        ((float *)call->outputs[0].data)[i] = (float)param;
        ((float *)call->outputs[1].data)[i] = (float)m;
        ((float *)call->outputs[2].data)[i] = (float)v;
    }
}

typedef struct adamw_arrays {
    const float *gradient;
    float *param, *m, *v; /* in place */
    tuff__adamw_params params;
    float clip, decay, rate, correction2;
} adamw_arrays;

TUFF__SIMD static void adamw_range(void *user, int64_t first, int64_t last)
{
    const adamw_arrays a = *(const adamw_arrays *)user;
    const float *restrict gradient = a.gradient;
    float *restrict params = a.param, *restrict ms = a.m, *restrict vs = a.v;
    for (int64_t i = first; i < last; i++) {
        const float g = gradient[i] * a.clip;
        const float m = ms[i] + (g - ms[i]) * a.params.rest1;
        const float v = vs[i] * a.params.beta2 + a.params.rest2 * g * g;
        const float param = params[i] * (i < a.params.decay_count ? a.decay : 1.0F);
        params[i] = param - a.rate * m / (sqrtf(v) / a.correction2 + a.params.eps);
        ms[i] = m;
        vs[i] = v;
    }
}

static void adamw_compute_fast(const tuff_op_call *call)
{
    const tuff_step_parameters *step = call->inputs[STEP].data;
    adamw_arrays arrays = {
        .gradient = call->inputs[GRADIENT].data,
        .param = call->outputs[0].data,
        .m = call->outputs[1].data,
        .v = call->outputs[2].data,
        .params = *(const tuff__adamw_params *)call->params,
        .clip = (float)clip_factor(call),
        .rate = step->learning_rate / step->bias_correction1,
        .correction2 = step->bias_correction2_sqrt,
    };
    arrays.decay = (float)(1.0 - (double)step->learning_rate * (double)arrays.params.weight_decay);
    tuff__pool_run_range(call->pool, tuff_shape_count(&call->inputs[PARAM].shape), FLAT_GRAIN, adamw_range, &arrays);
}

static tuff_status adamw_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const tuff__adamw_params *params = call->params;
    const int64_t count = tuff_shape_count(&call->inputs[PARAM].shape);
    const int64_t part = tuff__rows_per_binding(call->target, count, sizeof(float));
    const bool clips = params->max_grad_norm > 0.0F;
    for (int64_t first = 0; first < count; first += part) {
        const int64_t n = tuff__min_i64(part, count - first);
        const struct tuff_push_adamw push = {
            .count = (uint32_t)n,
            .decay_count = (uint32_t)tuff__max_i64(0, tuff__min_i64(n, params->decay_count - first)),
            .beta2 = params->beta2,
            .rest1 = params->rest1,
            .rest2 = params->rest2,
            .eps = params->eps,
            .weight_decay = params->weight_decay,
            .max_grad_norm = params->max_grad_norm,
        };
        const tuff__dispatch dispatch = {
            .shader = "adamw",
            .push_constants = &push,
            .push_constants_size = sizeof push,
            .constants = {clips},
            .constant_count = 1,
            .group_count = {tuff__groups_for(call->target, n, 128), 1, 1},
            .bindings = {tuff__slice_rows(&call->inputs[GRADIENT], first, n, sizeof(float)),
                         call->inputs[clips ? NORM : STEP].slice, call->inputs[STEP].slice,
                         tuff__slice_rows(&call->outputs[0], first, n, sizeof(float)),
                         tuff__slice_rows(&call->outputs[1], first, n, sizeof(float)),
                         tuff__slice_rows(&call->outputs[2], first, n, sizeof(float))},
            .binding_count = 6,
        };
        TUFF_TRY(tuff__dispatch_record(recorder, call, &dispatch));
    }
    return TUFF_SUCCESS;
}

/* v adds what is positive. m rounds by its steps, and itself. A parameter rounds by itself, and by an update whose m
 * cancels: inputs are as before the step. */
static void adamw_magnitude(const tuff_op_call *call, uint32_t output, float *out)
{
    const tuff__adamw_params *params = call->params;
    const tuff_step_parameters *step = call->inputs[STEP].data;
    const double clip = clip_factor(call), rate = (double)step->learning_rate / (double)step->bias_correction1;
    const float *gradient = call->inputs[GRADIENT].data, *first = call->inputs[M].data, *second = call->inputs[V].data;
    const int64_t count = tuff_shape_count(&call->inputs[PARAM].shape);
    for (int64_t i = 0; i < count; i++) {
        const double g = (double)gradient[i] * clip, m = (double)first[i];
        const double moved = (fabs(g) + fabs(m)) * (double)params->rest1;
        const double v = (double)second[i] * (double)params->beta2 + (double)params->rest2 * g * g;
        const double denominator = sqrt(v) / (double)step->bias_correction2_sqrt + (double)params->eps;
        const double update = rate * (fabs(m + (g - m) * (double)params->rest1) + moved) / denominator;
        out[i] = (float)(output == 0 ? update : output == 1 ? moved : 0);
    }
}

static double adamw_flops(const tuff_op_call *call)
{
    return 16.0 * (double)tuff_shape_count(&call->inputs[PARAM].shape);
}

const tuff_op_desc tuff__op_adamw = {
    .name = "adamw",
    .input_count = 6,
    .output_count = 3,
    .optional_inputs = 2,
    .alias = {PARAM + 1, M + 1, V + 1},
    .allowance = 8.0F, /* a chain of twelve correctly rounded operations */
    .infer = adamw_infer,
    .compute = adamw_compute,
    .compute_fast = adamw_compute_fast,
    .record = adamw_record,
    .flops = adamw_flops,
    .magnitude = adamw_magnitude,
};

/* 1 - beta for the decimal that beta stands for: 0.999F is 0.99900001287, and 1 minus that is off by 1.3e-5. */
static float rest_of(float beta)
{
    const double decimal = round((double)beta * 1e7) / 1e7;
    return (float)(1.0 - (fabs(decimal - (double)beta) < 1e-7 ? decimal : (double)beta));
}

tuff_tensor tuff_adamw(tuff_graph *graph, tuff_tensor param, tuff_tensor gradient, tuff_tensor m, tuff_tensor v,
                       const tuff_adamw_info *info)
{
    if (!tuff__graph_given(graph, info, "adamw: info"))
        return (tuff_tensor){0};
    tuff__adamw_params params = {
        .beta1 = info->beta1 != 0.0F ? info->beta1 : 0.9F,
        .beta2 = info->beta2 != 0.0F ? info->beta2 : 0.999F,
        .eps = info->eps != 0.0F ? info->eps : 1e-8F,
        .weight_decay = info->weight_decay,
        .decay_count = info->decay_count,
        .max_grad_norm = info->max_grad_norm,
    };
    params.rest1 = rest_of(params.beta1);
    params.rest2 = rest_of(params.beta2);
    const tuff_tensor inputs[] = {param, gradient, m, v, info->norm, info->step_parameters};
    return tuff__graph_add(graph, TUFF__OP_ADAMW, &params, sizeof params, inputs, 6, NULL);
}
