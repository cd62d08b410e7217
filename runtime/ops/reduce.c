/*
 * reduce.c: owns reductions over one dimension, which is kept with size 1; a tensor is seen as [outer, n, inner].
 *
 *   sum     Σ_n x              dx = dy, repeated n times
 *   mean    Σ_n x / n          dx = dy/n, repeated n times
 *   max     the largest        dx = dy where the first maximum is, else 0
 *   argmax  its first index    none
 *
 * A NaN is the largest of all, as in PyTorch. Sums have a fixed order on each device: chunks of n side by side, then
 * the chunks' sums. The gradient of a bias, Σ over thousands of rows of a few hundred columns, lives from those chunks.
 */
#include "reduce.h"

#include "../../shaders/reduce.h"
#include "../cpu/cpu_pool.h"
#include "../cpu/simd.h"
#include "window.h"

#include <string.h>

enum { COLUMN_BLOCK = 64, ROW_BLOCK = 32, SUM_BLOCK = 1024, FLAT_GRAIN = 16384 };
enum { ROW_CHUNK = 2048, SHORT_ROW = 64, FEW_ROWS = 256, MIN_CHUNK = 32, MAX_CHUNKS = 256, WANTED_LANES = 65536 };

typedef struct reduce_view {
    int64_t outer, n, inner;
} reduce_view;

static reduce_view view_of(const tuff_op_call *call)
{
    const uint32_t dim = ((const tuff__reduce_params *)call->params)->dim;
    const tuff_shape *x = &call->inputs[0].shape;
    return (reduce_view){
        .outer = tuff__shape_product(x, 0, dim),
        .n = x->dims[dim],
        .inner = tuff__shape_product(x, dim + 1, x->rank),
    };
}

static tuff_status check_reduce(const tuff_op_call *call, tuff_shape *out_shape)
{
    const uint32_t dim = ((const tuff__reduce_params *)call->params)->dim;
    char text[TUFF__SHAPE_TEXT];
    *out_shape = call->inputs[0].shape;
    TUFF_TRY(tuff__check_dtype(call, 0, TUFF_F32));
    if (dim >= out_shape->rank)
        return tuff__fail_shape(call, "dimension %u of %s", dim, tuff__shape_text(out_shape, text));
    out_shape->dims[dim] = 1;
    return TUFF_SUCCESS;
}

static tuff_status sum_infer(tuff_op_call *call)
{
    tuff_shape shape;
    TUFF_TRY(check_reduce(call, &shape));
    tuff__output_set(call, 0, TUFF_F32, shape);
    return TUFF_SUCCESS;
}

static tuff_status max_infer(tuff_op_call *call)
{
    tuff_shape shape;
    TUFF_TRY(check_reduce(call, &shape));
    tuff__output_set(call, 0, TUFF_F32, shape);
    tuff__output_set(call, 1, TUFF_I32, shape);
    return TUFF_SUCCESS;
}

static tuff_status argmax_infer(tuff_op_call *call)
{
    tuff_shape shape;
    TUFF_TRY(check_reduce(call, &shape));
    tuff__output_set(call, 0, TUFF_I32, shape);
    return TUFF_SUCCESS;
}

/* -- reference ---------------------------------------------------------------------------------------------------- */

static void reference_sum(const tuff_op_call *call, double divisor)
{
    const reduce_view v = view_of(call);
    for (int64_t o = 0; o < v.outer; o++)
        for (int64_t i = 0; i < v.inner; i++) {
            const float *x = (const float *)call->inputs[0].data + o * v.n * v.inner + i;
            double sum = 0;
            for (int64_t k = 0; k < v.n; k++)
                sum += (double)x[k * v.inner];
            ((float *)call->outputs[0].data)[o * v.inner + i] = (float)(sum / divisor);
        }
}

static void sum_compute(const tuff_op_call *call)
{
    reference_sum(call, 1.0);
}

static void mean_compute(const tuff_op_call *call)
{
    reference_sum(call, (double)view_of(call).n);
}

static bool is_larger(float x, float best)
{
    return x > best || (isnan(x) && !isnan(best));
}

