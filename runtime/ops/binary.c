/*
 * binary.c: owns add and mul, where b is broadcast to a's shape as in NumPy.
 *
 *   y = a + b      da = dy        db = dy, summed over what was repeated
 *   y = a·b        da = dy·b      db = dy·a, summed likewise
 */
#include "../../shaders/binary.h"
#include "../cpu/cpu_pool.h"
#include "../cpu/simd.h"
#include "box.h"
#include "window.h"

enum { A = 0, B = 1, FLAT_GRAIN = 16384 };

static tuff_status binary_infer(tuff_op_call *call)
{
    const tuff_shape *a = &call->inputs[A].shape, *b = &call->inputs[B].shape;
    TUFF_TRY(tuff__check_dtype(call, A, TUFF_F32));
    TUFF_TRY(tuff__check_dtype(call, B, TUFF_F32));
    bool fits = b->rank <= a->rank;
    for (uint32_t d = 1; fits && d <= b->rank; d++)
        fits = b->dims[b->rank - d] == 1 || b->dims[b->rank - d] == a->dims[a->rank - d];
    if (!fits) {
        char a_text[TUFF__SHAPE_TEXT], b_text[TUFF__SHAPE_TEXT];
        return tuff__fail_shape(call, "b, %s, cannot be broadcast to a, %s", tuff__shape_text(b, b_text),
                                tuff__shape_text(a, a_text));
    }
    tuff__output_like(call, 0, A);
    return TUFF_SUCCESS;
}

/* The walk over b that meets a's elements in their order. */
static tuff__box broadcast_box(const tuff_op_call *call)
{
    const tuff__box a = tuff__box_of(&call->inputs[A].shape);
    tuff__box b = tuff__box_of(&call->inputs[B].shape);
    for (uint32_t d = 0; d < 4; d++) {
        if (b.dims[d] == 1)
            b.strides[d] = 0;
        b.dims[d] = a.dims[d];
    }
    return b;
}

static bool is_broadcast(const tuff_op_call *call)
{
    return tuff_shape_count(&call->inputs[A].shape) != tuff_shape_count(&call->inputs[B].shape);
}

static void add_compute(const tuff_op_call *call)
{
    const float *a = call->inputs[A].data, *b = call->inputs[B].data;
    const tuff__box box = broadcast_box(call);
    for (int64_t i = 0; i < tuff__box_count(&box); i++)
        ((float *)call->outputs[0].data)[i] = a[i] + b[tuff__box_at(&box, i)];
}

static void mul_compute(const tuff_op_call *call)
{
    const float *a = call->inputs[A].data, *b = call->inputs[B].data;
    const tuff__box box = broadcast_box(call);
    for (int64_t i = 0; i < tuff__box_count(&box); i++)
        ((float *)call->outputs[0].data)[i] = a[i] * b[tuff__box_at(&box, i)];
}

/* -- the CPU device: rows of contiguous b, or of one value of b --------------------------------------------------- */

typedef struct binary_arrays {
    const float *a, *b;
    float *y;
    tuff__box box;
    int64_t columns; /* of a row */
    bool repeats;    /* b gives one value for the whole row */
    bool multiply;
} binary_arrays;

TUFF__SIMD static void binary_row(float *restrict y, const float *a, const float *b, int64_t count, bool repeats,
                                  bool multiply)
{
    const float value = b[0];
    if (repeats && multiply)
        for (int64_t i = 0; i < count; i++)
            y[i] = a[i] * value;
    else if (repeats)
        for (int64_t i = 0; i < count; i++)
            y[i] = a[i] + value;
    else if (multiply)
        for (int64_t i = 0; i < count; i++)
            y[i] = a[i] * b[i];
    else
        for (int64_t i = 0; i < count; i++)
            y[i] = a[i] + b[i];
}

static void binary_flat(void *user, int64_t first, int64_t last)
{
    const binary_arrays *v = user;
    binary_row(v->y + first, v->a + first, v->b + first, last - first, false, v->multiply);
}

