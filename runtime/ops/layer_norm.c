/*
 * layer_norm.c: owns layer normalisation, Ba et al. 2016, with an optional fused residual, and its gradients.
 *
 *   s = x (+ residual)                                          [.., C]
 *   n = (s - mean)·rstd,  rstd = 1/√(mean((s - mean)²) + eps)   mean, rstd [rows]
 *   y = n·weight + bias
 *
 *   g = dy·weight,  dx = dresidual = rstd·(g - mean(g) - n·mean(g·n))
 *   dweight = Σ_rows dy·n,  dbias = Σ_rows dy
 *
 * The variance is taken from the deviations, in a second pass over the row: the difference of two large sums would
 * cancel.
 */
#include "layer_norm.h"

#include "../../shaders/layer_norm.h"
#include "../cpu/cpu_pool.h"
#include "../cpu/simd.h"
#include "window.h"

/* Inputs of the three operators. */
enum { X = 0, WEIGHT = 1, BIAS = 2, RESIDUAL = 3 };
enum { DX_S = 0, DX_WEIGHT = 1, DX_MEAN = 2, DX_RSTD = 3, DX_DY = 4 };
enum { AFFINE_S = 0, AFFINE_MEAN = 1, AFFINE_RSTD = 2, AFFINE_DY = 3 };

enum { ROW_GRAIN = 16, COLUMN_BLOCK = 64, ROW_BLOCK = 32, MAX_CHUNKS = 256, MIN_CHUNK_ROWS = 16 };

/* -- forward ------------------------------------------------------------------------------------------------------ */

static tuff_shape vector_shape(int64_t count)
{
    return (tuff_shape){.rank = 1, .dims = {count}};
}

static tuff_status check_shape(const tuff_op_call *call, uint32_t input, tuff_shape wanted)
{
    char found[TUFF__SHAPE_TEXT], text[TUFF__SHAPE_TEXT];
    TUFF_TRY(tuff__check_dtype(call, input, TUFF_F32));
    if (tuff__shape_equal(&call->inputs[input].shape, &wanted))
        return TUFF_SUCCESS;
    return tuff__fail_shape(call, "input %u is %s, wanted %s", input,
                            tuff__shape_text(&call->inputs[input].shape, found), tuff__shape_text(&wanted, text));
}

static tuff_status layer_norm_infer(tuff_op_call *call)
{
    const tuff_shape shape = call->inputs[X].shape;
    const float eps = ((const tuff__layer_norm_params *)call->params)->eps;
    TUFF_TRY(tuff__check_dtype(call, X, TUFF_F32));
    if (shape.rank == 0)
        return tuff__fail_shape(call, "x is a scalar, wanted a last dimension to normalise");
    if (!(eps >= 0.0F))
        return tuff__fail_value(call, "eps is %g, wanted at least 0", (double)eps);
    TUFF_TRY(check_shape(call, WEIGHT, vector_shape(tuff__shape_columns(&shape))));
    TUFF_TRY(check_shape(call, BIAS, vector_shape(tuff__shape_columns(&shape))));
    tuff__output_like(call, 0, X);
    tuff__output_set(call, 1, TUFF_F32, vector_shape(tuff__shape_rows(&shape)));
    tuff__output_set(call, 2, TUFF_F32, vector_shape(tuff__shape_rows(&shape)));
    call->output_count = 3;
    if (tuff__call_has(call, RESIDUAL)) {
        TUFF_TRY(check_shape(call, RESIDUAL, shape));
        tuff__output_like(call, 3, X);
        call->output_count = 4;
    }
    return TUFF_SUCCESS;
}