/* `value` or `index` may be NULL. */
static void find_max(const float *x, int64_t n, int64_t stride, float *value, int32_t *index)
{
    int64_t best = 0;
    for (int64_t k = 1; k < n; k++)
        if (is_larger(x[k * stride], x[best * stride]))
            best = k;
    if (value)
        *value = x[best * stride];
    if (index)
        *index = (int32_t)best;
}

static void reference_max(const tuff_op_call *call, float *values, int32_t *indices)
{
    const reduce_view v = view_of(call);
    for (int64_t o = 0; o < v.outer; o++)
        for (int64_t i = 0; i < v.inner; i++) {
            const int64_t at = o * v.inner + i;
            find_max((const float *)call->inputs[0].data + o * v.n * v.inner + i, v.n, v.inner,
                     values ? values + at : NULL, indices ? indices + at : NULL);
        }
}

static void max_compute(const tuff_op_call *call)
{
    reference_max(call, call->outputs[0].data, call->outputs[1].data);
}

static void argmax_compute(const tuff_op_call *call)
{
    reference_max(call, NULL, call->outputs[0].data);
}

/* -- the CPU device ----------------------------------------------------------------------------------------------- */

typedef struct reduce_arrays {
    const float *x;
    float *values;
    int32_t *indices;
    reduce_view view;
    float scale;
} reduce_arrays;

/* inner is 1: one row after the other. */
TUFF__SIMD static void sum_rows(void *user, int64_t first, int64_t last)
{
    const reduce_arrays a = *(const reduce_arrays *)user;
    for (int64_t r = first; r < last; r++) {
        const float *x = a.x + r * a.view.n;
        double sum = 0; /* of blocks, so that long rows keep their digits */
        for (int64_t k = 0; k < a.view.n; k += SUM_BLOCK)
            sum += (double)tuff__sum(x + k, NULL, 0.0F, a.view.n - k < SUM_BLOCK ? a.view.n - k : SUM_BLOCK);
        a.values[r] = (float)(sum * (double)a.scale);
    }
}

/* Item: a block of 64 columns of one outer slab. Blocks of 32 rows are summed first, then their sums. */
TUFF__SIMD static void sum_columns(void *user, int64_t first, int64_t last)
{
    const reduce_arrays a = *(const reduce_arrays *)user;
    const int64_t blocks = (a.view.inner + COLUMN_BLOCK - 1) / COLUMN_BLOCK, inner = a.view.inner;
    for (int64_t item = first; item < last; item++) {
        const int64_t o = item / blocks, start = item % blocks * COLUMN_BLOCK;
        const int64_t width = inner - start < COLUMN_BLOCK ? inner - start : COLUMN_BLOCK;
        const float *x = a.x + o * a.view.n * inner + start;
        float total[COLUMN_BLOCK] = {0};
        for (int64_t row = 0; row < a.view.n; row += ROW_BLOCK) {
            float part[COLUMN_BLOCK] = {0};
            const int64_t end = row + ROW_BLOCK < a.view.n ? row + ROW_BLOCK : a.view.n;
            for (int64_t k = row; k < end; k++)
                for (int64_t c = 0; c < width; c++)
                    part[c] += x[k * inner + c];
            for (int64_t c = 0; c < width; c++)
                total[c] += part[c];
        }
        for (int64_t c = 0; c < width; c++)
            a.values[o * inner + start + c] = total[c] * a.scale;
    }
}

static void fast_sum(const tuff_op_call *call, float scale)
{
    reduce_arrays arrays = {
        .x = call->inputs[0].data,
        .values = call->outputs[0].data,
        .view = view_of(call),
        .scale = scale,
    };
    const reduce_view *v = &arrays.view;
    if (v->inner == 1) {
        const int64_t grain = tuff__max_i64(1, FLAT_GRAIN / v->n);
        tuff__pool_run_range(call->pool, v->outer, grain, sum_rows, &arrays);
    } else {
        const int64_t grain = tuff__max_i64(1, FLAT_GRAIN / (v->n * COLUMN_BLOCK));
        tuff__pool_run_range(call->pool, v->outer * ((v->inner + COLUMN_BLOCK - 1) / COLUMN_BLOCK), grain, sum_columns,
                             &arrays);
    }
}

