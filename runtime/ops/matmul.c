/*
 * matmul.c: owns the matrix product as an operator:
 *
 *     out[.., m, n] = act(alpha·sum over k of op(a)[.., m, k]·op(b)[.., k, n] + bias[n]) + residual[.., m, n]
 *
 * With p = alpha·op(a)·op(b) + bias and g = dout·act'(p):
 *     d op(a) = alpha·g·op(b)ᵀ    d op(b) = alpha·op(a)ᵀ·g    dbias[n] = sum over rows of g    dresidual = dout
 * Every product of the gradient is one of NN, NT and TN again, so TT is never needed and not offered. p is not kept:
 * where an activation needs it, the product is computed again without epilogue, which costs time but no memory.
 */
#include "matmul.h"

#include "unary.h"

#include <math.h>

/* -- shapes ------------------------------------------------------------------------------------------------------- */

tuff__matmul_sizes tuff__matmul_sizes_of(const tuff_op_call *call)
{
    const tuff__matmul_params *params = call->params;
    const tuff_shape *a = &call->inputs[TUFF__MATMUL_A].shape, *b = &call->inputs[TUFF__MATMUL_B].shape;
    const int64_t *a_dims = a->dims + a->rank - 2, *b_dims = b->dims + b->rank - 2;
    tuff__matmul_sizes sizes = {
        .batch = tuff__shape_product(a, 0, a->rank - 2),
        .m = params->transpose_a ? a_dims[1] : a_dims[0],
        .k = params->transpose_a ? a_dims[0] : a_dims[1],
        .n = params->transpose_b ? b_dims[0] : b_dims[1],
    };
    if (b->rank == 2 && !params->transpose_a) {
        sizes.m *= sizes.batch;
        sizes.batch = 1;
    }
    sizes.a_batch_stride = sizes.batch > 1 ? sizes.m * sizes.k : 0;
    sizes.b_batch_stride = b->rank > 2 && sizes.batch > 1 ? sizes.k * sizes.n : 0;
    return sizes;
}

static tuff_status check_batches(const tuff_op_call *call, const char *a_text, const char *b_text)
{
    const tuff_shape *a = &call->inputs[TUFF__MATMUL_A].shape, *b = &call->inputs[TUFF__MATMUL_B].shape;
    if (a->rank < 2 || b->rank < 2)
        return tuff__fail_shape(call, "a is %s and b is %s, wanted rank 2 or more", a_text, b_text);
    if (b->rank == 2)
        return TUFF_SUCCESS;
    bool equal = a->rank == b->rank;
    for (uint32_t i = 0; equal && i + 2 < a->rank; i++)
        equal = a->dims[i] == b->dims[i];
    return equal ? TUFF_SUCCESS
                 : tuff__fail_shape(call, "a is %s and b is %s, wanted equal leading dimensions", a_text, b_text);
}

static tuff_status check_epilogue(const tuff_op_call *call, const tuff_shape *out)
{
    char found[TUFF__SHAPE_TEXT], wanted[TUFF__SHAPE_TEXT];
    if (tuff__call_has(call, TUFF__MATMUL_BIAS)) {
        TUFF_TRY(tuff__check_dtype(call, TUFF__MATMUL_BIAS, TUFF_F32));
        const tuff_shape *bias = &call->inputs[TUFF__MATMUL_BIAS].shape;
        if (bias->rank != 1 || bias->dims[0] != out->dims[out->rank - 1])
            return tuff__fail_shape(call, "bias is %s, wanted [%lld]", tuff__shape_text(bias, found),
                                    (long long)out->dims[out->rank - 1]);
    }
    if (tuff__call_has(call, TUFF__MATMUL_RESIDUAL)) {
        TUFF_TRY(tuff__check_dtype(call, TUFF__MATMUL_RESIDUAL, TUFF_F32));
        const tuff_shape *residual = &call->inputs[TUFF__MATMUL_RESIDUAL].shape;
        if (!tuff__shape_equal(residual, out))
            return tuff__fail_shape(call, "residual is %s, wanted %s", tuff__shape_text(residual, found),
                                    tuff__shape_text(out, wanted));
    }
    return TUFF_SUCCESS;
}

