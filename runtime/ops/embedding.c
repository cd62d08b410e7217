/*
 * embedding.c: owns the gather of table rows and its gradient.
 *
 *   y[t, :] = table[ids[t], :]                     table [V, C], ids [..] -> [.., C]
 *   dtable[v, :] = Σ_{t: ids[t] = v} dy[t, :]      in the order of t, so equal bits every run
 *
 * An id outside [0, V) gives a row of zeros and takes no gradient.
 *
 * On Vulkan one dispatch marks each token that is the first of its id with the position of the last one; in the next,
 * the workgroups of the marked tokens sum up the rows between. No atomics, no sorting, and rare ids cost next to
 * nothing.
 */
#include "embedding.h"

#include "../../shaders/embedding.h"
#include "../cpu/cpu_pool.h"
#include "../cpu/simd.h"
#include "window.h"

#include <string.h>

enum { TABLE = 0, IDS = 1 };
enum { BACKWARD_IDS = 0, BACKWARD_DY = 1 };
enum { TOKEN_GRAIN = 32, COLUMN_BLOCK = 32, GROUP_COLUMNS = 32 };

/* -- forward ------------------------------------------------------------------------------------------------------ */

static tuff_status embedding_infer(tuff_op_call *call)
{
    const tuff_shape *table = &call->inputs[TABLE].shape, *ids = &call->inputs[IDS].shape;
    char text[TUFF__SHAPE_TEXT];
    TUFF_TRY(tuff__check_dtype(call, TABLE, TUFF_F32));
    TUFF_TRY(tuff__check_dtype(call, IDS, TUFF_I32));
    if (table->rank != 2)
        return tuff__fail_shape(call, "the table is %s, wanted rank 2", tuff__shape_text(table, text));
    if (ids->rank >= TUFF_MAX_RANK)
        return tuff__fail_shape(call, "ids are %s, wanted at most rank %d", tuff__shape_text(ids, text),
                                TUFF_MAX_RANK - 1);
    tuff_shape shape = *ids;
    shape.dims[shape.rank++] = table->dims[1];
    tuff__output_set(call, 0, TUFF_F32, shape);
    return TUFF_SUCCESS;
}

typedef struct gather_arrays {
    const float *table;
    const int32_t *ids;
    float *y;
    int64_t vocabulary, columns;
} gather_arrays;

static gather_arrays gather_of(const tuff_op_call *call)
{
    return (gather_arrays){
        .table = call->inputs[TABLE].data,
        .ids = call->inputs[IDS].data,
        .y = call->outputs[0].data,
        .vocabulary = call->inputs[TABLE].shape.dims[0],
        .columns = call->inputs[TABLE].shape.dims[1],
    };
}

static void gather_rows(void *user, int64_t first, int64_t last)
{
    const gather_arrays *a = user;
    const size_t size = (size_t)a->columns * sizeof(float);
    for (int64_t t = first; t < last; t++) {
        float *y = a->y + t * a->columns;
        if (a->ids[t] >= 0 && a->ids[t] < a->vocabulary)
            memcpy(y, a->table + a->ids[t] * a->columns, size);
        else
            memset(y, 0, size);
    }
}

static void embedding_compute(const tuff_op_call *call)
{
    gather_arrays arrays = gather_of(call);
    gather_rows(&arrays, 0, tuff_shape_count(&call->inputs[IDS].shape));
}

static void embedding_compute_fast(const tuff_op_call *call)
{
    gather_arrays arrays = gather_of(call);
    tuff__pool_run_range(call->pool, tuff_shape_count(&call->inputs[IDS].shape), TOKEN_GRAIN, gather_rows, &arrays);
}