static void sum_compute_fast(const tuff_op_call *call)
{
    fast_sum(call, 1.0F);
}

static void mean_compute_fast(const tuff_op_call *call)
{
    fast_sum(call, 1.0F / (float)view_of(call).n);
}

/* The first index of the largest element, which a vectorised pass has found: sought in blocks, vectorised too. */
TUFF__INLINE int32_t index_of(const float *x, int64_t n, float value)
{
    int64_t k = 0;
    for (; k + SHORT_ROW <= n; k += SHORT_ROW) {
        int found = 0;
        for (int64_t i = 0; i < SHORT_ROW; i++)
            found |= x[k + i] == value || x[k + i] != x[k + i];
        if (found)
            break;
    }
    while (x[k] != value && x[k] == x[k])
        k++;
    return (int32_t)k;
}

TUFF__SIMD static void max_rows(void *user, int64_t first, int64_t last)
{
    const reduce_arrays a = *(const reduce_arrays *)user;
    for (int64_t r = first; r < last; r++) {
        const float *x = a.x + r * a.view.n;
        const float value = tuff__max(x, a.view.n);
        if (a.values)
            a.values[r] = value;
        if (a.indices)
            a.indices[r] = index_of(x, a.view.n, value);
    }
}

static void max_items(void *user, int64_t first, int64_t last)
{
    const reduce_arrays *a = user;
    const int64_t inner = a->view.inner;
    for (int64_t at = first; at < last; at++)
        find_max(a->x + at / inner * a->view.n * inner + at % inner, a->view.n, inner,
                 a->values ? a->values + at : NULL, a->indices ? a->indices + at : NULL);
}

static void fast_max(const tuff_op_call *call, float *values, int32_t *indices)
{
    reduce_arrays arrays = {.x = call->inputs[0].data, .values = values, .indices = indices, .view = view_of(call)};
    const int64_t grain = tuff__max_i64(1, FLAT_GRAIN / arrays.view.n);
    tuff__pool_run_range(call->pool, arrays.view.outer * arrays.view.inner, grain,
                         arrays.view.inner == 1 ? max_rows : max_items, &arrays);
}

static void max_compute_fast(const tuff_op_call *call)
{
    fast_max(call, call->outputs[0].data, call->outputs[1].data);
}

static void argmax_compute_fast(const tuff_op_call *call)
{
    fast_max(call, NULL, call->outputs[0].data);
}

/* -- Vulkan: how n is cut ----------------------------------------------------------------------------------------- */

/* One pass over [outer, n, inner], cutting n into chunks of `chunk`, which leave [outer, chunks, inner]. */
typedef struct reduce_pass {
    reduce_view view;
    int64_t chunk, chunks;
    bool rows; /* a workgroup a chunk of a row (inner is 1), else an invocation a chunk of a column */
    uint32_t kind, flags;
    float scale;
    tuff__slice in, in_indices, out, out_indices;
} reduce_pass;

static reduce_pass plan_pass(reduce_view view, const tuff__target *target)
{
    const int64_t limit = tuff__window_limit(target);
    reduce_pass pass = {.view = view, .chunk = view.n, .rows = view.inner == 1 && view.n > SHORT_ROW};
    if (pass.rows) {
        if (view.n > limit || (view.outer < FEW_ROWS && view.n > 4 * ROW_CHUNK))
            pass.chunk = ROW_CHUNK;
    } else {
        const int64_t lanes = view.outer * view.inner;
        const int64_t wanted = tuff__min_i64(MAX_CHUNKS, tuff__max_i64(1, WANTED_LANES / lanes));
        pass.chunk = tuff__min_i64(view.n, tuff__max_i64(MIN_CHUNK, tuff__divide_up(view.n, wanted)));
        if (view.n * view.inner > limit && view.inner <= limit)
            pass.chunk = tuff__min_i64(pass.chunk, limit / view.inner);
    }
    pass.chunks = tuff__divide_up(view.n, pass.chunk);
    return pass;
}