static tuff_status infer(tuff_op_call *call)
{
    const tuff__matmul_params *params = call->params;
    const tuff_shape *a = &call->inputs[TUFF__MATMUL_A].shape, *b = &call->inputs[TUFF__MATMUL_B].shape;
    char a_text[TUFF__SHAPE_TEXT], b_text[TUFF__SHAPE_TEXT];
    tuff__shape_text(a, a_text);
    tuff__shape_text(b, b_text);
    TUFF_TRY(tuff__check_dtype(call, TUFF__MATMUL_A, TUFF_F32));
    TUFF_TRY(tuff__check_dtype(call, TUFF__MATMUL_B, TUFF_F32));
    TUFF_TRY(check_batches(call, a_text, b_text));
    if (params->transpose_a && params->transpose_b)
        return tuff__fail_shape(call, "a is %s and b is %s, both transposed, wanted at most one", a_text, b_text);
    if ((unsigned)params->activation > TUFF_ACTIVATION_RELU)
        return tuff__fail_value(call, "activation %d, wanted 0 to %d", (int)params->activation, TUFF_ACTIVATION_RELU);
    const int64_t a_depth = a->dims[params->transpose_a ? a->rank - 2 : a->rank - 1];
    const int64_t b_depth = b->dims[params->transpose_b ? b->rank - 1 : b->rank - 2];
    if (a_depth != b_depth)
        return tuff__fail_shape(call, "a is %s%s and b is %s%s, wanted equal inner dimensions", a_text,
                                params->transpose_a ? " transposed" : "", b_text,
                                params->transpose_b ? " transposed" : "");
    tuff_shape out = *a;
    if (params->transpose_a)
        out.dims[out.rank - 2] = a->dims[a->rank - 1];
    out.dims[out.rank - 1] = b->dims[params->transpose_b ? b->rank - 2 : b->rank - 1];
    TUFF_TRY(check_epilogue(call, &out));
    tuff__output_set(call, 0, TUFF_F32, out);
    return TUFF_SUCCESS;
}

/* -- reference ---------------------------------------------------------------------------------------------------- */

enum { COLUMNS_AT_ONCE = 64 }; /* independent sums, so that the additions need not wait for each other */

/* Elements [first, first + count) of one row of the result; `row` counts over all batches. */
static void compute_columns(const tuff_op_call *call, const tuff__matmul_sizes *sizes, int64_t row, int64_t first,
                            int64_t count)
{
    const tuff__matmul_params *params = call->params;
    const int64_t batch = row / sizes->m, i = row % sizes->m;
    const int64_t a_step = params->transpose_a ? sizes->m : 1;
    const int64_t b_step = params->transpose_b ? 1 : sizes->n, b_column = params->transpose_b ? sizes->k : 1;
    const float *a = (const float *)call->inputs[TUFF__MATMUL_A].data + batch * sizes->a_batch_stride +
                     i * (params->transpose_a ? 1 : sizes->k);
    const float *b =
        (const float *)call->inputs[TUFF__MATMUL_B].data + batch * sizes->b_batch_stride + first * b_column;
    const float *bias = tuff__call_has(call, TUFF__MATMUL_BIAS) ? call->inputs[TUFF__MATMUL_BIAS].data : NULL;
    const float *residual =
        tuff__call_has(call, TUFF__MATMUL_RESIDUAL) ? call->inputs[TUFF__MATMUL_RESIDUAL].data : NULL;
    float *out = (float *)call->outputs[0].data + row * sizes->n;
    double sums[COLUMNS_AT_ONCE] = {0};
    for (int64_t k = 0; k < sizes->k; k++)
        for (int64_t j = 0; j < count; j++)
            sums[j] += (double)a[k * a_step] * (double)b[k * b_step + j * b_column];
    for (int64_t j = 0; j < count; j++) {
        const double sum = (double)params->alpha * sums[j] + (bias ? (double)bias[first + j] : 0);
        const double y = tuff__activate_exact(params->activation, sum);
        out[first + j] = (float)(y + (residual ? (double)residual[row * sizes->n + first + j] : 0));
    }
}

