/*
 * cross_entropy.c: owns the loss over class logits, PyTorch's cross_entropy with reduction "mean".
 *
 *   lse[n]  = log Σ_v e^logits[n, v]
 *   row[n]  = (1 - ε)·(lse - logits[n, label]) + ε·(lse - mean_v logits[n, v])
 *   loss    = Σ_counted row[n] / count        counted: label in [0, V) and not ignore_index; 0 where there is none
 *   dlogits = dloss/count·(e^(logits - lse) - (1 - ε)·[v = label] - ε/V)     0 in the rows not counted
 *
 * Each row is reduced relative to its largest logit, so that nothing overflows and close logits keep their digits.
 */
#include "cross_entropy.h"

#include "../../shaders/cross_entropy.h"
#include "../cpu/cpu_pool.h"
#include "../cpu/simd.h"
#include "window.h"

enum { LOGITS = 0, LABELS = 1, LSE = 2, COUNT = 3, DLOSS = 4 };
enum { OUT_LOSS = 0, OUT_LSE = 1, OUT_COUNT = 2 };
enum { ROW_GRAIN = 4 };

static const tuff__cross_entropy_params *params_of(const tuff_op_call *call)
{
    return call->params;
}

static bool is_counted(const tuff__cross_entropy_params *params, int32_t label, int64_t columns)
{
    return label != params->ignore_index && label >= 0 && label < columns;
}

static tuff_status check_logits(const tuff_op_call *call)
{
    const tuff_shape *logits = &call->inputs[LOGITS].shape, *labels = &call->inputs[LABELS].shape;
    const float smoothing = params_of(call)->label_smoothing;
    TUFF_TRY(tuff__check_dtype(call, LOGITS, TUFF_F32));
    TUFF_TRY(tuff__check_dtype(call, LABELS, TUFF_I32));
    if (logits->rank != 2 || labels->rank != 1 || labels->dims[0] != logits->dims[0]) {
        char logits_text[TUFF__SHAPE_TEXT], labels_text[TUFF__SHAPE_TEXT];
        return tuff__fail_shape(call, "logits are %s, labels %s; wanted [N, V] and [N]",
                                tuff__shape_text(logits, logits_text), tuff__shape_text(labels, labels_text));
    }
    if (!(smoothing >= 0.0F && smoothing <= 1.0F))
        return tuff__fail_value(call, "label_smoothing is %g, wanted 0 to 1", (double)smoothing);
    return TUFF_SUCCESS;
}

static tuff_shape vector_shape(int64_t count)
{
    return (tuff_shape){.rank = 1, .dims = {count}};
}

/* -- forward ------------------------------------------------------------------------------------------------------ */

static tuff_status cross_entropy_infer(tuff_op_call *call)
{
    TUFF_TRY(check_logits(call));
    tuff__output_set(call, OUT_LOSS, TUFF_F32, vector_shape(1));
    tuff__output_set(call, OUT_LSE, TUFF_F32, vector_shape(call->inputs[LOGITS].shape.dims[0]));
    tuff__output_set(call, OUT_COUNT, TUFF_F32, vector_shape(1));
    return TUFF_SUCCESS;
}

/* Not by fmax, which gcc 12 for arm64 breaks down on. A NaN spoils the sums below in any case. */
static double row_largest(const float *x, int64_t columns)
{
    double largest = (double)x[0];
    for (int64_t c = 1; c < columns; c++)
        largest = (double)x[c] > largest ? (double)x[c] : largest;
    return largest;
}

static double row_loss(const float *x, int64_t columns, int32_t label, double smoothing, float *out_lse)
{
    const double largest = row_largest(x, columns);
    double sum = 0, total = 0;
    for (int64_t c = 0; c < columns; c++) {
        sum += exp((double)x[c] - largest);
        total += (double)x[c] - largest;
    }
    *out_lse = (float)(largest + log(sum));
    if (label < 0)
        return 0;
    const double picked = log(sum) - ((double)x[label] - largest);
    /* 0·infinity, where a column is masked by -infinity, must not spoil the plain loss. */
    return smoothing == 0.0 ? picked : (1.0 - smoothing) * picked + smoothing * (log(sum) - total / (double)columns);
}