/* Partial results of the first pass, and behind them their indices. */
static uint64_t partial_size(const reduce_pass *pass)
{
    if (pass->chunks == 1)
        return 0;
    return tuff__align_up((uint64_t)(pass->view.outer * pass->chunks * pass->view.inner) * 4);
}

static uint64_t reduce_workspace(const tuff_op_call *call, const tuff__target *target)
{
    if (target->backend != TUFF_BACKEND_VULKAN)
        return 0;
    const reduce_pass pass = plan_pass(view_of(call), target);
    return 2 * partial_size(&pass);
}

/* Outer slabs [o, o + outers), chunks [k, k + chunks) of each. One slab, or all chunks: what is
 * written is one range. */
static tuff_status record_chunks(const tuff_op_call *call, tuff__recorder *recorder, const reduce_pass *pass, int64_t o,
                                 int64_t outers, int64_t k, int64_t chunks)
{
    const reduce_view *v = &pass->view;
    const int64_t n_first = k * pass->chunk, n = tuff__min_i64(v->n - n_first, chunks * pass->chunk);
    const int64_t in = (o * v->n + n_first) * v->inner, in_count = outers * n * v->inner;
    const int64_t out = (o * pass->chunks + k) * v->inner, out_count = outers * chunks * v->inner;
    const uint32_t lanes = tuff__row_lanes(call->target, tuff__min_i64(n, pass->chunk));
    struct tuff_push_reduce push = {
        .outer = (uint32_t)outers,
        .n = (uint32_t)n,
        .inner = (uint32_t)v->inner,
        .chunk = (uint32_t)pass->chunk,
        .chunks = (uint32_t)chunks,
        .n_first = (uint32_t)n_first,
        .scale = pass->scale,
    };
    const tuff__dispatch dispatch = {
        .shader = pass->rows ? "reduce_row" : "reduce_column",
        .push_constants = &push,
        .push_constants_size = sizeof push,
        .constants = {pass->kind, pass->flags, lanes},
        .constant_count = pass->rows ? 3 : 2,
        .group_count = {pass->rows ? tuff__groups_for(call->target, outers * chunks, TUFF__ROW_GROUP / lanes)
                                   : tuff__groups_for(call->target, outers * v->inner, 128),
                        pass->rows ? 1 : (uint32_t)chunks, 1},
        .bindings = {tuff__window(pass->in, in, in_count, &push.in_base),
                     tuff__window(pass->in_indices, in, in_count, &push.in_base),
                     tuff__window(pass->out, out, out_count, &push.out_base),
                     tuff__window(pass->out_indices, out, out_count, &push.out_base)},
        .binding_count = 4,
    };
    return tuff__dispatch_record(recorder, call, &dispatch);
}

static tuff_status record_pass(const tuff_op_call *call, tuff__recorder *recorder, const reduce_pass *pass)
{
    const reduce_view *v = &pass->view;
    const int64_t limit = tuff__window_limit(call->target), slab = v->n * v->inner;
    if (slab <= limit) {
        const int64_t part = tuff__min_i64(v->outer, limit / slab);
        for (int64_t o = 0; o < v->outer; o += part)
            TUFF_TRY(record_chunks(call, recorder, pass, o, tuff__min_i64(part, v->outer - o), 0, pass->chunks));
        return TUFF_SUCCESS;
    }
    const int64_t part = tuff__min_i64(limit / (pass->chunk * v->inner), call->target->max_workgroup_count[1]);
    if (part == 0)
        return tuff__fail_window(call, "a chunk", pass->chunk * v->inner);
    for (int64_t o = 0; o < v->outer; o++)
        for (int64_t k = 0; k < pass->chunks; k += part)
            TUFF_TRY(record_chunks(call, recorder, pass, o, 1, k, tuff__min_i64(part, pass->chunks - k)));
    return TUFF_SUCCESS;
}