static void layer_norm_compute(const tuff_op_call *call)
{
    const int64_t rows = tuff__shape_rows(&call->inputs[X].shape),
                  columns = tuff__shape_columns(&call->inputs[X].shape);
    const float *weight = call->inputs[WEIGHT].data, *bias = call->inputs[BIAS].data;
    const double eps = (double)((const tuff__layer_norm_params *)call->params)->eps;
    float *mean_out = call->outputs[1].data, *rstd_out = call->outputs[2].data;
    for (int64_t r = 0; r < rows; r++) {
        const float *s = (const float *)call->inputs[X].data + r * columns;
        float *y = (float *)call->outputs[0].data + r * columns;
        if (tuff__call_has(call, RESIDUAL)) {
            const float *residual = (const float *)call->inputs[RESIDUAL].data + r * columns;
            float *sum = (float *)call->outputs[3].data + r * columns;
            for (int64_t c = 0; c < columns; c++)
                sum[c] = s[c] + residual[c];
            s = sum;
        }
        double mean = 0, variance = 0;
        for (int64_t c = 0; c < columns; c++)
            mean += (double)s[c];
        mean /= (double)columns;
        for (int64_t c = 0; c < columns; c++)
            variance += ((double)s[c] - mean) * ((double)s[c] - mean);
        const double rstd = 1.0 / sqrt(variance / (double)columns + eps);
        for (int64_t c = 0; c < columns; c++)
            y[c] = (float)(((double)s[c] - mean) * rstd * (double)weight[c] + (double)bias[c]);
        mean_out[r] = (float)mean;
        rstd_out[r] = (float)rstd;
    }
}

typedef struct norm_arrays {
    const float *x, *weight, *bias, *residual;
    float *y, *mean, *rstd, *s;
    int64_t columns;
    float eps;
} norm_arrays;

TUFF__SIMD static void norm_rows(void *user, int64_t first, int64_t last)
{
    const norm_arrays a = *(const norm_arrays *)user;
    const float per_column = 1.0F / (float)a.columns;
    for (int64_t r = first; r < last; r++) {
        const float *s = a.x + r * a.columns;
        float *restrict y = a.y + r * a.columns;
        if (a.residual) {
            float *restrict sum = a.s + r * a.columns;
            const float *restrict x = s, *restrict residual = a.residual + r * a.columns;
            for (int64_t c = 0; c < a.columns; c++)
                sum[c] = x[c] + residual[c];
            s = sum;
        }
        const float mean = tuff__sum(s, NULL, 0.0F, a.columns) * per_column;
        const float variance = tuff__sum_deviation(s, NULL, mean, a.columns) * per_column;
        const float rstd = 1.0F / sqrtf(variance + a.eps);
        const float *restrict weight = a.weight, *restrict bias = a.bias;
        for (int64_t c = 0; c < a.columns; c++)
            y[c] = (s[c] - mean) * rstd * weight[c] + bias[c];
        a.mean[r] = mean;
        a.rstd[r] = rstd;
    }
}

static void layer_norm_compute_fast(const tuff_op_call *call)
{
    const bool fused = tuff__call_has(call, RESIDUAL);
    norm_arrays arrays = {
        .x = call->inputs[X].data,
        .weight = call->inputs[WEIGHT].data,
        .bias = call->inputs[BIAS].data,
        .residual = fused ? call->inputs[RESIDUAL].data : NULL,
        .y = call->outputs[0].data,
        .mean = call->outputs[1].data,
        .rstd = call->outputs[2].data,
        .s = fused ? call->outputs[3].data : NULL,
        .columns = tuff__shape_columns(&call->inputs[X].shape),
        .eps = ((const tuff__layer_norm_params *)call->params)->eps,
    };
    tuff__pool_run_range(call->pool, tuff__shape_rows(&call->inputs[X].shape), ROW_GRAIN, norm_rows, &arrays);
}