/* Each part of the tokens meets each window of the table; a kernel skips ids that another window holds. */
static tuff_status embedding_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const int64_t tokens = tuff_shape_count(&call->inputs[IDS].shape);
    const int64_t vocabulary = call->inputs[TABLE].shape.dims[0], columns = call->inputs[TABLE].shape.dims[1];
    const int64_t limit = tuff__window_limit(call->target) / columns;
    const int64_t part = tuff__min_i64(tokens, limit), window = tuff__min_i64(vocabulary, limit);
    if (limit == 0)
        return tuff__fail_window(call, "a row", columns);
    for (int64_t first = 0; first < tokens; first += part) {
        const int64_t count = tuff__min_i64(part, tokens - first);
        for (int64_t row = 0; row < vocabulary; row += window) {
            const int64_t rows = tuff__min_i64(window, vocabulary - row);
            struct tuff_push_embedding push = {
                .tokens = (uint32_t)count,
                .columns = (uint32_t)columns,
                .first_row = (uint32_t)row,
                .row_count = (uint32_t)rows,
                .vocabulary = (uint32_t)vocabulary,
            };
            const tuff__dispatch dispatch = {
                .shader = "embedding",
                .push_constants = &push,
                .push_constants_size = sizeof push,
                .group_count = {tuff__groups_for(call->target, count * columns, 128), 1, 1},
                .bindings = {tuff__window(call->inputs[TABLE].slice, row * columns, rows * columns, &push.table_base),
                             tuff__window(call->inputs[IDS].slice, first, count, &push.ids_base),
                             tuff__window(call->outputs[0].slice, first * columns, count * columns, &push.out_base)},
                .binding_count = 3,
            };
            TUFF_TRY(tuff__dispatch_record(recorder, call, &dispatch));
        }
    }
    return TUFF_SUCCESS;
}

static void embedding_differentiate(tuff__gradient *g)
{
    const tuff_shape table = tuff_tensor_shape(g->graph, g->inputs[TABLE]);
    const tuff__embedding_backward_params params = {.vocabulary = table.dims[0]};
    const tuff_tensor inputs[] = {g->inputs[IDS], g->output_grads[0]};
    if (g->wanted[TABLE])
        g->input_grads[TABLE] =
            tuff__graph_add(g->graph, TUFF__OP_EMBEDDING_BACKWARD, &params, sizeof params, inputs, 2, NULL);
}

/* Of the table only the rows that are taken. */
static double embedding_bytes(const tuff_op_call *call)
{
    const double rows = (double)tuff_shape_count(&call->outputs[0].shape) * sizeof(float);
    return 2 * rows + (double)tuff_shape_count(&call->inputs[IDS].shape) * sizeof(int32_t);
}

const tuff_op_desc tuff__op_embedding = {
    .name = "embedding",
    .input_count = 2,
    .output_count = 1,
    .in_order = true,
    .infer = embedding_infer,
    .compute = embedding_compute,
    .compute_fast = embedding_compute_fast,
    .record = embedding_record,
    .backward = embedding_differentiate,
    .bytes = embedding_bytes,
};

tuff_tensor tuff_embedding(tuff_graph *graph, tuff_tensor table, tuff_tensor ids)
{
    const tuff_tensor inputs[] = {table, ids};
    return tuff__graph_add(graph, TUFF__OP_EMBEDDING, NULL, 0, inputs, 2, NULL);
}

/* -- gradient ----------------------------------------------------------------------------------------------------- */

static tuff_status backward_infer(tuff_op_call *call)
{
    const tuff_shape *ids = &call->inputs[BACKWARD_IDS].shape, *dy = &call->inputs[BACKWARD_DY].shape;
    const int64_t vocabulary = ((const tuff__embedding_backward_params *)call->params)->vocabulary;
    TUFF_TRY(tuff__check_dtype(call, BACKWARD_IDS, TUFF_I32));
    TUFF_TRY(tuff__check_dtype(call, BACKWARD_DY, TUFF_F32));
    if (dy->rank == 0 || tuff__shape_rows(dy) != tuff_shape_count(ids)) {
        char ids_text[TUFF__SHAPE_TEXT], dy_text[TUFF__SHAPE_TEXT];
        return tuff__fail_shape(call, "ids are %s, the gradient %s: not a row for each id",
                                tuff__shape_text(ids, ids_text), tuff__shape_text(dy, dy_text));
    }
    if (vocabulary < 1)
        return tuff__fail_shape(call, "a table of %lld rows", (long long)vocabulary);
    tuff__output_set(call, 0, TUFF_F32, (tuff_shape){.rank = 2, .dims = {vocabulary, tuff__shape_columns(dy)}});
    return TUFF_SUCCESS;
}

