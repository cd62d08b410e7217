/*
 * layout.c: owns the operators that move elements without changing them: full, copy, reshape, transpose, slice, concat,
 * expand, and slice's gradient. Apart from full and reshape each is one or more strided copies: a box of up to four
 * dimensions whose elements are read at one set of strides and written at another. 32-bit types; copy and reshape take
 * 16-bit ones too.
 */
#include "layout.h"

#include "../../shaders/layout.h"
#include "../cpu/cpu_pool.h"
#include "../cpu/simd.h"
#include "box.h"
#include "window.h"

#include <string.h>

enum { FLAT_GRAIN = 16384, CONCAT_MOST = 6 };

typedef struct strided_copy {
    tuff__box source, target; /* of equal dims */
    const tuff__operand *from;
    const tuff__operand *to;
} strided_copy;

/* -- moving one box on the CPUs ----------------------------------------------------------------------------------- */

typedef struct copy_arrays {
    const uint32_t *from;
    uint32_t *to;
    tuff__box source, target;
    int64_t columns;
} copy_arrays;

static void copy_rows(void *user, int64_t first, int64_t last)
{
    const copy_arrays *a = user;
    const int64_t from_stride = a->source.strides[3], to_stride = a->target.strides[3];
    for (int64_t r = first; r < last; r++) {
        const uint32_t *from = a->from + tuff__box_at(&a->source, r * a->columns);
        uint32_t *to = a->to + tuff__box_at(&a->target, r * a->columns);
        if (from_stride == 1 && to_stride == 1)
            memcpy(to, from, (size_t)a->columns * sizeof *to);
        else
            for (int64_t c = 0; c < a->columns; c++)
                to[c * to_stride] = from[c * from_stride];
    }
}

static void copy_on_cpu(const strided_copy *copy, tuff__pool *pool)
{
    copy_arrays arrays = {
        .from = copy->from->data,
        .to = copy->to->data,
        .source = copy->source,
        .target = copy->target,
        .columns = copy->source.dims[3],
    };
    const int64_t grain = tuff__max_i64(1, FLAT_GRAIN / arrays.columns);
    tuff__pool_run_range(pool, tuff__box_count(&copy->source) / arrays.columns, grain, copy_rows, &arrays);
}

/* -- moving one box on Vulkan ------------------------------------------------------------------------------------- */

static bool copies_in_order(const strided_copy *copy)
{
    return tuff__box_is_flat(&copy->source) && tuff__box_is_flat(&copy->target);
}

static tuff_status record_part(const tuff_op_call *call, tuff__recorder *recorder, const strided_copy *copy,
                               struct tuff_push_strided_copy push, int64_t group_items)
{
    const tuff__dispatch dispatch = {
        .shader = "strided_copy",
        .push_constants = &push,
        .push_constants_size = sizeof push,
        .constants = {copies_in_order(copy)},
        .constant_count = 1,
        .group_count = {tuff__groups_for(call->target, group_items, 128), 1, 1},
        .bindings = {tuff__window(copy->from->slice, push.source_first, push.source_count, &push.source_base),
                     tuff__window(copy->to->slice, push.target_first, push.target_count, &push.target_base)},
        .binding_count = 2,
    };
    return tuff__dispatch_record(recorder, call, &dispatch);
}

/* The part [first, first + count) of the box: each window of what it reads meets each window of what it writes. */
static tuff_status record_range(const tuff_op_call *call, tuff__recorder *recorder, const strided_copy *copy,
                                int64_t first, int64_t count)
{
    const int64_t limit = tuff__window_limit(call->target);
    const tuff__box *s = &copy->source, *t = &copy->target;
    struct tuff_push_strided_copy push = {
        .count = (uint32_t)count,
        .first = (uint32_t)first,
        .dim1 = (uint32_t)s->dims[1],
        .dim2 = (uint32_t)s->dims[2],
        .dim3 = (uint32_t)s->dims[3],
        .source0 = (uint32_t)s->strides[0],
        .source1 = (uint32_t)s->strides[1],
        .source2 = (uint32_t)s->strides[2],
        .source3 = (uint32_t)s->strides[3],
        .source_offset = (uint32_t)s->offset,
        .target0 = (uint32_t)t->strides[0],
        .target1 = (uint32_t)t->strides[1],
        .target2 = (uint32_t)t->strides[2],
        .target3 = (uint32_t)t->strides[3],
        .target_offset = (uint32_t)t->offset,
    };
    int64_t source_low, source_high, target_low, target_high;
    tuff__box_range(s, first, count, &source_low, &source_high);
    tuff__box_range(t, first, count, &target_low, &target_high);
    for (int64_t target = target_low; target <= target_high; target += limit)
        for (int64_t source = source_low; source <= source_high; source += limit) {
            push.source_first = (uint32_t)source;
            push.source_count = (uint32_t)tuff__min_i64(limit, source_high + 1 - source);
            push.target_first = (uint32_t)target;
            push.target_count = (uint32_t)tuff__min_i64(limit, target_high + 1 - target);
            TUFF_TRY(record_part(call, recorder, copy, push, count));
        }
    return TUFF_SUCCESS;
}