static tuff_status layer_norm_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const int64_t rows = tuff__shape_rows(&call->inputs[X].shape),
                  columns = tuff__shape_columns(&call->inputs[X].shape);
    const int64_t part = tuff__min_i64(rows, tuff__window_limit(call->target) / columns);
    const bool fused = tuff__call_has(call, RESIDUAL);
    const uint32_t lanes = tuff__row_lanes(call->target, columns);
    if (part == 0)
        return tuff__fail_window(call, "a row", columns);
    for (int64_t first = 0; first < rows; first += part) {
        const int64_t count = tuff__min_i64(part, rows - first), elements = count * columns;
        struct tuff_push_layer_norm push = {
            .rows = (uint32_t)count,
            .columns = (uint32_t)columns,
            .eps = ((const tuff__layer_norm_params *)call->params)->eps,
        };
        const tuff__slice x = tuff__window(call->inputs[X].slice, first * columns, elements, &push.base);
        const tuff__slice y = tuff__window(call->outputs[0].slice, first * columns, elements, &push.base);
        const tuff__dispatch dispatch = {
            .shader = "layer_norm",
            .push_constants = &push,
            .push_constants_size = sizeof push,
            .constants = {lanes, fused},
            .constant_count = 2,
            .group_count = {tuff__groups_for(call->target, count, TUFF__ROW_GROUP / lanes), 1, 1},
            .bindings = {x, call->inputs[WEIGHT].slice, call->inputs[BIAS].slice,
                         fused ? tuff__window(call->inputs[RESIDUAL].slice, first * columns, elements, &push.base) : x,
                         y, tuff__window(call->outputs[1].slice, first, count, &push.row_base),
                         tuff__window(call->outputs[2].slice, first, count, &push.row_base),
                         fused ? tuff__window(call->outputs[3].slice, first * columns, elements, &push.base) : y},
            .binding_count = 8,
        };
        TUFF_TRY(tuff__dispatch_record(recorder, call, &dispatch));
    }
    return TUFF_SUCCESS;
}

static void layer_norm_differentiate(tuff__gradient *g)
{
    const tuff_tensor s = g->output_count == 4 ? g->outputs[3] : g->inputs[X], dy = g->output_grads[0];
    if (!dy.id)
        return;
    if (g->wanted[X] || (g->input_count > RESIDUAL && g->wanted[RESIDUAL])) {
        const tuff_tensor inputs[] = {s, g->inputs[WEIGHT], g->outputs[1], g->outputs[2], dy};
        g->input_grads[X] = tuff__graph_add(g->graph, TUFF__OP_LAYER_NORM_BACKWARD, NULL, 0, inputs, 5, NULL);
        g->input_grads[RESIDUAL] = g->input_grads[X];
    }
    if (g->wanted[WEIGHT] || g->wanted[BIAS]) {
        const tuff_tensor inputs[] = {s, g->outputs[1], g->outputs[2], dy};
        tuff_tensor outputs[2];
        tuff__graph_add(g->graph, TUFF__OP_LAYER_NORM_BACKWARD_AFFINE, NULL, 0, inputs, 4, outputs);
        g->input_grads[WEIGHT] = outputs[0];
        g->input_grads[BIAS] = outputs[1];
    }
}

typedef struct row_sums {
    double mean, rstd, size; /* size: mean |s| */
} row_sums;

static double input_sum(const tuff_op_call *call, int64_t i)
{
    const double x = (double)((const float *)call->inputs[X].data)[i];
    return tuff__call_has(call, RESIDUAL) ? x + (double)((const float *)call->inputs[RESIDUAL].data)[i] : x;
}

static row_sums sum_row(const tuff_op_call *call, int64_t row, int64_t columns)
{
    row_sums sums = {0};
    double squares = 0;
    for (int64_t c = 0; c < columns; c++) {
        sums.mean += input_sum(call, row * columns + c) / (double)columns;
        sums.size += fabs(input_sum(call, row * columns + c)) / (double)columns;
    }
    for (int64_t c = 0; c < columns; c++)
        squares += pow(input_sum(call, row * columns + c) - sums.mean, 2);
    sums.rstd = 1 / sqrt(squares / (double)columns + (double)((const tuff__layer_norm_params *)call->params)->eps);
    return sums;
}