static void compute(const tuff_op_call *call)
{
    const tuff__matmul_sizes sizes = tuff__matmul_sizes_of(call);
    for (int64_t row = 0; row < sizes.batch * sizes.m; row++)
        for (int64_t first = 0; first < sizes.n; first += COLUMNS_AT_ONCE)
            compute_columns(call, &sizes, row, first,
                            sizes.n - first < COLUMNS_AT_ONCE ? sizes.n - first : COLUMNS_AT_ONCE);
}

/* Of `length` elements `step` apart. */
typedef struct vector_size {
    double norm, largest; /* Euclidean; of the sizes */
} vector_size;

static vector_size size_of(const float *x, int64_t length, int64_t step)
{
    vector_size size = {0};
    for (int64_t i = 0; i < length; i++) {
        const double value = fabs((double)x[i * step]);
        size.norm += value * value;
        size.largest = fmax(size.largest, value);
    }
    size.norm = sqrt(size.norm);
    return size;
}

/* The sum's size as far as it matters, from the result: where an activation is not its argument it is flat, and
 * |p·act'(p)| is below |act(p)| + 1/2 for all of them. */
static double sum_size(const tuff__matmul_params *params, double want, double bias, double residual)
{
    return fabs(want - residual) + fabs(bias) + (params->activation == TUFF_ACTIVATION_NONE ? 0 : 0.5);
}

/* An addition rounds by up to half a unit of the sum so far, so by 0.29 units in the root mean square, up or down by
 * chance: the error of k additions is 0.29·√k·2^-23 of the sums so far. Those are as large as the root of the terms'
 * squares when signs alternate by chance or one term outweighs the rest, and as the result when they do not: √k/4 of
 * both, times the allowance of 4, is 3.4 times the worst root mean square. Measured: 0.28·√k of the former (MiniLM, one
 * of whose channels is a hundred times its fellows), 0.15·√k of the latter.
 * sqrt(sum (a·b)²) is at most the norm of the one times the largest of the other. */
static void magnitude_columns(const tuff_op_call *call, const tuff__matmul_sizes *s, int64_t batch, int64_t first,
                              int64_t count, float *out)
{
    const tuff__matmul_params *params = call->params;
    const float *a = (const float *)call->inputs[TUFF__MATMUL_A].data + batch * s->a_batch_stride;
    const float *b = (const float *)call->inputs[TUFF__MATMUL_B].data + batch * s->b_batch_stride;
    const float *bias = tuff__call_has(call, TUFF__MATMUL_BIAS) ? call->inputs[TUFF__MATMUL_BIAS].data : NULL;
    const float *residual =
        tuff__call_has(call, TUFF__MATMUL_RESIDUAL) ? call->inputs[TUFF__MATMUL_RESIDUAL].data : NULL;
    const float *want = call->outputs[0].data;
    const double chain = sqrt((double)s->k) / 4, alpha = fabs((double)params->alpha);
    vector_size right[COLUMNS_AT_ONCE];
    for (int64_t j = 0; j < count; j++)
        right[j] = params->transpose_b ? size_of(b + (first + j) * s->k, s->k, 1) : size_of(b + first + j, s->k, s->n);
    for (int64_t i = 0; i < s->m; i++) {
        const vector_size left = params->transpose_a ? size_of(a + i, s->k, s->m) : size_of(a + i * s->k, s->k, 1);
        for (int64_t j = 0, at = (batch * s->m + i) * s->n + first; j < count; j++, at++) {
            const double terms = fmin(left.norm * right[j].largest, left.largest * right[j].norm);
            const double added = residual ? (double)residual[at] : 0;
            const double sum = sum_size(params, (double)want[at], bias ? (double)bias[first + j] : 0, added);
            out[at] = (float)(chain * alpha * terms + (1 + chain) * sum + fabs(added));
        }
    }
}