static void cross_entropy_compute(const tuff_op_call *call)
{
    const int64_t rows = call->inputs[LOGITS].shape.dims[0], columns = call->inputs[LOGITS].shape.dims[1];
    const tuff__cross_entropy_params *params = params_of(call);
    const int32_t *labels = call->inputs[LABELS].data;
    double loss = 0;
    int64_t count = 0;
    for (int64_t r = 0; r < rows; r++) {
        const bool counted = is_counted(params, labels[r], columns);
        loss += row_loss((const float *)call->inputs[LOGITS].data + r * columns, columns, counted ? labels[r] : -1,
                         (double)params->label_smoothing, (float *)call->outputs[OUT_LSE].data + r);
        count += counted;
    }
    *(float *)call->outputs[OUT_LOSS].data = (float)(count ? loss / (double)count : 0.0);
    *(float *)call->outputs[OUT_COUNT].data = (float)count;
}

typedef struct loss_arrays {
    const float *logits, *lse_in;
    const int32_t *labels;
    float *lse, *rows, *dlogits;
    int64_t columns;
    tuff__cross_entropy_params params;
    float factor; /* dloss/count */
} loss_arrays;

TUFF__SIMD static void loss_rows(void *user, int64_t first, int64_t last)
{
    const loss_arrays a = *(const loss_arrays *)user;
    const float smoothing = a.params.label_smoothing;
    for (int64_t r = first; r < last; r++) {
        const float *x = a.logits + r * a.columns;
        const float largest = tuff__max(x, a.columns);
        const float log_sum = tuff__logf(tuff__sum_exp(x, NULL, largest, a.columns));
        a.lse[r] = largest + log_sum;
        a.rows[r] = 0.0F;
        if (!is_counted(&a.params, a.labels[r], a.columns))
            continue;
        const float picked = log_sum - (x[a.labels[r]] - largest);
        a.rows[r] = picked;
        if (smoothing != 0.0F) {
            const float mean = tuff__sum_offset(x, NULL, largest, a.columns) / (float)a.columns;
            a.rows[r] = (1.0F - smoothing) * picked + smoothing * (log_sum - mean);
        }
    }
}

static void cross_entropy_compute_fast(const tuff_op_call *call)
{
    const int64_t rows = call->inputs[LOGITS].shape.dims[0], columns = call->inputs[LOGITS].shape.dims[1];
    loss_arrays arrays = {
        .logits = call->inputs[LOGITS].data,
        .labels = call->inputs[LABELS].data,
        .lse = call->outputs[OUT_LSE].data,
        .rows = call->workspace,
        .columns = columns,
        .params = *params_of(call),
    };
    tuff__pool_run_range(call->pool, rows, ROW_GRAIN, loss_rows, &arrays);
    double loss = 0;
    int64_t count = 0;
    for (int64_t r = 0; r < rows; r++) {
        loss += (double)arrays.rows[r];
        count += is_counted(&arrays.params, arrays.labels[r], columns);
    }
    *(float *)call->outputs[OUT_LOSS].data = (float)(count ? loss / (double)count : 0.0);
    *(float *)call->outputs[OUT_COUNT].data = (float)count;
}

static uint64_t cross_entropy_workspace(const tuff_op_call *call, const tuff__target *target)
{
    (void)target;
    return (uint64_t)call->inputs[LOGITS].shape.dims[0] * sizeof(float); /* the loss of each row */
}

static tuff_status record_sum(const tuff_op_call *call, tuff__recorder *recorder)
{
    const int64_t rows = call->inputs[LOGITS].shape.dims[0];
    const int64_t part = tuff__min_i64(rows, tuff__window_limit(call->target));
    for (int64_t first = 0; first < rows; first += part) {
        const int64_t count = tuff__min_i64(part, rows - first);
        struct tuff_push_cross_entropy_sum push = {
            .rows = (uint32_t)count,
            .columns = (uint32_t)call->inputs[LOGITS].shape.dims[1],
            .ignore_index = params_of(call)->ignore_index,
            .accumulate = first > 0,
            .finish = first + count == rows,
        };
        const tuff__dispatch dispatch = {
            .shader = "cross_entropy_sum",
            .push_constants = &push,
            .push_constants_size = sizeof push,
            .group_count = {1, 1, 1},
            .bindings = {tuff__window(call->workspace_slice, first, count, &push.row_base),
                         tuff__window(call->inputs[LABELS].slice, first, count, &push.row_base),
                         call->outputs[OUT_LOSS].slice, call->outputs[OUT_COUNT].slice},
            .binding_count = 4,
        };
        TUFF_TRY(tuff__dispatch_record(recorder, call, &dispatch));
    }
    return TUFF_SUCCESS;
}