/* The mean rounds by mean |s|, and all of the row moves with it: first order in y, second in the variance, where an
 * error of δ adds (δ·rstd)²/2 of it, and 8²·2^-46/2 is 4·2^-23 of the 8·2^-23 allowed. s itself is one rounded
 * addition. */
static void layer_norm_magnitude(const tuff_op_call *call, uint32_t output, float *out)
{
    const int64_t rows = tuff__shape_rows(&call->inputs[X].shape);
    const int64_t columns = tuff__shape_columns(&call->inputs[X].shape);
    const float *weight = call->inputs[WEIGHT].data, *bias = call->inputs[BIAS].data;
    for (int64_t r = 0; r < rows; r++) {
        const row_sums sums = sum_row(call, r, columns);
        if (output == 1)
            out[r] = (float)sums.size;
        if (output == 2)
            out[r] = (float)(sums.rstd * 0x1p-21 * pow(sums.size * sums.rstd, 2));
        for (int64_t c = 0; c < columns && (output == 0 || output == 3); c++) {
            const double s = fabs(input_sum(call, r * columns + c));
            out[r * columns + c] =
                (float)(output == 3 ? 0
                                    : fabs((double)weight[c]) * sums.rstd * (s + sums.size) + fabs((double)bias[c]));
        }
    }
}

static double layer_norm_flops(const tuff_op_call *call)
{
    return 8.0 * (double)tuff_shape_count(&call->inputs[X].shape);
}

const tuff_op_desc tuff__op_layer_norm = {
    .name = "layer_norm",
    .input_count = 4,
    .output_count = 4,
    .optional_inputs = 1,
    /* Sums of C terms as trees of 32 to 128 lanes, and five roundings after them. */
    .allowance = 8.0F,
    .infer = layer_norm_infer,
    .compute = layer_norm_compute,
    .compute_fast = layer_norm_compute_fast,
    .record = layer_norm_record,
    .backward = layer_norm_differentiate,
    .flops = layer_norm_flops,
    .magnitude = layer_norm_magnitude,
};

tuff_tensor tuff_layer_norm(tuff_graph *graph, tuff_tensor x, tuff_tensor residual, tuff_tensor weight,
                            tuff_tensor bias, float eps)
{
    const tuff__layer_norm_params params = {.eps = eps};
    const tuff_tensor inputs[] = {x, weight, bias, residual};
    return tuff__graph_add(graph, TUFF__OP_LAYER_NORM, &params, sizeof params, inputs, 4, NULL);
}

/* -- gradient of x ------------------------------------------------------------------------------------------------ */

static tuff_status backward_infer(tuff_op_call *call)
{
    const tuff_shape shape = call->inputs[DX_S].shape;
    TUFF_TRY(tuff__check_dtype(call, DX_S, TUFF_F32));
    TUFF_TRY(check_shape(call, DX_WEIGHT, vector_shape(tuff__shape_columns(&shape))));
    TUFF_TRY(check_shape(call, DX_MEAN, vector_shape(tuff__shape_rows(&shape))));
    TUFF_TRY(check_shape(call, DX_RSTD, vector_shape(tuff__shape_rows(&shape))));
    TUFF_TRY(check_shape(call, DX_DY, shape));
    tuff__output_like(call, 0, DX_S);
    return TUFF_SUCCESS;
}

static void backward_compute(const tuff_op_call *call)
{
    const int64_t rows = tuff__shape_rows(&call->inputs[DX_S].shape);
    const int64_t columns = tuff__shape_columns(&call->inputs[DX_S].shape);
    const float *weight = call->inputs[DX_WEIGHT].data;
    for (int64_t r = 0; r < rows; r++) {
        const float *s = (const float *)call->inputs[DX_S].data + r * columns;
        const float *dy = (const float *)call->inputs[DX_DY].data + r * columns;
        float *dx = (float *)call->outputs[0].data + r * columns;
        const double mean = (double)((const float *)call->inputs[DX_MEAN].data)[r];
        const double rstd = (double)((const float *)call->inputs[DX_RSTD].data)[r];
        double mean_g = 0, mean_gn = 0;
        for (int64_t c = 0; c < columns; c++) {
            const double g = (double)dy[c] * (double)weight[c];
            mean_g += g;
            mean_gn += g * ((double)s[c] - mean) * rstd;
        }
        mean_g /= (double)columns;
        mean_gn /= (double)columns;
        for (int64_t c = 0; c < columns; c++) {
            const double n = ((double)s[c] - mean) * rstd;
            dx[c] = (float)(rstd * ((double)dy[c] * (double)weight[c] - mean_g - n * mean_gn));
        }
    }
}