static tuff_status copy_on_vulkan(const tuff_op_call *call, tuff__recorder *recorder, const strided_copy *copy)
{
    const int64_t count = tuff__box_count(&copy->source);
    const int64_t part = tuff__min_i64(count, tuff__window_limit(call->target));
    if (!copies_in_order(copy)) {
        TUFF_TRY(tuff__check_positions(call, tuff_shape_count(&copy->from->shape)));
        TUFF_TRY(tuff__check_positions(call, tuff_shape_count(&copy->to->shape)));
    }
    for (int64_t first = 0; first < count; first += part)
        TUFF_TRY(record_range(call, recorder, copy, first, tuff__min_i64(part, count - first)));
    return TUFF_SUCCESS;
}

/* -- what infer functions share ----------------------------------------------------------------------------------- */

static tuff_status check_words(const tuff_op_call *call)
{
    for (uint32_t i = 0; i < call->input_count; i++)
        if (tuff__dtype_size(call->inputs[i].dtype) != 4)
            return tuff__fail_shape(call, "input %u is %s; only copy, reshape and cast take 16-bit types", i,
                                    tuff__dtype_name(call->inputs[i].dtype));
    return TUFF_SUCCESS;
}

static tuff_status check_dim(const tuff_op_call *call, uint32_t dim, const tuff_shape *shape)
{
    char text[TUFF__SHAPE_TEXT];
    if (dim < shape->rank)
        return TUFF_SUCCESS;
    return tuff__fail_shape(call, "dimension %u of %s", dim, tuff__shape_text(shape, text));
}

/* The box of a tensor's dimension `dim` cut to [start, start + length). */
static tuff__box cut_box(const tuff_shape *shape, uint32_t dim, int64_t start, int64_t length)
{
    tuff__box box = tuff__box_of(shape);
    const uint32_t d = dim + 4 - shape->rank;
    box.dims[d] = length;
    box.offset = start * box.strides[d];
    return box;
}

/* -- full --------------------------------------------------------------------------------------------------------- */

static tuff_status full_infer(tuff_op_call *call)
{
    const tuff__full_params *params = call->params;
    if (!tuff__shape_valid(&params->shape))
        return tuff__fail_shape(call, "not a shape: rank %u, or a dimension below 1", params->shape.rank);
    tuff__output_set(call, 0, TUFF_F32, params->shape);
    return TUFF_SUCCESS;
}

static void full_compute(const tuff_op_call *call)
{
    const float value = ((const tuff__full_params *)call->params)->value;
    const int64_t count = tuff_shape_count(&call->outputs[0].shape);
    for (int64_t i = 0; i < count; i++)
        ((float *)call->outputs[0].data)[i] = value;
}

static tuff_status full_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const float value = ((const tuff__full_params *)call->params)->value;
    return tuff__fill_record(recorder, call, call->outputs[0].slice, tuff__bits_of(value));
}

static void full_differentiate(tuff__gradient *g)
{
    (void)g; /* a constant */
}

const tuff_op_desc tuff__op_full = {
    .name = "full",
    .output_count = 1,
    .in_order = true,
    .infer = full_infer,
    .compute = full_compute,
    .record = full_record,
    .backward = full_differentiate,
};

tuff_tensor tuff_full(tuff_graph *graph, tuff_shape shape, float value)
{
    const tuff__full_params params = {.shape = shape, .value = value};
    return tuff__graph_add(graph, TUFF__OP_FULL, &params, sizeof params, NULL, 0, NULL);
}

/* -- copy --------------------------------------------------------------------------------------------------------- */

static tuff_status copy_infer(tuff_op_call *call)
{
    tuff__output_like(call, 0, 0);
    return TUFF_SUCCESS;
}

typedef struct copy_bytes {
    const char *from;
    char *to;
} copy_bytes;