static void backward_compute(const tuff_op_call *call)
{
    const int64_t tokens = tuff_shape_count(&call->inputs[BACKWARD_IDS].shape);
    const int64_t vocabulary = call->outputs[0].shape.dims[0], columns = call->outputs[0].shape.dims[1];
    const int32_t *ids = call->inputs[BACKWARD_IDS].data;
    const float *dy = call->inputs[BACKWARD_DY].data;
    float *dtable = call->outputs[0].data;
    for (int64_t i = 0; i < vocabulary * columns; i++)
        dtable[i] = 0.0F;
    for (int64_t t = 0; t < tokens; t++) {
        bool first = ids[t] >= 0 && ids[t] < vocabulary;
        for (int64_t u = 0; u < t && first; u++)
            first = ids[u] != ids[t];
        for (int64_t c = 0; first && c < columns; c++) {
            double sum = 0;
            for (int64_t u = t; u < tokens; u++)
                if (ids[u] == ids[t])
                    sum += (double)dy[u * columns + c];
            dtable[ids[t] * columns + c] = (float)sum;
        }
    }
}

typedef struct scatter_arrays {
    const int32_t *ids;
    const float *dy;
    float *dtable;
    int64_t tokens, vocabulary, columns;
} scatter_arrays;

static void clear_rows(void *user, int64_t first, int64_t last)
{
    const scatter_arrays *a = user;
    memset(a->dtable + first * a->columns, 0, (size_t)((last - first) * a->columns) * sizeof(float));
}

/* Blocks of 32 columns: a thread owns its columns of the whole table and adds the tokens in order. */
TUFF__SIMD static void scatter_columns(void *user, int64_t first, int64_t last)
{
    const scatter_arrays a = *(const scatter_arrays *)user;
    for (int64_t block = first; block < last; block++) {
        const int64_t start = block * COLUMN_BLOCK;
        const int64_t width = a.columns - start < COLUMN_BLOCK ? a.columns - start : COLUMN_BLOCK;
        for (int64_t t = 0; t < a.tokens; t++) {
            if (a.ids[t] < 0 || a.ids[t] >= a.vocabulary)
                continue;
            const float *restrict dy = a.dy + t * a.columns + start;
            float *restrict row = a.dtable + a.ids[t] * a.columns + start;
            for (int64_t c = 0; c < width; c++)
                row[c] += dy[c];
        }
    }
}

static void backward_compute_fast(const tuff_op_call *call)
{
    scatter_arrays arrays = {
        .ids = call->inputs[BACKWARD_IDS].data,
        .dy = call->inputs[BACKWARD_DY].data,
        .dtable = call->outputs[0].data,
        .tokens = tuff_shape_count(&call->inputs[BACKWARD_IDS].shape),
        .vocabulary = call->outputs[0].shape.dims[0],
        .columns = call->outputs[0].shape.dims[1],
    };
    tuff__pool_run_range(call->pool, arrays.vocabulary, 256, clear_rows, &arrays);
    tuff__pool_run_range(call->pool, (arrays.columns + COLUMN_BLOCK - 1) / COLUMN_BLOCK, 1, scatter_columns, &arrays);
}

static uint64_t backward_workspace(const tuff_op_call *call, const tuff__target *target)
{
    if (target->backend != TUFF_BACKEND_VULKAN)
        return 0;
    return (uint64_t)tuff_shape_count(&call->inputs[BACKWARD_IDS].shape) * sizeof(uint32_t);
}