typedef struct gradient_arrays {
    const float *s, *weight, *mean, *rstd, *dy;
    float *dx, *dweight, *dbias;
    int64_t rows, columns;
} gradient_arrays;

TUFF__SIMD static void backward_rows(void *user, int64_t first, int64_t last)
{
    const gradient_arrays a = *(const gradient_arrays *)user;
    const float per_column = 1.0F / (float)a.columns;
    const float *restrict weight = a.weight;
    for (int64_t r = first; r < last; r++) {
        const float *restrict s = a.s + r * a.columns, *restrict dy = a.dy + r * a.columns;
        float *restrict dx = a.dx + r * a.columns;
        const float mean = a.mean[r], rstd = a.rstd[r];
        /* dx holds g between the passes. */
        for (int64_t c = 0; c < a.columns; c++)
            dx[c] = dy[c] * weight[c];
        const float mean_g = tuff__sum(dx, NULL, 0.0F, a.columns) * per_column;
        const float mean_gn = tuff__dot_deviation(dx, s, mean, a.columns) * rstd * per_column;
        for (int64_t c = 0; c < a.columns; c++)
            dx[c] = rstd * (dx[c] - mean_g - (s[c] - mean) * rstd * mean_gn);
    }
}

static void backward_compute_fast(const tuff_op_call *call)
{
    gradient_arrays arrays = {
        .s = call->inputs[DX_S].data,
        .weight = call->inputs[DX_WEIGHT].data,
        .mean = call->inputs[DX_MEAN].data,
        .rstd = call->inputs[DX_RSTD].data,
        .dy = call->inputs[DX_DY].data,
        .dx = call->outputs[0].data,
        .columns = tuff__shape_columns(&call->inputs[DX_S].shape),
    };
    tuff__pool_run_range(call->pool, tuff__shape_rows(&call->inputs[DX_S].shape), ROW_GRAIN, backward_rows, &arrays);
}

static tuff_status backward_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const int64_t rows = tuff__shape_rows(&call->inputs[DX_S].shape);
    const int64_t columns = tuff__shape_columns(&call->inputs[DX_S].shape);
    const int64_t part = tuff__min_i64(rows, tuff__window_limit(call->target) / columns);
    const uint32_t lanes = tuff__row_lanes(call->target, columns);
    if (part == 0)
        return tuff__fail_window(call, "a row", columns);
    for (int64_t first = 0; first < rows; first += part) {
        const int64_t count = tuff__min_i64(part, rows - first), elements = count * columns;
        struct tuff_push_layer_norm push = {.rows = (uint32_t)count, .columns = (uint32_t)columns};
        const tuff__dispatch dispatch = {
            .shader = "layer_norm_backward",
            .push_constants = &push,
            .push_constants_size = sizeof push,
            .constants = {lanes},
            .constant_count = 1,
            .group_count = {tuff__groups_for(call->target, count, TUFF__ROW_GROUP / lanes), 1, 1},
            .bindings = {tuff__window(call->inputs[DX_S].slice, first * columns, elements, &push.base),
                         call->inputs[DX_WEIGHT].slice,
                         tuff__window(call->inputs[DX_MEAN].slice, first, count, &push.row_base),
                         tuff__window(call->inputs[DX_RSTD].slice, first, count, &push.row_base),
                         tuff__window(call->inputs[DX_DY].slice, first * columns, elements, &push.base),
                         tuff__window(call->outputs[0].slice, first * columns, elements, &push.base)},
            .binding_count = 6,
        };
        TUFF_TRY(tuff__dispatch_record(recorder, call, &dispatch));
    }
    return TUFF_SUCCESS;
}