static tuff_status cross_entropy_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const int64_t rows = call->inputs[LOGITS].shape.dims[0], columns = call->inputs[LOGITS].shape.dims[1];
    const int64_t part = tuff__min_i64(rows, tuff__window_limit(call->target) / columns);
    const uint32_t lanes = tuff__row_lanes(call->target, columns);
    if (part == 0)
        return tuff__fail_window(call, "a row", columns);
    for (int64_t first = 0; first < rows; first += part) {
        const int64_t count = tuff__min_i64(part, rows - first);
        struct tuff_push_cross_entropy push = {
            .rows = (uint32_t)count,
            .columns = (uint32_t)columns,
            .ignore_index = params_of(call)->ignore_index,
            .label_smoothing = params_of(call)->label_smoothing,
        };
        const tuff__dispatch dispatch = {
            .shader = "cross_entropy",
            .push_constants = &push,
            .push_constants_size = sizeof push,
            .constants = {lanes},
            .constant_count = 1,
            .group_count = {tuff__groups_for(call->target, count, TUFF__ROW_GROUP / lanes), 1, 1},
            .bindings = {tuff__window(call->inputs[LOGITS].slice, first * columns, count * columns, &push.base),
                         tuff__window(call->inputs[LABELS].slice, first, count, &push.row_base),
                         tuff__window(call->outputs[OUT_LSE].slice, first, count, &push.row_base),
                         tuff__window(call->workspace_slice, first, count, &push.row_base)},
            .binding_count = 4,
        };
        TUFF_TRY(tuff__dispatch_record(recorder, call, &dispatch));
    }
    return record_sum(call, recorder);
}

static void cross_entropy_differentiate(tuff__gradient *g)
{
    const tuff_tensor inputs[] = {g->inputs[LOGITS], g->inputs[LABELS], g->outputs[OUT_LSE], g->outputs[OUT_COUNT],
                                  g->output_grads[OUT_LOSS]};
    g->input_grads[LOGITS] = tuff__graph_add(g->graph, TUFF__OP_CROSS_ENTROPY_BACKWARD, g->params,
                                             sizeof(tuff__cross_entropy_params), inputs, 5, NULL);
}

/* What a row's loss rounds by: exp of differences that weigh log V at most, its sum's logarithm, what is picked. */
static double row_magnitude(const tuff_op_call *call, int64_t row, int32_t label)
{
    const int64_t columns = call->inputs[LOGITS].shape.dims[1];
    const float *x = (const float *)call->inputs[LOGITS].data + row * columns;
    const double smoothing = (double)params_of(call)->label_smoothing;
    const double largest = row_largest(x, columns);
    double total = 0;
    for (int64_t c = 0; c < columns && smoothing > 0; c++)
        total += largest - (double)x[c];
    const double of_sum = 1 + 2 * log((double)columns);
    if (label < 0)
        return of_sum + fabs(largest);
    return of_sum + (largest - (double)x[label]) + (smoothing > 0 ? smoothing * total / (double)columns : 0);
}

static void cross_entropy_magnitude(const tuff_op_call *call, uint32_t output, float *out)
{
    const int64_t rows = call->inputs[LOGITS].shape.dims[0], columns = call->inputs[LOGITS].shape.dims[1];
    const int32_t *labels = call->inputs[LABELS].data;
    double sum = 0;
    int64_t count = 0;
    for (int64_t r = 0; r < rows && output == OUT_LSE; r++)
        out[r] = (float)row_magnitude(call, r, -1);
    for (int64_t r = 0; r < rows && output == OUT_LOSS; r++)
        if (is_counted(params_of(call), labels[r], columns)) {
            sum += row_magnitude(call, r, labels[r]);
            count++;
        }
    if (output != OUT_LSE) /* the count is exact */
        out[0] = (float)(count ? sum / (double)count : 0);
}

