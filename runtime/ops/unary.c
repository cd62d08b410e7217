/*
 * unary.c: owns the operators that map each element alone, y = f(x), and their gradients dx = f'(x)·dy:
 *
 *   gelu       x·Φ(x)                                              Φ(x) + x·φ(x)
 *   gelu_tanh  0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))          by the product rule
 *   silu       x·σ(x)                                              σ(x)·(1 + x·(1 - σ(x)))
 *   tanh       tanh x                                              1 - y², from the result
 *   relu       max(x, 0)                                           1 where x > 0
 *   scale      factor·x                                            factor
 */
#include "unary.h"

#include "../../shaders/unary.h"
#include "../cpu/cpu_pool.h"
#include "../cpu/simd.h"
#include "../recorder.h"

enum { RANGE_GRAIN = 16384 };

_Static_assert((int)TUFF_UNARY_GELU == TUFF_ACTIVATION_GELU && (int)TUFF_UNARY_GELU_TANH == TUFF_ACTIVATION_GELU_TANH &&
                   (int)TUFF_UNARY_SILU == TUFF_ACTIVATION_SILU && (int)TUFF_UNARY_TANH == TUFF_ACTIVATION_TANH &&
                   (int)TUFF_UNARY_RELU == TUFF_ACTIVATION_RELU,
               "kernels take tuff_activation as it is");

/* -- formulas in double, for the reference ------------------------------------------------------------------------ */

static const double sqrt_half = 0.70710678118654752440, sqrt_2_over_pi = 0.79788456080286535588,
                    density_at_0 = 0.39894228040143267794;

static double gelu_exact(double x)
{
    return 0.5 * x * erfc(-x * sqrt_half);
}

static double gelu_slope(double x)
{
    return 0.5 * erfc(-x * sqrt_half) + x * density_at_0 * exp(-0.5 * x * x);
}

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

static double gelu_tanh_exact(double x)
{
    return x * sigmoid(2.0 * sqrt_2_over_pi * (x + 0.044715 * x * x * x));
}

static double gelu_tanh_slope(double x)
{
    const double s = sigmoid(2.0 * sqrt_2_over_pi * (x + 0.044715 * x * x * x));
    const double flat = s * (1.0 - s);
    return flat == 0.0 ? s : s + x * flat * 2.0 * sqrt_2_over_pi * (1.0 + 3.0 * 0.044715 * x * x);
}

static double silu_exact(double x)
{
    return x * sigmoid(x);
}

static double silu_slope(double x)
{
    const double s = sigmoid(x), flat = s * (1.0 - s);
    return flat == 0.0 ? s : s + x * flat;
}

static double tanh_exact(double x)
{
    return tanh(x);
}

static double tanh_slope(double y)
{
    return 1.0 - y * y;
}

static double relu_exact(double x)
{
    return x < 0.0 ? 0.0 : x; /* NaN stays */
}

static double relu_slope(double x)
{
    return x > 0.0 ? 1.0 : 0.0;
}

double tuff__activate_exact(tuff_activation activation, double x)
{
    static double (*const functions[])(double) = {
        [TUFF_ACTIVATION_GELU] = gelu_exact, [TUFF_ACTIVATION_GELU_TANH] = gelu_tanh_exact,
        [TUFF_ACTIVATION_SILU] = silu_exact, [TUFF_ACTIVATION_TANH] = tanh_exact,
        [TUFF_ACTIVATION_RELU] = relu_exact,
    };
    return activation == TUFF_ACTIVATION_NONE ? x : functions[activation](x);
}

static void map(const tuff_op_call *call, double (*f)(double))
{
    const float *x = call->inputs[0].data;
    float *y = call->outputs[0].data;
    const int64_t count = tuff_shape_count(&call->outputs[0].shape);
    for (int64_t i = 0; i < count; i++)
        y[i] = (float)f((double)x[i]);
}