/* n, of which the sums of both gradients are made. */
static double normalised(const tuff_op_call *call, uint32_t mean_input, uint32_t rstd_input, int64_t row, int64_t i)
{
    const float *s = call->inputs[0].data, *mean = call->inputs[mean_input].data, *rstd = call->inputs[rstd_input].data;
    return ((double)s[i] - (double)mean[row]) * (double)rstd[row];
}

static void backward_magnitude(const tuff_op_call *call, uint32_t output, float *out)
{
    (void)output;
    const int64_t rows = tuff__shape_rows(&call->inputs[DX_S].shape);
    const int64_t columns = tuff__shape_columns(&call->inputs[DX_S].shape);
    const float *dy = call->inputs[DX_DY].data, *weight = call->inputs[DX_WEIGHT].data;
    for (int64_t r = 0; r < rows; r++) {
        const double rstd = (double)((const float *)call->inputs[DX_RSTD].data)[r];
        double mean_g = 0, mean_gn = 0; /* of |g| and |g·n| */
        for (int64_t i = r * columns, c = 0; c < columns; i++, c++) {
            const double g = fabs((double)dy[i] * (double)weight[c]) / (double)columns;
            mean_g += g;
            mean_gn += g * fabs(normalised(call, DX_MEAN, DX_RSTD, r, i));
        }
        for (int64_t i = r * columns, c = 0; c < columns; i++, c++)
            out[i] = (float)(rstd * (fabs((double)dy[i] * (double)weight[c]) + mean_g +
                                     fabs(normalised(call, DX_MEAN, DX_RSTD, r, i)) * mean_gn));
    }
}

static double backward_flops(const tuff_op_call *call)
{
    return 12.0 * (double)tuff_shape_count(&call->inputs[DX_S].shape);
}

const tuff_op_desc tuff__op_layer_norm_backward = {
    .name = "layer_norm_backward",
    .input_count = 5,
    .output_count = 1,
    .allowance = 8.0F, /* as forward */
    .infer = backward_infer,
    .compute = backward_compute,
    .compute_fast = backward_compute_fast,
    .record = backward_record,
    .flops = backward_flops,
    .magnitude = backward_magnitude,
};

/* -- gradients of weight and bias --------------------------------------------------------------------------------- */

static tuff_status affine_infer(tuff_op_call *call)
{
    const tuff_shape shape = call->inputs[AFFINE_S].shape;
    TUFF_TRY(tuff__check_dtype(call, AFFINE_S, TUFF_F32));
    TUFF_TRY(check_shape(call, AFFINE_MEAN, vector_shape(tuff__shape_rows(&shape))));
    TUFF_TRY(check_shape(call, AFFINE_RSTD, vector_shape(tuff__shape_rows(&shape))));
    TUFF_TRY(check_shape(call, AFFINE_DY, shape));
    tuff__output_set(call, 0, TUFF_F32, vector_shape(tuff__shape_columns(&shape)));
    tuff__output_set(call, 1, TUFF_F32, vector_shape(tuff__shape_columns(&shape)));
    return TUFF_SUCCESS;
}

static void affine_compute(const tuff_op_call *call)
{
    const int64_t rows = tuff__shape_rows(&call->inputs[AFFINE_S].shape);
    const int64_t columns = tuff__shape_columns(&call->inputs[AFFINE_S].shape);
    const float *s = call->inputs[AFFINE_S].data, *dy = call->inputs[AFFINE_DY].data;
    const float *mean = call->inputs[AFFINE_MEAN].data, *rstd = call->inputs[AFFINE_RSTD].data;
    for (int64_t c = 0; c < columns; c++) {
        double dweight = 0, dbias = 0;
        for (int64_t r = 0; r < rows; r++) {
            const int64_t i = r * columns + c;
            dweight += (double)dy[i] * ((double)s[i] - (double)mean[r]) * (double)rstd[r];
            dbias += (double)dy[i];
        }
        ((float *)call->outputs[0].data)[c] = (float)dweight;
        ((float *)call->outputs[1].data)[c] = (float)dbias;
    }
}