static void copy_range(void *user, int64_t first, int64_t last)
{
    const copy_bytes *a = user;
    memcpy(a->to + first, a->from + first, (size_t)(last - first));
}

static void copy_compute(const tuff_op_call *call)
{
    copy_bytes bytes = {.from = call->inputs[0].data, .to = call->outputs[0].data};
    const int64_t count = tuff_shape_count(&call->inputs[0].shape);
    tuff__pool_run_range(call->pool, count * (int64_t)tuff__dtype_size(call->inputs[0].dtype), (int64_t)FLAT_GRAIN * 4,
                         copy_range, &bytes);
}

/* As 32-bit words, of whatever type. */
static tuff_status copy_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const int64_t count = tuff_shape_count(&call->inputs[0].shape);
    const int64_t words = (count * (int64_t)tuff__dtype_size(call->inputs[0].dtype) + 3) / 4;
    const tuff_shape flat = {.rank = 1, .dims = {words}};
    const strided_copy copy = {tuff__box_of(&flat), tuff__box_of(&flat), &call->inputs[0], &call->outputs[0]};
    return copy_on_vulkan(call, recorder, &copy);
}

static void pass_gradient(tuff__gradient *g)
{
    g->input_grads[0] = g->output_grads[0];
}

const tuff_op_desc tuff__op_copy = {
    .name = "copy",
    .input_count = 1,
    .output_count = 1,
    .in_order = true,
    .infer = copy_infer,
    .compute = copy_compute,
    .compute_fast = copy_compute,
    .record = copy_record,
    .backward = pass_gradient,
};

tuff_tensor tuff_copy(tuff_graph *graph, tuff_tensor x)
{
    return tuff__graph_add(graph, TUFF__OP_COPY, NULL, 0, &x, 1, NULL);
}

/* -- reshape ------------------------------------------------------------------------------------------------------ */

static tuff_status reshape_infer(tuff_op_call *call)
{
    const tuff__reshape_params *params = call->params;
    const tuff_shape *x = &call->inputs[0].shape;
    if (!tuff__shape_valid(&params->shape) || tuff_shape_count(&params->shape) != tuff_shape_count(x)) {
        char from[TUFF__SHAPE_TEXT], to[TUFF__SHAPE_TEXT];
        return tuff__fail_shape(call, "%s to %s, which counts other elements", tuff__shape_text(x, from),
                                tuff__shape_text(&params->shape, to));
    }
    tuff__output_set(call, 0, call->inputs[0].dtype, params->shape);
    return TUFF_SUCCESS;
}

static void reshape_differentiate(tuff__gradient *g)
{
    g->input_grads[0] = tuff_reshape(g->graph, g->output_grads[0], tuff_tensor_shape(g->graph, g->inputs[0]));
}

/* A view: compute and record are not called when the memory is shared, and copy where something keeps it apart. */
const tuff_op_desc tuff__op_reshape = {
    .name = "reshape",
    .input_count = 1,
    .output_count = 1,
    .view = true,
    .in_order = true,
    .infer = reshape_infer,
    .compute = copy_compute,
    .record = copy_record,
    .backward = reshape_differentiate,
};

tuff_tensor tuff_reshape(tuff_graph *graph, tuff_tensor x, tuff_shape shape)
{
    const tuff__reshape_params params = {.shape = shape};
    const tuff_shape found = tuff_tensor_shape(graph, x);
    if (x.id && tuff__shape_equal(&found, &shape))
        return x;
    return tuff__graph_add(graph, TUFF__OP_RESHAPE, &params, sizeof params, &x, 1, NULL);
}

/* -- transpose, slice, expand, and slice's gradient: one strided copy each ---------------------------------------- */

static strided_copy transpose_copy(const tuff_op_call *call)
{
    const tuff__transpose_params *params = call->params;
    const tuff_shape *shape = &call->inputs[0].shape;
    const tuff__box whole = tuff__box_of(shape);
    const uint32_t lead = 4 - shape->rank;
    tuff__box source = whole;
    for (uint32_t i = 0; i < shape->rank; i++) {
        source.dims[lead + i] = whole.dims[lead + params->permutation[i]];
        source.strides[lead + i] = whole.strides[lead + params->permutation[i]];
    }
    return (strided_copy){source, tuff__box_of(&call->outputs[0].shape), &call->inputs[0], &call->outputs[0]};
}