static void binary_rows(void *user, int64_t first, int64_t last)
{
    const binary_arrays *v = user;
    for (int64_t r = first; r < last; r++)
        binary_row(v->y + r * v->columns, v->a + r * v->columns, v->b + tuff__box_at(&v->box, r * v->columns),
                   v->columns, v->repeats, v->multiply);
}

static void run_fast(const tuff_op_call *call, bool multiply)
{
    const int64_t count = tuff_shape_count(&call->inputs[A].shape);
    binary_arrays arrays = {
        .a = call->inputs[A].data,
        .b = call->inputs[B].data,
        .y = call->outputs[0].data,
        .box = broadcast_box(call),
        .multiply = multiply,
    };
    if (!is_broadcast(call)) {
        tuff__pool_run_range(call->pool, count, FLAT_GRAIN, binary_flat, &arrays);
        return;
    }
    /* A row spans the last dimension and all before it that b repeats, or walks, in the same manner. */
    const tuff__box *box = &arrays.box;
    uint32_t d = 3;
    while (d > 0 && box->dims[d] == 1)
        d--;
    arrays.repeats = box->strides[d] == 0;
    arrays.columns = box->dims[d];
    while (d-- > 0) {
        const int64_t wanted = arrays.repeats ? 0 : arrays.columns;
        if (box->dims[d] != 1 && box->strides[d] != wanted)
            break;
        arrays.columns *= box->dims[d];
    }
    const int64_t grain = tuff__max_i64(1, FLAT_GRAIN / arrays.columns);
    tuff__pool_run_range(call->pool, count / arrays.columns, grain, binary_rows, &arrays);
}

static void add_compute_fast(const tuff_op_call *call)
{
    run_fast(call, false);
}

static void mul_compute_fast(const tuff_op_call *call)
{
    run_fast(call, true);
}

/* -- Vulkan ------------------------------------------------------------------------------------------------------- */

static tuff_status record_window(const tuff_op_call *call, tuff__recorder *recorder, uint32_t kind, int64_t first,
                                 int64_t count)
{
    const tuff__box box = broadcast_box(call);
    const int64_t limit = tuff__window_limit(call->target);
    int64_t low, high;
    tuff__box_range(&box, first, count, &low, &high);
    for (int64_t b_first = low; b_first <= high; b_first += limit) {
        const int64_t b_count = tuff__min_i64(limit, high + 1 - b_first);
        struct tuff_push_binary push = {
            .count = (uint32_t)count,
            .first = (uint32_t)first,
            .dim1 = (uint32_t)box.dims[1],
            .dim2 = (uint32_t)box.dims[2],
            .dim3 = (uint32_t)box.dims[3],
            .stride0 = (uint32_t)box.strides[0],
            .stride1 = (uint32_t)box.strides[1],
            .stride2 = (uint32_t)box.strides[2],
            .stride3 = (uint32_t)box.strides[3],
            .b_first = (uint32_t)b_first,
            .b_count = (uint32_t)b_count,
        };
        const tuff__dispatch dispatch = {
            .shader = "binary",
            .push_constants = &push,
            .push_constants_size = sizeof push,
            .constants = {kind, is_broadcast(call)},
            .constant_count = 2,
            .group_count = {tuff__groups_for(call->target, count, 128), 1, 1},
            .bindings = {tuff__slice_rows(&call->inputs[A], first, count, sizeof(float)),
                         tuff__window(call->inputs[B].slice, b_first, b_count, &push.b_base),
                         tuff__slice_rows(&call->outputs[0], first, count, sizeof(float))},
            .binding_count = 3,
        };
        TUFF_TRY(tuff__dispatch_record(recorder, call, &dispatch));
    }
    return TUFF_SUCCESS;
}