/* Adds rows [row, row + ROW_BLOCK) of `width` columns from `start`. */
TUFF__INLINE void add_affine_rows(const gradient_arrays *a, int64_t row, int64_t start, int64_t width)
{
    float part_weight[COLUMN_BLOCK] = {0}, part_bias[COLUMN_BLOCK] = {0};
    const int64_t end = row + ROW_BLOCK < a->rows ? row + ROW_BLOCK : a->rows;
    for (int64_t r = row; r < end; r++) {
        const float *restrict s = a->s + r * a->columns + start, *restrict dy = a->dy + r * a->columns + start;
        const float mean = a->mean[r], rstd = a->rstd[r];
        for (int64_t c = 0; c < width; c++) {
            part_weight[c] += dy[c] * ((s[c] - mean) * rstd);
            part_bias[c] += dy[c];
        }
    }
    for (int64_t c = 0; c < width; c++) {
        a->dweight[start + c] += part_weight[c];
        a->dbias[start + c] += part_bias[c];
    }
}

/* Columns [64·first, 64·last): blocks of 32 rows are summed first, then their sums, which keeps the error of a chain of
 * thousands of additions away. */
TUFF__SIMD static void affine_columns(void *user, int64_t first, int64_t last)
{
    const gradient_arrays a = *(const gradient_arrays *)user;
    for (int64_t block = first; block < last; block++) {
        const int64_t start = block * COLUMN_BLOCK;
        const int64_t width = a.columns - start < COLUMN_BLOCK ? a.columns - start : COLUMN_BLOCK;
        for (int64_t c = 0; c < width; c++)
            a.dweight[start + c] = a.dbias[start + c] = 0.0F;
        for (int64_t row = 0; row < a.rows; row += ROW_BLOCK)
            add_affine_rows(&a, row, start, width);
    }
}

static void affine_compute_fast(const tuff_op_call *call)
{
    gradient_arrays arrays = {
        .s = call->inputs[AFFINE_S].data,
        .mean = call->inputs[AFFINE_MEAN].data,
        .rstd = call->inputs[AFFINE_RSTD].data,
        .dy = call->inputs[AFFINE_DY].data,
        .dweight = call->outputs[0].data,
        .dbias = call->outputs[1].data,
        .rows = tuff__shape_rows(&call->inputs[AFFINE_S].shape),
        .columns = tuff__shape_columns(&call->inputs[AFFINE_S].shape),
    };
    tuff__pool_run_range(call->pool, (arrays.columns + COLUMN_BLOCK - 1) / COLUMN_BLOCK, 1, affine_columns, &arrays);
}

/* Chunks whose partial sums [chunks, 2, C] the workspace holds at one time. */
static int64_t affine_chunks(const tuff__target *target, int64_t columns)
{
    return tuff__min_i64(MAX_CHUNKS, tuff__window_limit(target) / (2 * columns));
}

static uint64_t affine_workspace(const tuff_op_call *call, const tuff__target *target)
{
    const int64_t columns = tuff__shape_columns(&call->inputs[AFFINE_S].shape);
    if (target->backend != TUFF_BACKEND_VULKAN)
        return 0;
    return (uint64_t)(affine_chunks(target, columns) * 2 * columns) * sizeof(float);
}