static strided_copy slice_copy(const tuff_op_call *call)
{
    const tuff__slice_params *params = call->params;
    return (strided_copy){cut_box(&call->inputs[0].shape, params->dim, params->start, params->length),
                          tuff__box_of(&call->outputs[0].shape), &call->inputs[0], &call->outputs[0]};
}

static strided_copy slice_backward_copy(const tuff_op_call *call)
{
    const tuff__slice_backward_params *params = call->params;
    const int64_t length = call->inputs[0].shape.dims[params->dim];
    return (strided_copy){tuff__box_of(&call->inputs[0].shape),
                          cut_box(&params->shape, params->dim, params->start, length), &call->inputs[0],
                          &call->outputs[0]};
}

static strided_copy expand_copy(const tuff_op_call *call)
{
    const tuff__expand_params *params = call->params;
    tuff__box source = cut_box(&call->inputs[0].shape, params->dim, 0, params->length);
    source.strides[params->dim + 4 - call->inputs[0].shape.rank] = 0;
    return (strided_copy){source, tuff__box_of(&call->outputs[0].shape), &call->inputs[0], &call->outputs[0]};
}

#define COPY_FUNCTIONS(function)                                                                                       \
    static void function##_compute(const tuff_op_call *call)                                                           \
    {                                                                                                                  \
        const strided_copy copy = function##_copy(call);                                                               \
        copy_on_cpu(&copy, call->pool);                                                                                \
    }                                                                                                                  \
    static tuff_status function##_record(const tuff_op_call *call, tuff__recorder *recorder)                           \
    {                                                                                                                  \
        const strided_copy copy = function##_copy(call);                                                               \
        return copy_on_vulkan(call, recorder, &copy);                                                                  \
    }

COPY_FUNCTIONS(transpose)
COPY_FUNCTIONS(slice)
COPY_FUNCTIONS(expand)

static tuff_status transpose_infer(tuff_op_call *call)
{
    const tuff__transpose_params *params = call->params;
    const tuff_shape *x = &call->inputs[0].shape;
    TUFF_TRY(check_words(call));
    tuff_shape shape = {.rank = x->rank};
    uint32_t seen = 0;
    for (uint32_t i = 0; i < x->rank; i++) {
        if (params->permutation[i] >= x->rank || (seen & 1u << params->permutation[i]))
            return tuff__fail_shape(call, "entry %u of the permutation, %u, is out of range or repeated", i,
                                    params->permutation[i]);
        seen |= 1u << params->permutation[i];
        shape.dims[i] = x->dims[params->permutation[i]];
    }
    tuff__output_set(call, 0, call->inputs[0].dtype, shape);
    return TUFF_SUCCESS;
}

static void transpose_differentiate(tuff__gradient *g)
{
    const tuff__transpose_params *params = g->params;
    const tuff_shape shape = tuff_tensor_shape(g->graph, g->inputs[0]);
    uint32_t inverse[TUFF_MAX_RANK] = {0};
    for (uint32_t i = 0; i < shape.rank; i++)
        inverse[params->permutation[i]] = i;
    g->input_grads[0] = tuff_transpose(g->graph, g->output_grads[0], inverse);
}

const tuff_op_desc tuff__op_transpose = {
    .name = "transpose",
    .input_count = 1,
    .output_count = 1,
    .in_order = true,
    .infer = transpose_infer,
    .compute = transpose_compute,
    .compute_fast = transpose_compute,
    .record = transpose_record,
    .backward = transpose_differentiate,
};

tuff_tensor tuff_transpose(tuff_graph *graph, tuff_tensor x, const uint32_t *permutation)
{
    tuff__transpose_params params = {{0}};
    const tuff_shape shape = tuff_tensor_shape(graph, x);
    if (!tuff__graph_given(graph, permutation, "transpose: permutation"))
        return (tuff_tensor){0};
    for (uint32_t i = 0; i < shape.rank; i++)
        params.permutation[i] = permutation[i];
    return tuff__graph_add(graph, TUFF__OP_TRANSPOSE, &params, sizeof params, &x, 1, NULL);
}

static tuff_status slice_infer(tuff_op_call *call)
{
    const tuff__slice_params *params = call->params;
    tuff_shape shape = call->inputs[0].shape;
    TUFF_TRY(check_words(call));
    TUFF_TRY(check_dim(call, params->dim, &shape));
    if (params->start < 0 || params->length < 1 || params->start > shape.dims[params->dim] - params->length)
        return tuff__fail_shape(
            call, "start is %lld and length %lld, wanted a part of the %lld indices of dimension %u",
            (long long)params->start, (long long)params->length, (long long)shape.dims[params->dim], params->dim);
    shape.dims[params->dim] = params->length;
    tuff__output_set(call, 0, call->inputs[0].dtype, shape);
    return TUFF_SUCCESS;
}