/* Passes until one chunk is left: seldom more than two. */
static tuff_status record_reduce(const tuff_op_call *call, tuff__recorder *recorder, uint32_t kind, uint32_t flags,
                                 float scale, tuff__slice values, tuff__slice indices)
{
    const bool with_indices = kind == TUFF_REDUCE_MAX;
    tuff__slice in = call->inputs[0].slice, in_indices = call->inputs[0].slice;
    reduce_pass pass = plan_pass(view_of(call), call->target);
    pass.kind = kind;
    pass.in = in;
    pass.in_indices = in_indices;
    if (pass.chunks > 1) {
        const uint64_t size = partial_size(&pass);
        pass.scale = 1.0F;
        pass.flags = with_indices ? TUFF_REDUCE_WRITES_VALUES | TUFF_REDUCE_WRITES_INDICES : 0;
        pass.out = tuff__slice_part(call->workspace_slice, 0, size);
        pass.out_indices = tuff__slice_part(call->workspace_slice, size, size);
        TUFF_TRY(record_pass(call, recorder, &pass));
        in = pass.out;
        in_indices = pass.out_indices;
        const reduce_view rest = {pass.view.outer, pass.chunks, pass.view.inner};
        pass = (reduce_pass){
            .view = rest, .chunk = rest.n, .chunks = 1, .kind = kind, .rows = rest.inner == 1 && rest.n > SHORT_ROW};
        flags |= with_indices ? TUFF_REDUCE_READS_INDICES : 0;
    }
    pass.scale = scale;
    pass.flags = flags;
    pass.in = in;
    pass.in_indices = in_indices;
    pass.out = values;
    pass.out_indices = indices;
    return record_pass(call, recorder, &pass);
}

static tuff_status sum_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const tuff__slice out = call->outputs[0].slice;
    return record_reduce(call, recorder, TUFF_REDUCE_SUM, 0, 1.0F, out, out);
}

static tuff_status mean_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const tuff__slice out = call->outputs[0].slice;
    return record_reduce(call, recorder, TUFF_REDUCE_SUM, 0, 1.0F / (float)view_of(call).n, out, out);
}

static tuff_status max_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    return record_reduce(call, recorder, TUFF_REDUCE_MAX, TUFF_REDUCE_WRITES_VALUES | TUFF_REDUCE_WRITES_INDICES, 1.0F,
                         call->outputs[0].slice, call->outputs[1].slice);
}

static tuff_status argmax_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    return record_reduce(call, recorder, TUFF_REDUCE_MAX, TUFF_REDUCE_WRITES_INDICES, 1.0F, call->outputs[0].slice,
                         call->outputs[0].slice);
}

/* -- gradients ---------------------------------------------------------------------------------------------------- */

static int64_t reduced_length(const tuff__gradient *g)
{
    return tuff_tensor_shape(g->graph, g->inputs[0]).dims[((const tuff__reduce_params *)g->params)->dim];
}

static void sum_differentiate(tuff__gradient *g)
{
    const uint32_t dim = ((const tuff__reduce_params *)g->params)->dim;
    g->input_grads[0] = tuff_expand(g->graph, g->output_grads[0], dim, reduced_length(g));
}

static void mean_differentiate(tuff__gradient *g)
{
    const uint32_t dim = ((const tuff__reduce_params *)g->params)->dim;
    const int64_t n = reduced_length(g);
    const tuff_tensor scaled = tuff_scale(g->graph, g->output_grads[0], 1.0F / (float)n);
    g->input_grads[0] = tuff_expand(g->graph, scaled, dim, n);
}

static void max_differentiate(tuff__gradient *g)
{
    const tuff__max_backward_params params = {
        .shape = tuff_tensor_shape(g->graph, g->inputs[0]),
        .dim = ((const tuff__reduce_params *)g->params)->dim,
    };
    const tuff_tensor inputs[] = {g->output_grads[0], g->outputs[1]};
    if (g->output_grads[0].id)
        g->input_grads[0] = tuff__graph_add(g->graph, TUFF__OP_MAX_BACKWARD, &params, sizeof params, inputs, 2, NULL);
}

static double sum_flops(const tuff_op_call *call)
{
    return (double)tuff_shape_count(&call->inputs[0].shape);
}