static tuff_status record_tokens(const tuff_op_call *call, tuff__recorder *recorder, int64_t first, int64_t count,
                                 int64_t window)
{
    const int64_t vocabulary = call->outputs[0].shape.dims[0], columns = call->outputs[0].shape.dims[1];
    const tuff__slice marks = tuff__slice_part(call->workspace_slice, 0, (uint64_t)count * sizeof(uint32_t));
    struct tuff_push_embedding_last last_push = {.tokens = (uint32_t)count};
    const tuff__dispatch last = {
        .shader = "embedding_last",
        .push_constants = &last_push,
        .push_constants_size = sizeof last_push,
        .group_count = {tuff__groups_for(call->target, count, 1), 1, 1},
        .bindings = {tuff__window(call->inputs[BACKWARD_IDS].slice, first, count, &last_push.ids_base), marks},
        .binding_count = 2,
    };
    TUFF_TRY(tuff__dispatch_record(recorder, call, &last));
    for (int64_t row = 0; row < vocabulary; row += window) {
        const int64_t rows = tuff__min_i64(window, vocabulary - row);
        struct tuff_push_embedding push = {
            .tokens = (uint32_t)count,
            .columns = (uint32_t)columns,
            .first_row = (uint32_t)row,
            .row_count = (uint32_t)rows,
            .vocabulary = (uint32_t)vocabulary,
        };
        const tuff__dispatch dispatch = {
            .shader = "embedding_backward",
            .push_constants = &push,
            .push_constants_size = sizeof push,
            .group_count = {tuff__groups_for(call->target, count, 1),
                            tuff__groups_for(call->target, columns, GROUP_COLUMNS), 1},
            .bindings = {tuff__window(call->inputs[BACKWARD_IDS].slice, first, count, &push.ids_base), marks,
                         tuff__window(call->inputs[BACKWARD_DY].slice, first * columns, count * columns,
                                      &push.out_base),
                         tuff__window(call->outputs[0].slice, row * columns, rows * columns, &push.table_base)},
            .binding_count = 4,
        };
        TUFF_TRY(tuff__dispatch_record(recorder, call, &dispatch));
    }
    return TUFF_SUCCESS;
}

/* Both kernels look for tokens of one id among all of a part: what a part costs grows with its square. */
enum { MOST_TOKENS = 4096 };

/* Parts of the tokens one after the other, each adding to the table, so that the order of tokens is kept. */
static tuff_status backward_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const int64_t tokens = tuff_shape_count(&call->inputs[BACKWARD_IDS].shape);
    const int64_t vocabulary = call->outputs[0].shape.dims[0], columns = call->outputs[0].shape.dims[1];
    const int64_t limit = tuff__window_limit(call->target) / columns;
    const int64_t part = tuff__min_i64(tokens, tuff__min_i64(limit, MOST_TOKENS));
    const int64_t window = tuff__min_i64(vocabulary, limit);
    if (limit == 0)
        return tuff__fail_window(call, "a row", columns);
    TUFF_TRY(tuff__fill_record(recorder, call, call->outputs[0].slice, 0));
    for (int64_t first = 0; first < tokens; first += part)
        TUFF_TRY(record_tokens(call, recorder, first, tuff__min_i64(part, tokens - first), window));
    return TUFF_SUCCESS;
}

static void backward_magnitude(const tuff_op_call *call, uint32_t output, float *out)
{
    (void)output;
    const int64_t tokens = tuff_shape_count(&call->inputs[BACKWARD_IDS].shape);
    const int64_t vocabulary = call->outputs[0].shape.dims[0], columns = call->outputs[0].shape.dims[1];
    const int32_t *ids = call->inputs[BACKWARD_IDS].data;
    const float *dy = call->inputs[BACKWARD_DY].data;
    for (int64_t i = 0; i < vocabulary * columns; i++)
        out[i] = 0;
    for (int64_t t = 0; t < tokens; t++)
        for (int64_t c = 0; c < columns && ids[t] >= 0 && ids[t] < vocabulary; c++)
            out[ids[t] * columns + c] += fabsf(dy[t * columns + c]);
}

const tuff_op_desc tuff__op_embedding_backward = {
    .name = "embedding_backward",
    .input_count = 2,
    .output_count = 1,
    .allowance = 8.0F, /* one chain of additions an element, whose roundings have random signs */
    .infer = backward_infer,
    .workspace = backward_workspace,
    .compute = backward_compute,
    .compute_fast = backward_compute_fast,
    .record = backward_record,
    .magnitude = backward_magnitude,
};