static void magnitude(const tuff_op_call *call, uint32_t output, float *out)
{
    (void)output;
    const tuff__matmul_sizes s = tuff__matmul_sizes_of(call);
    for (int64_t batch = 0; batch < s.batch; batch++)
        for (int64_t first = 0; first < s.n; first += COLUMNS_AT_ONCE)
            magnitude_columns(call, &s, batch, first, s.n - first < COLUMNS_AT_ONCE ? s.n - first : COLUMNS_AT_ONCE,
                              out);
}

static double flops(const tuff_op_call *call)
{
    const tuff__matmul_sizes sizes = tuff__matmul_sizes_of(call);
    return 2.0 * (double)sizes.batch * (double)sizes.m * (double)sizes.n * (double)sizes.k;
}

/* -- gradient ----------------------------------------------------------------------------------------------------- */

/* dp from dout, where p is what the activation was applied to. */
static tuff_tensor activation_gradient(const tuff__gradient *gradient, tuff_tensor dout)
{
    static const tuff__op_id backward_of[] = {
        [TUFF_ACTIVATION_GELU] = TUFF__OP_GELU_BACKWARD, [TUFF_ACTIVATION_GELU_TANH] = TUFF__OP_GELU_TANH_BACKWARD,
        [TUFF_ACTIVATION_SILU] = TUFF__OP_SILU_BACKWARD, [TUFF_ACTIVATION_TANH] = TUFF__OP_TANH_BACKWARD,
        [TUFF_ACTIVATION_RELU] = TUFF__OP_RELU_BACKWARD,
    };
    const tuff__matmul_params *params = gradient->params;
    if (params->activation == TUFF_ACTIVATION_NONE)
        return dout;
    const bool from_output = params->activation == TUFF_ACTIVATION_TANH; /* its slope is 1 - y² */
    const bool has_residual =
        gradient->input_count > TUFF__MATMUL_RESIDUAL && gradient->inputs[TUFF__MATMUL_RESIDUAL].id;
    tuff_tensor argument = gradient->outputs[0];
    if (!from_output || has_residual) {
        const tuff_matmul_info info = {
            .transpose_a = params->transpose_a,
            .transpose_b = params->transpose_b,
            .alpha = params->alpha,
            .bias = gradient->input_count > TUFF__MATMUL_BIAS ? gradient->inputs[TUFF__MATMUL_BIAS] : (tuff_tensor){0},
            .activation = from_output ? params->activation : TUFF_ACTIVATION_NONE,
        };
        argument =
            tuff_matmul(gradient->graph, gradient->inputs[TUFF__MATMUL_A], gradient->inputs[TUFF__MATMUL_B], &info);
    }
    const tuff_tensor inputs[] = {argument, dout};
    return tuff__graph_add(gradient->graph, backward_of[params->activation], NULL, 0, inputs, 2, NULL);
}

/* A tensor as [rows, its last dimension]. */
static tuff_tensor fold(tuff_graph *graph, tuff_tensor x)
{
    const tuff_shape shape = tuff_tensor_shape(graph, x);
    if (shape.rank <= 2)
        return x;
    return tuff_reshape(graph, x, TUFF_SHAPE(tuff__shape_rows(&shape), tuff__shape_columns(&shape)));
}