static void map_gradient(const tuff_op_call *call, double (*slope)(double))
{
    const float *x = call->inputs[0].data, *dy = call->inputs[1].data;
    float *dx = call->outputs[0].data;
    const int64_t count = tuff_shape_count(&call->outputs[0].shape);
    for (int64_t i = 0; i < count; i++)
        dx[i] = (float)(slope((double)x[i]) * (double)dy[i]);
}

/* -- the CPU device ----------------------------------------------------------------------------------------------- */

typedef struct unary_arrays {
    const float *x, *dy;
    float *y;
    float factor;
} unary_arrays;

static void run_arrays(const tuff_op_call *call, tuff__pool_range_task task, float factor)
{
    unary_arrays arrays = {
        .x = call->inputs[0].data,
        .dy = call->input_count > 1 ? call->inputs[1].data : NULL,
        .y = call->outputs[0].data,
        .factor = factor,
    };
    tuff__pool_run_range(call->pool, tuff_shape_count(&call->outputs[0].shape), RANGE_GRAIN, task, &arrays);
}

/* A loop of its own for each formula, so that each is vectorised with its formula inside. */
#define UNARY_RANGE(name, value)                                                                                       \
    TUFF__SIMD static void name(void *user, int64_t first, int64_t last)                                               \
    {                                                                                                                  \
        const unary_arrays *arrays = user;                                                                             \
        const float *restrict in = arrays->x;                                                                          \
        float *restrict out = arrays->y;                                                                               \
        for (int64_t i = first; i < last; i++) {                                                                       \
            const float x = in[i];                                                                                     \
            out[i] = (value);                                                                                          \
        }                                                                                                              \
    }
#define UNARY_GRADIENT_RANGE(name, value)                                                                              \
    TUFF__SIMD static void name(void *user, int64_t first, int64_t last)                                               \
    {                                                                                                                  \
        const unary_arrays *arrays = user;                                                                             \
        const float *restrict in = arrays->x, *restrict gradient = arrays->dy;                                         \
        float *restrict out = arrays->y;                                                                               \
        for (int64_t i = first; i < last; i++) {                                                                       \
            const float x = in[i], dy = gradient[i];                                                                   \
            out[i] = (value);                                                                                          \
        }                                                                                                              \
    }

UNARY_RANGE(gelu_range, tuff__geluf(x))
UNARY_RANGE(gelu_tanh_range, tuff__gelu_tanhf(x))
UNARY_RANGE(silu_range, tuff__siluf(x))
UNARY_RANGE(tanh_range, tuff__tanhf(x))
UNARY_RANGE(relu_range, x < 0.0F ? 0.0F : x)
UNARY_GRADIENT_RANGE(gelu_backward_range, tuff__gelu_gradient(x) * dy)
UNARY_GRADIENT_RANGE(gelu_tanh_backward_range, tuff__gelu_tanh_gradient(x) * dy)
UNARY_GRADIENT_RANGE(silu_backward_range, tuff__silu_gradient(x) * dy)
UNARY_GRADIENT_RANGE(tanh_backward_range, (1.0F - x) * (1.0F + x) * dy)
UNARY_GRADIENT_RANGE(relu_backward_range, x > 0.0F ? dy : 0.0F)

TUFF__SIMD static void scale_range(void *user, int64_t first, int64_t last)
{
    const unary_arrays *arrays = user;
    const float *restrict in = arrays->x;
    float *restrict out = arrays->y;
    const float factor = arrays->factor;
    for (int64_t i = first; i < last; i++)
        out[i] = in[i] * factor;
}

/* -- shapes, Vulkan, gradients ------------------------------------------------------------------------------------ */

static tuff_status infer_unary(tuff_op_call *call)
{
    TUFF_TRY(tuff__check_dtype(call, 0, TUFF_F32));
    tuff__output_like(call, 0, 0);
    return TUFF_SUCCESS;
}