static double cross_entropy_flops(const tuff_op_call *call)
{
    return 20.0 * (double)tuff_shape_count(&call->inputs[LOGITS].shape);
}

const tuff_op_desc tuff__op_cross_entropy = {
    .name = "cross_entropy",
    .input_count = 2,
    .output_count = 3,
    .allowance = 4.0F, /* exp and log of 2 ulp each, tree sums */
    .infer = cross_entropy_infer,
    .workspace = cross_entropy_workspace,
    .compute = cross_entropy_compute,
    .compute_fast = cross_entropy_compute_fast,
    .record = cross_entropy_record,
    .backward = cross_entropy_differentiate,
    .flops = cross_entropy_flops,
    .magnitude = cross_entropy_magnitude,
};

tuff_tensor tuff_cross_entropy(tuff_graph *graph, tuff_tensor logits, tuff_tensor labels, float label_smoothing)
{
    const tuff__cross_entropy_params params = {.label_smoothing = label_smoothing, .ignore_index = -100};
    const tuff_tensor inputs[] = {logits, labels};
    return tuff__graph_add(graph, TUFF__OP_CROSS_ENTROPY, &params, sizeof params, inputs, 2, NULL);
}

/* -- gradient ----------------------------------------------------------------------------------------------------- */

static tuff_status backward_infer(tuff_op_call *call)
{
    TUFF_TRY(check_logits(call));
    TUFF_TRY(tuff__check_dtype(call, LSE, TUFF_F32));
    TUFF_TRY(tuff__check_dtype(call, COUNT, TUFF_F32));
    TUFF_TRY(tuff__check_dtype(call, DLOSS, TUFF_F32));
    if (tuff_shape_count(&call->inputs[LSE].shape) != call->inputs[LOGITS].shape.dims[0] ||
        tuff_shape_count(&call->inputs[COUNT].shape) != 1 || tuff_shape_count(&call->inputs[DLOSS].shape) != 1)
        return tuff__fail_shape(call, "lse, count and the loss's gradient are not [N], [1] and [1]");
    tuff__output_like(call, 0, LOGITS);
    return TUFF_SUCCESS;
}

static void backward_compute(const tuff_op_call *call)
{
    const int64_t rows = call->inputs[LOGITS].shape.dims[0], columns = call->inputs[LOGITS].shape.dims[1];
    const tuff__cross_entropy_params *params = params_of(call);
    const float *lse = call->inputs[LSE].data;
    const int32_t *labels = call->inputs[LABELS].data;
    const double count = (double)*(const float *)call->inputs[COUNT].data;
    const double factor = count > 0 ? (double)*(const float *)call->inputs[DLOSS].data / count : 0.0;
    const double smoothing = (double)params->label_smoothing;
    for (int64_t r = 0; r < rows; r++) {
        const float *x = (const float *)call->inputs[LOGITS].data + r * columns;
        float *dx = (float *)call->outputs[0].data + r * columns;
        const bool counted = is_counted(params, labels[r], columns);
        for (int64_t c = 0; c < columns; c++) {
            const double target = (c == labels[r] ? 1.0 - smoothing : 0.0) + smoothing / (double)columns;
            dx[c] = counted ? (float)(factor * (exp((double)x[c] - (double)lse[r]) - target)) : 0.0F;
        }
    }
}

TUFF__SIMD static void gradient_rows(void *user, int64_t first, int64_t last)
{
    const loss_arrays a = *(const loss_arrays *)user;
    const float smoothing = a.params.label_smoothing, spread = smoothing / (float)a.columns;
    for (int64_t r = first; r < last; r++) {
        const float *restrict x = a.logits + r * a.columns;
        float *restrict dx = a.dlogits + r * a.columns;
        const float lse = a.lse_in[r], factor = a.factor;
        const int32_t label = a.labels[r];
        if (!is_counted(&a.params, label, a.columns)) {
            memset(dx, 0, (size_t)a.columns * sizeof *dx);
            continue;
        }
        for (int64_t c = 0; c < a.columns; c++) /* a condition in here would keep it from being vectorised */
            dx[c] = factor * (tuff__expf(x[c] - lse) - spread);
        dx[label] = factor * (tuff__expf(x[label] - lse) - (1.0F - smoothing + spread));
    }
}