/* Sum of the terms' sizes, times a factor. */
static void term_sizes(const tuff_op_call *call, double factor, float *out)
{
    const reduce_view v = view_of(call);
    const float *x = call->inputs[0].data;
    for (int64_t o = 0; o < v.outer; o++)
        for (int64_t i = 0; i < v.inner; i++) {
            double sum = 0;
            for (int64_t n = 0; n < v.n; n++)
                sum += fabs((double)x[(o * v.n + n) * v.inner + i]);
            out[o * v.inner + i] = (float)(factor * sum);
        }
}

static void sum_magnitude(const tuff_op_call *call, uint32_t output, float *out)
{
    (void)output;
    term_sizes(call, 1, out);
}

static void mean_magnitude(const tuff_op_call *call, uint32_t output, float *out)
{
    (void)output;
    term_sizes(call, 1 / (double)view_of(call).n, out);
}

const tuff_op_desc tuff__op_sum = {
    .name = "sum",
    .input_count = 1,
    .output_count = 1,
    .allowance = 8.0F, /* chains of 64 at most inside a chunk, of 256 over the chunks, with rounding of random sign */
    .infer = sum_infer,
    .workspace = reduce_workspace,
    .compute = sum_compute,
    .compute_fast = sum_compute_fast,
    .record = sum_record,
    .backward = sum_differentiate,
    .flops = sum_flops,
    .magnitude = sum_magnitude,
};

const tuff_op_desc tuff__op_mean = {
    .name = "mean",
    .input_count = 1,
    .output_count = 1,
    .allowance = 8.0F, /* as sum */
    .infer = sum_infer,
    .workspace = reduce_workspace,
    .compute = mean_compute,
    .compute_fast = mean_compute_fast,
    .record = mean_record,
    .backward = mean_differentiate,
    .flops = sum_flops,
    .magnitude = mean_magnitude,
};

const tuff_op_desc tuff__op_max = {
    .name = "max",
    .input_count = 1,
    .output_count = 2,
    .in_order = true,
    .infer = max_infer,
    .workspace = reduce_workspace,
    .compute = max_compute,
    .compute_fast = max_compute_fast,
    .record = max_record,
    .backward = max_differentiate,
    .flops = sum_flops,
};

const tuff_op_desc tuff__op_argmax = {
    .name = "argmax",
    .input_count = 1,
    .output_count = 1,
    .in_order = true,
    .infer = argmax_infer,
    .workspace = reduce_workspace,
    .compute = argmax_compute,
    .compute_fast = argmax_compute_fast,
    .record = argmax_record,
    .flops = sum_flops,
};

static tuff_tensor add_reduction(tuff_graph *graph, tuff__op_id op, tuff_tensor x, uint32_t dim)
{
    const tuff__reduce_params params = {.dim = dim};
    return tuff__graph_add(graph, op, &params, sizeof params, &x, 1, NULL);
}

tuff_tensor tuff_sum(tuff_graph *graph, tuff_tensor x, uint32_t dim)
{
    return add_reduction(graph, TUFF__OP_SUM, x, dim);
}

tuff_tensor tuff_mean(tuff_graph *graph, tuff_tensor x, uint32_t dim)
{
    return add_reduction(graph, TUFF__OP_MEAN, x, dim);
}

tuff_tensor tuff_max(tuff_graph *graph, tuff_tensor x, uint32_t dim)
{
    return add_reduction(graph, TUFF__OP_MAX, x, dim);
}

tuff_tensor tuff_argmax(tuff_graph *graph, tuff_tensor x, uint32_t dim)
{
    return add_reduction(graph, TUFF__OP_ARGMAX, x, dim);
}

/* -- max's gradient ----------------------------------------------------------------------------------------------- */

enum { DY = 0, INDICES = 1 };

static reduce_view view_of_max(const tuff_op_call *call)
{
    const tuff__max_backward_params *params = call->params;
    return (reduce_view){
        .outer = tuff__shape_product(&params->shape, 0, params->dim),
        .n = params->shape.dims[params->dim],
        .inner = tuff__shape_product(&params->shape, params->dim + 1, params->shape.rank),
    };
}