static tuff_tensor gradient_a(const tuff__gradient *gradient, tuff_tensor g)
{
    const tuff__matmul_params *params = gradient->params;
    const tuff_tensor b = gradient->inputs[TUFF__MATMUL_B];
    tuff_graph *graph = gradient->graph;
    if (!params->transpose_a) /* g·op(b)ᵀ */
        return tuff_matmul(graph, g, b,
                           &(tuff_matmul_info){.transpose_b = !params->transpose_b, .alpha = params->alpha});
    /* op(a) = aᵀ: da = op(b)·gᵀ, b untransposed. Where b serves every batch it is repeated, since
     * it stands in front. */
    const tuff_shape g_shape = tuff_tensor_shape(graph, g);
    const tuff_shape b_shape = tuff_tensor_shape(graph, b);
    tuff_tensor left = b;
    if (b_shape.rank < g_shape.rank) {
        const int64_t batch = tuff__shape_product(&g_shape, 0, g_shape.rank - 2);
        tuff_shape repeated = g_shape;
        repeated.dims[g_shape.rank - 2] = b_shape.dims[0];
        left = tuff_reshape(graph, b, TUFF_SHAPE(1, b_shape.dims[0], b_shape.dims[1]));
        left = tuff_reshape(graph, tuff_expand(graph, left, 0, batch), repeated);
    }
    return tuff_matmul(graph, left, g, &(tuff_matmul_info){.transpose_b = true, .alpha = params->alpha});
}

static tuff_tensor gradient_b(const tuff__gradient *gradient, tuff_tensor g)
{
    const tuff__matmul_params *params = gradient->params;
    tuff_tensor a = gradient->inputs[TUFF__MATMUL_A];
    tuff_graph *graph = gradient->graph;
    const tuff_shape b_shape = tuff_tensor_shape(graph, gradient->inputs[TUFF__MATMUL_B]);
    const bool shared = tuff_tensor_shape(graph, a).rank > b_shape.rank;
    if (params->transpose_a) { /* db = a·g; where b served every batch, their sum */
        const tuff_tensor db = tuff_matmul(graph, a, g, &(tuff_matmul_info){.alpha = params->alpha});
        if (!shared)
            return db;
        const tuff_shape shape = tuff_tensor_shape(graph, db);
        const int64_t count = b_shape.dims[0] * b_shape.dims[1];
        if (shape.rank < 2)
            return (tuff_tensor){0};
        const tuff_tensor flat =
            tuff_reshape(graph, db, TUFF_SHAPE(tuff__shape_product(&shape, 0, shape.rank - 2), count));
        return tuff_reshape(graph, tuff_sum(graph, flat, 0), b_shape);
    }
    if (shared) {
        a = fold(graph, a);
        g = fold(graph, g);
    }
    const tuff_matmul_info info = {.transpose_a = true, .alpha = params->alpha};
    return params->transpose_b ? tuff_matmul(graph, g, a, &info) : tuff_matmul(graph, a, g, &info);
}

static void backward(tuff__gradient *gradient)
{
    tuff_graph *graph = gradient->graph;
    const tuff_tensor dout = gradient->output_grads[0];
    if (gradient->wanted[TUFF__MATMUL_RESIDUAL])
        gradient->input_grads[TUFF__MATMUL_RESIDUAL] = dout;
    if (!gradient->wanted[TUFF__MATMUL_A] && !gradient->wanted[TUFF__MATMUL_B] && !gradient->wanted[TUFF__MATMUL_BIAS])
        return;
    const tuff_tensor g = activation_gradient(gradient, dout);
    if (!g.id)
        return;
    if (gradient->wanted[TUFF__MATMUL_A])
        gradient->input_grads[TUFF__MATMUL_A] = gradient_a(gradient, g);
    if (gradient->wanted[TUFF__MATMUL_B])
        gradient->input_grads[TUFF__MATMUL_B] = gradient_b(gradient, g);
    if (gradient->wanted[TUFF__MATMUL_BIAS]) {
        const tuff_shape bias = tuff_tensor_shape(graph, gradient->inputs[TUFF__MATMUL_BIAS]);
        gradient->input_grads[TUFF__MATMUL_BIAS] = tuff_reshape(graph, tuff_sum(graph, fold(graph, g), 0), bias);
    }
}