static void backward_compute_fast(const tuff_op_call *call)
{
    const float count = *(const float *)call->inputs[COUNT].data;
    loss_arrays arrays = {
        .logits = call->inputs[LOGITS].data,
        .labels = call->inputs[LABELS].data,
        .lse_in = call->inputs[LSE].data,
        .dlogits = call->outputs[0].data,
        .columns = call->inputs[LOGITS].shape.dims[1],
        .params = *params_of(call),
        .factor = count > 0.0F ? *(const float *)call->inputs[DLOSS].data / count : 0.0F,
    };
    tuff__pool_run_range(call->pool, call->inputs[LOGITS].shape.dims[0], ROW_GRAIN, gradient_rows, &arrays);
}

static tuff_status backward_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const int64_t rows = call->inputs[LOGITS].shape.dims[0], columns = call->inputs[LOGITS].shape.dims[1];
    const int64_t part = tuff__min_i64(rows, tuff__window_limit(call->target) / columns);
    if (part == 0)
        return tuff__fail_window(call, "a row", columns);
    for (int64_t first = 0; first < rows; first += part) {
        const int64_t count = tuff__min_i64(part, rows - first);
        struct tuff_push_cross_entropy push = {
            .rows = (uint32_t)count,
            .columns = (uint32_t)columns,
            .ignore_index = params_of(call)->ignore_index,
            .label_smoothing = params_of(call)->label_smoothing,
        };
        const tuff__dispatch dispatch = {
            .shader = "cross_entropy_backward",
            .push_constants = &push,
            .push_constants_size = sizeof push,
            .group_count = {tuff__groups_for(call->target, count * columns, 128), 1, 1},
            .bindings = {tuff__window(call->inputs[LOGITS].slice, first * columns, count * columns, &push.base),
                         tuff__window(call->inputs[LABELS].slice, first, count, &push.row_base),
                         tuff__window(call->inputs[LSE].slice, first, count, &push.row_base), call->inputs[COUNT].slice,
                         call->inputs[DLOSS].slice,
                         tuff__window(call->outputs[0].slice, first * columns, count * columns, &push.base)},
            .binding_count = 6,
        };
        TUFF_TRY(tuff__dispatch_record(recorder, call, &dispatch));
    }
    return TUFF_SUCCESS;
}

static void backward_magnitude(const tuff_op_call *call, uint32_t output, float *out)
{
    (void)output;
    const int64_t rows = call->inputs[LOGITS].shape.dims[0], columns = call->inputs[LOGITS].shape.dims[1];
    const float *x = call->inputs[LOGITS].data, *lse = call->inputs[LSE].data;
    const int32_t *labels = call->inputs[LABELS].data;
    const double count = fmax(1.0, (double)*(const float *)call->inputs[COUNT].data);
    const double factor = fabs((double)*(const float *)call->inputs[DLOSS].data) / count;
    const double smoothing = (double)params_of(call)->label_smoothing;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) {
            const int64_t i = r * columns + c;
            const double exponent = (double)x[i] - (double)lse[r], p = exp(exponent);
            const double target = (c == labels[r] ? 1.0 - smoothing : 0.0) + smoothing / (double)columns;
            /* The exponent's absolute error is p's relative one; of a masked column there is nothing. */
            out[i] = (float)(factor * (p == 0 ? target : p * (1 + fabs(exponent)) + target));
        }
}

static double backward_flops(const tuff_op_call *call)
{
    return 18.0 * (double)tuff_shape_count(&call->inputs[LOGITS].shape);
}

const tuff_op_desc tuff__op_cross_entropy_backward = {
    .name = "cross_entropy_backward",
    .input_count = 5,
    .output_count = 1,
    .allowance = 4.0F, /* exp of 2 ulp, a division, a product */
    .infer = backward_infer,
    .compute = backward_compute,
    .compute_fast = backward_compute_fast,
    .record = backward_record,
    .flops = backward_flops,
    .magnitude = backward_magnitude,
};