static tuff_status max_backward_infer(tuff_op_call *call)
{
    const tuff__max_backward_params *params = call->params;
    tuff_shape reduced = params->shape;
    char text[TUFF__SHAPE_TEXT];
    TUFF_TRY(tuff__check_dtype(call, DY, TUFF_F32));
    TUFF_TRY(tuff__check_dtype(call, INDICES, TUFF_I32));
    if (!tuff__shape_valid(&reduced) || params->dim >= reduced.rank)
        return tuff__fail_shape(call, "dimension %u of %s", params->dim, tuff__shape_text(&reduced, text));
    reduced.dims[params->dim] = 1;
    if (!tuff__shape_equal(&call->inputs[DY].shape, &reduced) ||
        !tuff__shape_equal(&call->inputs[INDICES].shape, &reduced))
        return tuff__fail_shape(call, "gradient and indices are not %s", tuff__shape_text(&reduced, text));
    tuff__output_set(call, 0, TUFF_F32, params->shape);
    return TUFF_SUCCESS;
}

static void max_backward_compute(const tuff_op_call *call)
{
    const reduce_view v = view_of_max(call);
    const float *dy = call->inputs[DY].data;
    const int32_t *indices = call->inputs[INDICES].data;
    for (int64_t i = 0; i < v.outer * v.n * v.inner; i++) {
        const int64_t at = i / (v.n * v.inner) * v.inner + i % v.inner;
        ((float *)call->outputs[0].data)[i] = i / v.inner % v.n == indices[at] ? dy[at] : 0.0F;
    }
}

static void max_backward_compute_fast(const tuff_op_call *call)
{
    const reduce_view v = view_of_max(call);
    const float *dy = call->inputs[DY].data;
    const int32_t *indices = call->inputs[INDICES].data;
    float *dx = call->outputs[0].data;
    memset(dx, 0, (size_t)(v.outer * v.n * v.inner) * sizeof *dx);
    for (int64_t at = 0; at < v.outer * v.inner; at++)
        if (indices[at] >= 0 && indices[at] < v.n)
            dx[(at / v.inner * v.n + indices[at]) * v.inner + at % v.inner] = dy[at];
}

static tuff_status max_backward_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const reduce_view v = view_of_max(call);
    const int64_t limit = tuff__window_limit(call->target), slab = v.n * v.inner, total = v.outer * slab;
    if (v.inner > limit)
        return tuff__fail_window(call, "a row", v.inner);
    for (int64_t first = 0; first < total;) {
        /* As much as fits, but within as many slabs as the reduced tensors' windows take. */
        const int64_t outer = first / slab, outers = tuff__min_i64(v.outer - outer, limit / v.inner);
        const int64_t count = tuff__min_i64(limit, (outer + outers) * slab - first);
        struct tuff_push_max_backward push = {
            .count = (uint32_t)count,
            .first = (uint32_t)(first - outer * slab),
            .n = (uint32_t)v.n,
            .inner = (uint32_t)v.inner,
        };
        const tuff__dispatch dispatch = {
            .shader = "max_backward",
            .push_constants = &push,
            .push_constants_size = sizeof push,
            .group_count = {tuff__groups_for(call->target, count, 128), 1, 1},
            .bindings = {tuff__window(call->inputs[DY].slice, outer * v.inner, outers * v.inner, &push.reduced_base),
                         tuff__window(call->inputs[INDICES].slice, outer * v.inner, outers * v.inner,
                                      &push.reduced_base),
                         tuff__window(call->outputs[0].slice, first, count, &push.base)},
            .binding_count = 3,
        };
        TUFF_TRY(tuff__dispatch_record(recorder, call, &dispatch));
        first += count;
    }
    return TUFF_SUCCESS;
}

const tuff_op_desc tuff__op_max_backward = {
    .name = "max_backward",
    .input_count = 2,
    .output_count = 1,
    .in_order = true,
    .infer = max_backward_infer,
    .compute = max_backward_compute,
    .compute_fast = max_backward_compute_fast,
    .record = max_backward_record,
};