static tuff_status infer_gradient(tuff_op_call *call)
{
    TUFF_TRY(tuff__check_dtype(call, 0, TUFF_F32));
    TUFF_TRY(tuff__check_dtype(call, 1, TUFF_F32));
    if (!tuff__shape_equal(&call->inputs[0].shape, &call->inputs[1].shape)) {
        char x[TUFF__SHAPE_TEXT], dy[TUFF__SHAPE_TEXT];
        return tuff__fail_shape(call, "x is %s, its gradient %s", tuff__shape_text(&call->inputs[0].shape, x),
                                tuff__shape_text(&call->inputs[1].shape, dy));
    }
    tuff__output_like(call, 0, 0);
    return TUFF_SUCCESS;
}

static tuff_status record_kind(const tuff_op_call *call, tuff__recorder *recorder, uint32_t kind, float factor)
{
    const int64_t count = tuff_shape_count(&call->outputs[0].shape);
    const int64_t part = tuff__rows_per_binding(call->target, count, sizeof(float));
    const bool gradient = call->input_count > 1;
    for (int64_t first = 0; first < count; first += part) {
        const int64_t n = count - first < part ? count - first : part;
        const struct tuff_push_unary push = {.count = (uint32_t)n, .factor = factor};
        tuff__dispatch dispatch = {
            .shader = gradient ? "unary_backward" : "unary",
            .push_constants = &push,
            .push_constants_size = sizeof push,
            .constants = {kind},
            .constant_count = 1,
            .group_count = {tuff__groups_for(call->target, n, 128), 1, 1},
        };
        dispatch.bindings[dispatch.binding_count++] = tuff__slice_rows(&call->inputs[0], first, n, sizeof(float));
        if (gradient)
            dispatch.bindings[dispatch.binding_count++] = tuff__slice_rows(&call->inputs[1], first, n, sizeof(float));
        dispatch.bindings[dispatch.binding_count++] = tuff__slice_rows(&call->outputs[0], first, n, sizeof(float));
        TUFF_TRY(tuff__dispatch_record(recorder, call, &dispatch));
    }
    return TUFF_SUCCESS;
}

static void size_of_gradient(const tuff_op_call *call, uint32_t output, float *out)
{
    (void)output;
    const float *dy = call->inputs[1].data;
    for (int64_t i = 0, count = tuff_shape_count(&call->inputs[1].shape); i < count; i++)
        out[i] = fabsf(dy[i]);
}