static tuff_status affine_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const int64_t rows = tuff__shape_rows(&call->inputs[AFFINE_S].shape);
    const int64_t columns = tuff__shape_columns(&call->inputs[AFFINE_S].shape);
    const int64_t chunks = affine_chunks(call->target, columns), limit = tuff__window_limit(call->target) / columns;
    if (chunks == 0)
        return tuff__fail_window(call, "a row of partial sums", 2 * columns);
    int64_t chunk_rows = tuff__max_i64(MIN_CHUNK_ROWS, tuff__divide_up(rows, chunks));
    chunk_rows = tuff__min_i64(chunk_rows, limit);
    const int64_t part = tuff__min_i64(rows, tuff__min_i64(limit / chunk_rows, chunks) * chunk_rows);
    const uint32_t column_groups = tuff__groups_for(call->target, columns, 128);
    for (int64_t first = 0; first < rows; first += part) {
        const int64_t count = tuff__min_i64(part, rows - first), used = tuff__divide_up(count, chunk_rows);
        struct tuff_push_layer_norm_affine push = {
            .rows = (uint32_t)count,
            .columns = (uint32_t)columns,
            .chunk_rows = (uint32_t)chunk_rows,
        };
        const tuff__dispatch partial = {
            .shader = "layer_norm_backward_affine",
            .push_constants = &push,
            .push_constants_size = sizeof push,
            .group_count = {column_groups, (uint32_t)used, 1},
            .bindings = {tuff__window(call->inputs[AFFINE_S].slice, first * columns, count * columns, &push.base),
                         tuff__window(call->inputs[AFFINE_MEAN].slice, first, count, &push.row_base),
                         tuff__window(call->inputs[AFFINE_RSTD].slice, first, count, &push.row_base),
                         tuff__window(call->inputs[AFFINE_DY].slice, first * columns, count * columns, &push.base),
                         call->workspace_slice},
            .binding_count = 5,
        };
        TUFF_TRY(tuff__dispatch_record(recorder, call, &partial));
        const struct tuff_push_layer_norm_affine_sum sum_push = {
            .chunks = (uint32_t)used,
            .columns = (uint32_t)columns,
            .accumulate = first > 0,
        };
        const tuff__dispatch sum = {
            .shader = "layer_norm_backward_affine_sum",
            .push_constants = &sum_push,
            .push_constants_size = sizeof sum_push,
            .local_size_x = 32, /* few columns: more workgroups */
            .group_count = {tuff__groups_for(call->target, columns, 32), 1, 1},
            .bindings = {call->workspace_slice, call->outputs[0].slice, call->outputs[1].slice},
            .binding_count = 3,
        };
        TUFF_TRY(tuff__dispatch_record(recorder, call, &sum));
    }
    return TUFF_SUCCESS;
}

static void affine_magnitude(const tuff_op_call *call, uint32_t output, float *out)
{
    const int64_t rows = tuff__shape_rows(&call->inputs[AFFINE_S].shape);
    const int64_t columns = tuff__shape_columns(&call->inputs[AFFINE_S].shape);
    const float *dy = call->inputs[AFFINE_DY].data;
    for (int64_t c = 0; c < columns; c++) {
        double sum = 0;
        for (int64_t r = 0, i = c; r < rows; r++, i += columns)
            sum += fabs((double)dy[i] * (output == 0 ? normalised(call, AFFINE_MEAN, AFFINE_RSTD, r, i) : 1.0));
        out[c] = (float)sum;
    }
}

static double affine_flops(const tuff_op_call *call)
{
    return 5.0 * (double)tuff_shape_count(&call->inputs[AFFINE_S].shape);
}

const tuff_op_desc tuff__op_layer_norm_backward_affine = {
    .name = "layer_norm_backward_affine",
    .input_count = 4,
    .output_count = 2,
    .allowance = 8.0F, /* chunks of 16 or more rows, then at most 256 chunks */
    .infer = affine_infer,
    .workspace = affine_workspace,
    .compute = affine_compute,
    .compute_fast = affine_compute_fast,
    .record = affine_record,
    .flops = affine_flops,
    .magnitude = affine_magnitude,
};