static void slice_differentiate(tuff__gradient *g)
{
    const tuff__slice_params *slice = g->params;
    const tuff__slice_backward_params params = {
        .shape = tuff_tensor_shape(g->graph, g->inputs[0]),
        .dim = slice->dim,
        .start = slice->start,
    };
    g->input_grads[0] =
        tuff__graph_add(g->graph, TUFF__OP_SLICE_BACKWARD, &params, sizeof params, g->output_grads, 1, NULL);
}

/* What the slice leaves out is not read. */
static double slice_bytes(const tuff_op_call *call)
{
    return 2.0 * (double)tuff_shape_count(&call->outputs[0].shape) * (double)tuff__dtype_size(call->outputs[0].dtype);
}

const tuff_op_desc tuff__op_slice = {
    .name = "slice",
    .input_count = 1,
    .output_count = 1,
    .in_order = true,
    .infer = slice_infer,
    .compute = slice_compute,
    .compute_fast = slice_compute,
    .record = slice_record,
    .backward = slice_differentiate,
    .bytes = slice_bytes,
};

tuff_tensor tuff_slice(tuff_graph *graph, tuff_tensor x, uint32_t dim, int64_t start, int64_t length)
{
    const tuff__slice_params params = {.dim = dim, .start = start, .length = length};
    return tuff__graph_add(graph, TUFF__OP_SLICE, &params, sizeof params, &x, 1, NULL);
}

static tuff_status slice_backward_infer(tuff_op_call *call)
{
    const tuff__slice_backward_params *params = call->params;
    tuff_shape wanted = params->shape;
    TUFF_TRY(check_words(call));
    TUFF_TRY(check_dim(call, params->dim, &params->shape));
    if (call->inputs[0].shape.rank != wanted.rank)
        return tuff__fail_shape(call, "a gradient of rank %u for rank %u", call->inputs[0].shape.rank, wanted.rank);
    wanted.dims[params->dim] = call->inputs[0].shape.dims[params->dim];
    if (!tuff__shape_equal(&wanted, &call->inputs[0].shape) || params->start < 0 ||
        params->start > params->shape.dims[params->dim] - wanted.dims[params->dim])
        return tuff__fail_shape(call, "the gradient is no slice of the shape");
    tuff__output_set(call, 0, call->inputs[0].dtype, params->shape);
    return TUFF_SUCCESS;
}

static void slice_backward_compute(const tuff_op_call *call)
{
    const strided_copy copy = slice_backward_copy(call);
    memset(call->outputs[0].data, 0, (size_t)tuff_shape_count(&call->outputs[0].shape) * 4);
    copy_on_cpu(&copy, call->pool);
}

static tuff_status slice_backward_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const strided_copy copy = slice_backward_copy(call);
    TUFF_TRY(tuff__fill_record(recorder, call, call->outputs[0].slice, 0));
    return copy_on_vulkan(call, recorder, &copy);
}

const tuff_op_desc tuff__op_slice_backward = {
    .name = "slice_backward",
    .input_count = 1,
    .output_count = 1,
    .in_order = true,
    .infer = slice_backward_infer,
    .compute = slice_backward_compute,
    .compute_fast = slice_backward_compute,
    .record = slice_backward_record,
};

static tuff_status expand_infer(tuff_op_call *call)
{
    const tuff__expand_params *params = call->params;
    tuff_shape shape = call->inputs[0].shape;
    TUFF_TRY(check_words(call));
    TUFF_TRY(check_dim(call, params->dim, &shape));
    if (shape.dims[params->dim] != 1 || params->length < 1)
        return tuff__fail_shape(call, "dimension %u has %lld indices, wanted 1 to repeat %lld times", params->dim,
                                (long long)shape.dims[params->dim], (long long)params->length);
    shape.dims[params->dim] = params->length;
    tuff__output_set(call, 0, call->inputs[0].dtype, shape);
    return TUFF_SUCCESS;
}

static void expand_differentiate(tuff__gradient *g)
{
    const tuff__expand_params *params = g->params;
    g->input_grads[0] = tuff_sum(g->graph, g->output_grads[0], params->dim);
}

const tuff_op_desc tuff__op_expand = {
    .name = "expand",
    .input_count = 1,
    .output_count = 1,
    .in_order = true,
    .infer = expand_infer,
    .compute = expand_compute,
    .compute_fast = expand_compute,
    .record = expand_record,
    .backward = expand_differentiate,
};