static tuff_status record_kind(const tuff_op_call *call, tuff__recorder *recorder, uint32_t kind)
{
    const int64_t count = tuff_shape_count(&call->inputs[A].shape);
    const int64_t part = tuff__rows_per_binding(call->target, count, sizeof(float));
    if (is_broadcast(call)) /* b has no more elements */
        TUFF_TRY(tuff__check_positions(call, count));
    for (int64_t first = 0; first < count; first += part)
        TUFF_TRY(record_window(call, recorder, kind, first, tuff__min_i64(part, count - first)));
    return TUFF_SUCCESS;
}

static tuff_status add_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    return record_kind(call, recorder, TUFF_BINARY_ADD);
}

static tuff_status mul_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    return record_kind(call, recorder, TUFF_BINARY_MUL);
}

/* -- gradients ---------------------------------------------------------------------------------------------------- */

/* Sums `gradient`, of a's shape, over what b repeated. Neighbouring dimensions that b treats alike
 * are summed as one. */
static tuff_tensor reduce_to(tuff_graph *graph, tuff_tensor gradient, tuff_shape b)
{
    const tuff_shape a = tuff_tensor_shape(graph, gradient);
    tuff_shape merged = {.rank = 0};
    bool repeated[TUFF_MAX_RANK] = {false};
    for (uint32_t d = 0; d < a.rank; d++) {
        const uint32_t lead = a.rank - b.rank;
        const bool repeats = a.dims[d] != (d < lead ? 1 : b.dims[d - lead]);
        if (merged.rank > 0 && (a.dims[d] == 1 || repeated[merged.rank - 1] == repeats)) {
            merged.dims[merged.rank - 1] *= a.dims[d];
        } else {
            repeated[merged.rank] = repeats;
            merged.dims[merged.rank++] = a.dims[d];
        }
    }
    tuff_tensor sum = tuff_reshape(graph, gradient, merged);
    for (uint32_t d = 0; d < merged.rank; d++)
        if (repeated[d])
            sum = tuff_sum(graph, sum, d);
    return tuff_reshape(graph, sum, b);
}

static tuff_tensor gradient_of_b(tuff__gradient *g, tuff_tensor gradient)
{
    const tuff_shape a = tuff_tensor_shape(g->graph, g->inputs[A]), b = tuff_tensor_shape(g->graph, g->inputs[B]);
    return tuff__shape_equal(&a, &b) ? gradient : reduce_to(g->graph, gradient, b);
}

static void add_differentiate(tuff__gradient *g)
{
    g->input_grads[A] = g->output_grads[0];
    if (g->wanted[B])
        g->input_grads[B] = gradient_of_b(g, g->output_grads[0]);
}

static void mul_differentiate(tuff__gradient *g)
{
    if (g->wanted[A])
        g->input_grads[A] = tuff_mul(g->graph, g->output_grads[0], g->inputs[B]);
    if (g->wanted[B])
        g->input_grads[B] = gradient_of_b(g, tuff_mul(g->graph, g->output_grads[0], g->inputs[A]));
}

/* Allowance 0: one correctly rounded operation an element. */
const tuff_op_desc tuff__op_add = {
    .name = "add",
    .input_count = 2,
    .output_count = 1,
    .infer = binary_infer,
    .compute = add_compute,
    .compute_fast = add_compute_fast,
    .record = add_record,
    .backward = add_differentiate,
};

const tuff_op_desc tuff__op_mul = {
    .name = "mul",
    .input_count = 2,
    .output_count = 1,
    .infer = binary_infer,
    .compute = mul_compute,
    .compute_fast = mul_compute_fast,
    .record = mul_record,
    .backward = mul_differentiate,
};

tuff_tensor tuff_add(tuff_graph *graph, tuff_tensor a, tuff_tensor b)
{
    const tuff_tensor inputs[] = {a, b};
    return tuff__graph_add(graph, TUFF__OP_ADD, NULL, 0, inputs, 2, NULL);
}

tuff_tensor tuff_mul(tuff_graph *graph, tuff_tensor a, tuff_tensor b)
{
    const tuff_tensor inputs[] = {a, b};
    return tuff__graph_add(graph, TUFF__OP_MUL, NULL, 0, inputs, 2, NULL);
}