/* -- public ------------------------------------------------------------------------------------------------------- */

tuff_tensor tuff_matmul(tuff_graph *graph, tuff_tensor a, tuff_tensor b, const tuff_matmul_info *info)
{
    const tuff_matmul_info with_defaults = info ? *info : (tuff_matmul_info){0};
    const tuff__matmul_params params = {
        .transpose_a = with_defaults.transpose_a,
        .transpose_b = with_defaults.transpose_b,
        .activation = with_defaults.activation,
        .alpha = with_defaults.alpha == 0 ? 1 : with_defaults.alpha,
    };
    const tuff_tensor inputs[] = {a, b, with_defaults.bias, with_defaults.residual};
    return tuff__graph_add(graph, TUFF__OP_MATMUL, &params, sizeof params, inputs, 4, NULL);
}

/* Each layout with sizes that no tile divides and with such as are read four elements at a time, epilogues, a long k,
 * which is split, so many tiles that they are large; then one that fills large tiles, for the clock. */
static const tuff__matmul_params proof_nn = {.activation = TUFF_ACTIVATION_GELU, .alpha = 1},
                                 proof_nt = {.transpose_b = true, .alpha = 1},
                                 proof_nt_gelu = {.transpose_b = true, .activation = TUFF_ACTIVATION_GELU, .alpha = 1},
                                 proof_tn = {.transpose_a = true, .alpha = 1};
/* The formatter takes the braces of initialisers for blocks. */
/* clang-format off */
#define PROOF(parameters, ...)                                                                                         \
    {.inputs = {__VA_ARGS__}, .input_count = 4, .params = &(parameters), .params_size = sizeof(parameters)}
static const tuff__proof proofs[] = {
    PROOF(proof_nn, {2, {129, 97}}, {2, {97, 65}}, {1, {65}}, {2, {129, 65}}),
    PROOF(proof_nn, {2, {68, 36}}, {2, {36, 40}}, {1, {40}}, {2, {68, 40}}),
    PROOF(proof_nt, {2, {129, 97}}, {2, {65, 97}}),
    PROOF(proof_nt_gelu, {2, {68, 36}}, {2, {40, 36}}, {1, {40}}),
    PROOF(proof_tn, {2, {1031, 33}}, {2, {1031, 65}}),
    PROOF(proof_tn, {2, {1028, 68}}, {2, {1028, 40}}),
    PROOF(proof_nt, {3, {128, 5, 7}}, {3, {128, 9, 7}}),
    PROOF(proof_nt_gelu, {3, {128, 20, 36}}, {3, {128, 24, 36}}, {1, {24}}),
    PROOF(proof_nn, {3, {128, 20, 36}}, {3, {128, 36, 24}}),
    PROOF(proof_tn, {3, {128, 36, 20}}, {3, {128, 36, 24}}),
    {.inputs = {{3, {128, 128, 64}}, {3, {128, 128, 64}}},
     .input_count = 2,
     .params = &proof_nt,
     .params_size = sizeof proof_nt,
     .timed = true},
};
#undef PROOF
/* clang-format on */

const tuff_op_desc tuff__op_matmul = {
    .name = "matmul",
    .input_count = 4,
    .output_count = 1,
    .optional_inputs = 2,
    .allowance = 4, /* see magnitude; an activation adds at most 7 ulp (cpu/simd.h) of a result below the magnitude */
    .infer = infer,
    .workspace = tuff__matmul_workspace,
    .compute = compute,
    .compute_fast = tuff__matmul_compute_fast,
    .record = tuff__matmul_record,
    .backward = backward,
    .flops = flops,
    .magnitude = magnitude,
    .variants = tuff__matmul_variants,
    .variant_count = TUFF__MATMUL_VARIANT_COUNT,
    .proofs = proofs,
    .proof_count = sizeof proofs / sizeof proofs[0],
};