/* One operator and its gradient. `saved` is what the gradient is made from: the input, or the result. */
#define UNARY_OP(function, FUNCTION, saved, forward_allowance, gradient_allowance)                                     \
    static void function##_compute(const tuff_op_call *call)                                                           \
    {                                                                                                                  \
        map(call, function##_exact);                                                                                   \
    }                                                                                                                  \
    static void function##_compute_fast(const tuff_op_call *call)                                                      \
    {                                                                                                                  \
        run_arrays(call, function##_range, 0.0F);                                                                      \
    }                                                                                                                  \
    static tuff_status function##_record(const tuff_op_call *call, tuff__recorder *recorder)                           \
    {                                                                                                                  \
        return record_kind(call, recorder, TUFF_UNARY_##FUNCTION, 0.0F);                                               \
    }                                                                                                                  \
    static void function##_differentiate(tuff__gradient *gradient)                                                     \
    {                                                                                                                  \
        const tuff_tensor inputs[] = {gradient->saved[0], gradient->output_grads[0]};                                  \
        gradient->input_grads[0] =                                                                                     \
            tuff__graph_add(gradient->graph, TUFF__OP_##FUNCTION##_BACKWARD, NULL, 0, inputs, 2, NULL);                \
    }                                                                                                                  \
    static void function##_backward_compute(const tuff_op_call *call)                                                  \
    {                                                                                                                  \
        map_gradient(call, function##_slope);                                                                          \
    }                                                                                                                  \
    static void function##_backward_compute_fast(const tuff_op_call *call)                                             \
    {                                                                                                                  \
        run_arrays(call, function##_backward_range, 0.0F);                                                             \
    }                                                                                                                  \
    const tuff_op_desc tuff__op_##function = {                                                                         \
        .name = #function,                                                                                             \
        .input_count = 1,                                                                                              \
        .output_count = 1,                                                                                             \
        .allowance = (forward_allowance),                                                                              \
        .infer = infer_unary,                                                                                          \
        .compute = function##_compute,                                                                                 \
        .compute_fast = function##_compute_fast,                                                                       \
        .record = function##_record,                                                                                   \
        .backward = function##_differentiate,                                                                          \
    };                                                                                                                 \
    const tuff_op_desc tuff__op_##function##_backward = {                                                              \
        .name = #function "_backward",                                                                                 \
        .input_count = 2,                                                                                              \
        .output_count = 1,                                                                                             \
        .allowance = (gradient_allowance),                                                                             \
        .infer = infer_gradient,                                                                                       \
        .compute = function##_backward_compute,                                                                        \
        .compute_fast = function##_backward_compute_fast,                                                              \
        .record = function##_record,                                                                                   \
        .magnitude = size_of_gradient,                                                                                 \
    };                                                                                                                 \
    tuff_tensor tuff_##function(tuff_graph *graph, tuff_tensor x)                                                      \
    {                                                                                                                  \
        return tuff__graph_add(graph, TUFF__OP_##FUNCTION, NULL, 0, &x, 1, NULL);                                      \
    }

/* Allowances: half the ulp that math.glsl and simd.h state (|want| + magnitude is at least 2·|want|), rounded up, and 1
 * for devices that divide with 2.5 ulp; gradients by their absolute error times |dy|, and 1 for the product. */
UNARY_OP(gelu, GELU, inputs, 5.0F, 4.0F)
UNARY_OP(gelu_tanh, GELU_TANH, inputs, 5.0F, 5.0F)
UNARY_OP(silu, SILU, inputs, 3.0F, 4.0F)
UNARY_OP(tanh, TANH, outputs, 3.0F, 2.0F)
UNARY_OP(relu, RELU, inputs, 0.0F, 0.0F)

static float factor_of(const tuff_op_call *call)
{
    return ((const tuff__scale_params *)call->params)->factor;
}

static void scale_compute(const tuff_op_call *call)
{
    const float *x = call->inputs[0].data;
    float *y = call->outputs[0].data;
    const int64_t count = tuff_shape_count(&call->outputs[0].shape);
    for (int64_t i = 0; i < count; i++)
        y[i] = x[i] * factor_of(call); /* one rounding, as everywhere */
}

static void scale_compute_fast(const tuff_op_call *call)
{
    run_arrays(call, scale_range, factor_of(call));
}

static tuff_status scale_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    return record_kind(call, recorder, TUFF_UNARY_SCALE, factor_of(call));
}

static void scale_differentiate(tuff__gradient *gradient)
{
    const tuff__scale_params *params = gradient->params;
    gradient->input_grads[0] = tuff_scale(gradient->graph, gradient->output_grads[0], params->factor);
}

const tuff_op_desc tuff__op_scale = {
    .name = "scale",
    .input_count = 1,
    .output_count = 1,
    .infer = infer_unary,
    .compute = scale_compute,
    .compute_fast = scale_compute_fast,
    .record = scale_record,
    .backward = scale_differentiate,
};

tuff_tensor tuff_scale(tuff_graph *graph, tuff_tensor x, float factor)
{
    const tuff__scale_params params = {.factor = factor};
    return tuff__graph_add(graph, TUFF__OP_SCALE, &params, sizeof params, &x, 1, NULL);
}

tuff_tensor tuff_activate(tuff_graph *graph, tuff_tensor x, tuff_activation activation)
{
    switch (activation) {
    case TUFF_ACTIVATION_NONE:
        return x;
    case TUFF_ACTIVATION_GELU:
        return tuff_gelu(graph, x);
    case TUFF_ACTIVATION_GELU_TANH:
        return tuff_gelu_tanh(graph, x);
    case TUFF_ACTIVATION_SILU:
        return tuff_silu(graph, x);
    case TUFF_ACTIVATION_TANH:
        return tuff_tanh(graph, x);
    case TUFF_ACTIVATION_RELU:
        return tuff_relu(graph, x);
    }
    tuff__graph_set_error(graph,
                          tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "activate: %d is no activation", (int)activation));
    return (tuff_tensor){0};
}
