/*
 * dropout.c: owns dropout, Srivastava et al. 2014 in its inverted form:
 *
 *   y = x·scale where word(element) >= p·2³², else 0;   scale = 1/(1 - p), one f32 product
 *
 * The words come from Philox under (element/4, site, step) and the seed; see ops/philox.h. The gradient is the same
 * operator on dy with the same site: it draws the same words again.
 */
#include "dropout.h"

#include "../../shaders/dropout.h"
#include "../cpu/cpu_pool.h"
#include "philox.h"
#include "window.h"

enum { X = 0, STEP_PARAMETERS = 1, BLOCK_GRAIN = 2048 };

static tuff_status dropout_infer(tuff_op_call *call)
{
    const float p = ((const tuff__dropout_params *)call->params)->p;
    TUFF_TRY(tuff__check_dtype(call, X, TUFF_F32));
    TUFF_TRY(tuff__check_dtype(call, STEP_PARAMETERS, TUFF_I32));
    if (tuff_shape_count(&call->inputs[STEP_PARAMETERS].shape) * 4 != sizeof(tuff_step_parameters))
        return tuff__fail_shape(call, "input 1 is not the graph's step parameters");
    if (!(p >= 0.0F && p < 1.0F))
        return tuff__fail_value(call, "p is %g, wanted 0 <= p < 1", (double)p);
    tuff__output_like(call, 0, X);
    return TUFF_SUCCESS;
}

typedef struct dropout_arrays {
    const float *x;
    float *y;
    int64_t count;
    uint32_t seed[2], step, site, threshold;
    float scale;
} dropout_arrays;

static dropout_arrays arrays_of(const tuff_op_call *call)
{
    const tuff__dropout_params *params = call->params;
    const tuff_step_parameters *step = call->inputs[STEP_PARAMETERS].data;
    return (dropout_arrays){
        .x = call->inputs[X].data,
        .y = call->outputs[0].data,
        .count = tuff_shape_count(&call->inputs[X].shape),
        .seed = {step->seed[0], step->seed[1]},
        .step = step->step,
        .site = params->site,
        .threshold = tuff__dropout_threshold(params->p),
        .scale = tuff__dropout_scale(params->p),
    };
}

static void dropout_compute(const tuff_op_call *call)
{
    const dropout_arrays a = arrays_of(call);
    for (int64_t i = 0; i < a.count; i++) {
        const tuff__philox_words words = tuff__dropout_words((uint64_t)i / 4, a.site, a.step, a.seed);
        a.y[i] = words.word[i % 4] >= a.threshold ? a.x[i] * a.scale : 0.0F;
    }
}

/* Whole blocks of four elements, the last one may be short. */
TUFF__SIMD static void dropout_blocks(void *user, int64_t first, int64_t last)
{
    const dropout_arrays a = *(const dropout_arrays *)user;
    const float *restrict x = a.x;
    float *restrict y = a.y;
    const int64_t whole = last * 4 <= a.count ? last : a.count / 4;
    for (int64_t block = first; block < whole; block++) {
        const tuff__philox_words words = tuff__dropout_words((uint64_t)block, a.site, a.step, a.seed);
        for (int lane = 0; lane < 4; lane++) {
            const float kept = x[block * 4 + lane] * a.scale;
            y[block * 4 + lane] = words.word[lane] >= a.threshold ? kept : 0.0F;
        }
    }
    if (whole < last) {
        const tuff__philox_words words = tuff__dropout_words((uint64_t)whole, a.site, a.step, a.seed);
        for (int64_t i = whole * 4; i < a.count; i++)
            y[i] = words.word[i % 4] >= a.threshold ? x[i] * a.scale : 0.0F;
    }
}

static void dropout_compute_fast(const tuff_op_call *call)
{
    dropout_arrays arrays = arrays_of(call);
    tuff__pool_run_range(call->pool, (arrays.count + 3) / 4, BLOCK_GRAIN, dropout_blocks, &arrays);
}

static tuff_status dropout_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const tuff__dropout_params *params = call->params;
    const int64_t count = tuff_shape_count(&call->inputs[X].shape);
    const int64_t part = tuff__rows_per_binding(call->target, count, sizeof(float)); /* a multiple of 64, or all */
    for (int64_t first = 0; first < count; first += part) {
        const int64_t n = tuff__min_i64(part, count - first);
        const struct tuff_push_dropout push = {
            .count = (uint32_t)n,
            .first_block = (uint32_t)(first / 4),
            .site = params->site,
            .threshold = tuff__dropout_threshold(params->p),
            .scale = tuff__dropout_scale(params->p),
        };
        const tuff__dispatch dispatch = {
            .shader = "dropout",
            .push_constants = &push,
            .push_constants_size = sizeof push,
            .group_count = {tuff__groups_for(call->target, (n + 3) / 4, 128), 1, 1},
            .bindings = {tuff__slice_rows(&call->inputs[X], first, n, sizeof(float)),
                         call->inputs[STEP_PARAMETERS].slice,
                         tuff__slice_rows(&call->outputs[0], first, n, sizeof(float))},
            .binding_count = 3,
        };
        TUFF_TRY(tuff__dispatch_record(recorder, call, &dispatch));
    }
    return TUFF_SUCCESS;
}

static void dropout_differentiate(tuff__gradient *g)
{
    const tuff_tensor inputs[] = {g->output_grads[0], g->inputs[STEP_PARAMETERS]};
    g->input_grads[X] =
        tuff__graph_add(g->graph, TUFF__OP_DROPOUT, g->params, sizeof(tuff__dropout_params), inputs, 2, NULL);
}

static double dropout_flops(const tuff_op_call *call)
{
    return 20.0 * (double)tuff_shape_count(&call->inputs[X].shape); /* ten rounds of eight operations for four */
}

const tuff_op_desc tuff__op_dropout = {
    .name = "dropout",
    .input_count = 2,
    .output_count = 1,
    .infer = dropout_infer,
    .compute = dropout_compute,
    .compute_fast = dropout_compute_fast,
    .record = dropout_record,
    .backward = dropout_differentiate,
    .flops = dropout_flops,
};

tuff_tensor tuff_dropout(tuff_graph *graph, tuff_tensor x, float p, tuff_tensor step_parameters)
{
    const tuff__dropout_params params = {.p = p, .site = tuff__graph_next_site(graph)};
    const tuff_tensor inputs[] = {x, step_parameters};
    return tuff__graph_add(graph, TUFF__OP_DROPOUT, &params, sizeof params, inputs, 2, NULL);
}