tuff_tensor tuff_expand(tuff_graph *graph, tuff_tensor x, uint32_t dim, int64_t length)
{
    const tuff__expand_params params = {.dim = dim, .length = length};
    return tuff__graph_add(graph, TUFF__OP_EXPAND, &params, sizeof params, &x, 1, NULL);
}

/* -- concat: a strided copy for each input ------------------------------------------------------------------------ */

static tuff_status concat_infer(tuff_op_call *call)
{
    const uint32_t dim = ((const tuff__concat_params *)call->params)->dim;
    tuff_shape shape = call->inputs[0].shape;
    TUFF_TRY(check_words(call));
    TUFF_TRY(check_dim(call, dim, &shape));
    for (uint32_t i = 1; i < call->input_count; i++) {
        tuff_shape other = call->inputs[i].shape;
        TUFF_TRY(tuff__check_dtype(call, i, call->inputs[0].dtype));
        const int64_t length = dim < other.rank ? other.dims[dim] : 0;
        other.dims[dim] = shape.dims[dim];
        if (!tuff__shape_equal(&other, &shape)) {
            char found[TUFF__SHAPE_TEXT], first[TUFF__SHAPE_TEXT];
            return tuff__fail_shape(call, "input %u is %s, input 0 %s: they differ outside of dimension %u", i,
                                    tuff__shape_text(&call->inputs[i].shape, found),
                                    tuff__shape_text(&call->inputs[0].shape, first), dim);
        }
        shape.dims[dim] += length;
    }
    tuff__output_set(call, 0, call->inputs[0].dtype, shape);
    return TUFF_SUCCESS;
}

static strided_copy concat_copy(const tuff_op_call *call, uint32_t input, int64_t start)
{
    const uint32_t dim = ((const tuff__concat_params *)call->params)->dim;
    const tuff__operand *x = &call->inputs[input];
    return (strided_copy){tuff__box_of(&x->shape), cut_box(&call->outputs[0].shape, dim, start, x->shape.dims[dim]), x,
                          &call->outputs[0]};
}

static void concat_compute(const tuff_op_call *call)
{
    int64_t start = 0;
    for (uint32_t i = 0; i < call->input_count; i++) {
        const strided_copy copy = concat_copy(call, i, start);
        copy_on_cpu(&copy, call->pool);
        start += call->inputs[i].shape.dims[((const tuff__concat_params *)call->params)->dim];
    }
}

static tuff_status concat_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    int64_t start = 0;
    for (uint32_t i = 0; i < call->input_count; i++) {
        const strided_copy copy = concat_copy(call, i, start);
        TUFF_TRY(copy_on_vulkan(call, recorder, &copy));
        start += call->inputs[i].shape.dims[((const tuff__concat_params *)call->params)->dim];
    }
    return TUFF_SUCCESS;
}

static void concat_differentiate(tuff__gradient *g)
{
    const uint32_t dim = ((const tuff__concat_params *)g->params)->dim;
    int64_t start = 0;
    for (uint32_t i = 0; i < g->input_count; i++) {
        const tuff_shape shape = tuff_tensor_shape(g->graph, g->inputs[i]);
        if (g->wanted[i])
            g->input_grads[i] = tuff_slice(g->graph, g->output_grads[0], dim, start, shape.dims[dim]);
        start += shape.dims[dim];
    }
}

const tuff_op_desc tuff__op_concat = {
    .name = "concat",
    .input_count = CONCAT_MOST,
    .output_count = 1,
    .in_order = true,
    .infer = concat_infer,
    .compute = concat_compute,
    .compute_fast = concat_compute,
    .record = concat_record,
    .backward = concat_differentiate,
};

tuff_tensor tuff_concat(tuff_graph *graph, const tuff_tensor *tensors, size_t count, uint32_t dim)
{
    const tuff__concat_params params = {.dim = dim};
    if (!tuff__graph_given(graph, tensors, "concat: tensors"))
        return (tuff_tensor){0};
    if (count < 1 || count > CONCAT_MOST) {
        tuff__graph_set_error(
            graph, tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "concat: %zu tensors, wanted 1 to %d", count, CONCAT_MOST));
        return (tuff_tensor){0};
    }
    return tuff__graph_add(graph, TUFF__OP_CONCAT, &params, sizeof params, tensors, (uint32_t)count, NULL);
}
