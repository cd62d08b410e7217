/*
 * test_golden_ops.c: every operator through the public graph API, forward and backward, against PyTorch in float64
 * (golden/ops/ops.safetensors, made by make_golden.py beside it), on the reference and on the device under test
 * (TUFF_DEVICE, default cpu).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "alloc.h"
#include "check_device.h"
#include "compare.h"
#include "dtype.h"
#include "env.h"
#include "io/safetensors.h"
#include "ops/layout.h"
#include "shape.h"

#include "tuff/tuff.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_INPUTS = 8, ADAMW_STEPS = 3 };

/* Units of 2^-23·(|want| + max |want|). The operators' own allowances are below 16 at these sizes; two or three
 * operators follow each other in a gradient. A wrong element is millions off. */
static const double allowance = 32;

typedef struct golden_run {
    const char *name; /* of the case */
    tuff_graph *graph;
    tuff_tensor inputs[MAX_INPUTS];
    const tuff__safetensors_entry *entries[MAX_INPUTS]; /* what each input is written from */
    size_t input_count;
} golden_run;

static tuff__safetensors *golden;
static tuff_device *devices[2];
static size_t device_count;

static const tuff__safetensors_entry *find(const char *name, const char *part, const char *input)
{
    char key[128];
    snprintf(key, sizeof key, "%s.%s%s", name, part, input);
    return tuff__safetensors_find(golden, key);
}

static tuff_tensor add_input(golden_run *run, const tuff__safetensors_entry *entry)
{
    assert_non_null(entry);
    tuff_shape shape = {.rank = entry->rank};
    for (uint32_t i = 0; i < entry->rank; i++)
        shape.dims[i] = entry->dims[i];
    const tuff_dtype dtype = entry->dtype == TUFF__STORED_I32 ? TUFF_I32 : TUFF_F32;
    const tuff_tensor tensor = tuff_graph_input(run->graph, entry->name, dtype, shape);
    run->inputs[run->input_count] = tensor;
    run->entries[run->input_count++] = entry;
    return tensor;
}

static tuff_tensor in(golden_run *run, const char *input)
{
    return add_input(run, find(run->name, "in.", input));
}

/* -- one builder a case; arguments are evaluated in statements, since inputs are numbered in their order ---------- */

static tuff_tensor build_matmul_nn(golden_run *run)
{
    const tuff_tensor a = in(run, "a"), b = in(run, "b");
    return tuff_matmul(run->graph, a, b, NULL);
}

static tuff_tensor build_matmul_nt(golden_run *run)
{
    const tuff_tensor a = in(run, "a"), b = in(run, "b");
    return tuff_matmul(run->graph, a, b, &(tuff_matmul_info){.transpose_b = true});
}

static tuff_tensor build_matmul_tn(golden_run *run)
{
    const tuff_tensor a = in(run, "a"), b = in(run, "b");
    return tuff_matmul(run->graph, a, b, &(tuff_matmul_info){.transpose_a = true});
}

static tuff_tensor build_matmul_batch(golden_run *run)
{
    const tuff_tensor a = in(run, "a"), b = in(run, "b");
    return tuff_matmul(run->graph, a, b, &(tuff_matmul_info){.alpha = 0.5F});
}

static tuff_tensor build_matmul_shared(golden_run *run)
{
    const tuff_tensor a = in(run, "a"), b = in(run, "b"), bias = in(run, "bias");
    return tuff_matmul(run->graph, a, b, &(tuff_matmul_info){.transpose_b = true, .bias = bias});
}

static tuff_tensor build_matmul_epilogue(golden_run *run)
{
    const tuff_tensor a = in(run, "a"), b = in(run, "b"), bias = in(run, "bias"), residual = in(run, "residual");
    const tuff_matmul_info info = {
        .transpose_b = true, .bias = bias, .activation = TUFF_ACTIVATION_GELU, .residual = residual};
    return tuff_matmul(run->graph, a, b, &info);
}

static tuff_tensor attend(golden_run *run, uint32_t heads, bool causal, bool lengths)
{
    const tuff_tensor q = in(run, "q"), k = in(run, "k"), v = in(run, "v");
    tuff_attention_info info = {.num_attention_heads = heads, .causal = causal};
    if (lengths)
        info.key_lengths = in(run, "lengths");
    return tuff_attention(run->graph, q, k, v, &info);
}

static tuff_tensor build_attention(golden_run *run)
{
    return attend(run, 3, false, false);
}

static tuff_tensor build_attention_causal(golden_run *run)
{
    return attend(run, 2, true, false);
}

static tuff_tensor build_attention_cross(golden_run *run)
{
    return attend(run, 1, true, false);
}

static tuff_tensor build_attention_lengths(golden_run *run)
{
    return attend(run, 2, false, true);
}

static tuff_tensor build_attention_causal_lengths(golden_run *run)
{
    return attend(run, 2, true, true);
}

static tuff_tensor build_layer_norm(golden_run *run)
{
    const tuff_tensor x = in(run, "x"), weight = in(run, "weight"), bias = in(run, "bias");
    return tuff_layer_norm(run->graph, x, (tuff_tensor){0}, weight, bias, 1e-12F);
}

static tuff_tensor build_layer_norm_residual(golden_run *run)
{
    const tuff_tensor x = in(run, "x"), residual = in(run, "residual"), weight = in(run, "weight"),
                      bias = in(run, "bias");
    return tuff_layer_norm(run->graph, x, residual, weight, bias, 1e-5F);
}

#define BUILD(name, call)                                                                                              \
    static tuff_tensor build_##name(golden_run *run)                                                                   \
    {                                                                                                                  \
        const tuff_tensor x = in(run, "x");                                                                            \
        return (call);                                                                                                 \
    }
#define BUILD_TWO(name, first, second, call)                                                                           \
    static tuff_tensor build_##name(golden_run *run)                                                                   \
    {                                                                                                                  \
        const tuff_tensor first = in(run, #first), second = in(run, #second);                                          \
        return (call);                                                                                                 \
    }
BUILD(gelu, tuff_gelu(run->graph, x))
BUILD(gelu_tanh, tuff_gelu_tanh(run->graph, x))
BUILD(silu, tuff_silu(run->graph, x))
BUILD(tanh, tuff_tanh(run->graph, x))
BUILD(relu, tuff_relu(run->graph, x))
BUILD_TWO(embedding, table, ids, tuff_embedding(run->graph, table, ids))
BUILD_TWO(cross_entropy, logits, labels, tuff_cross_entropy(run->graph, logits, labels, 0.0F))
BUILD_TWO(cross_entropy_smoothing, logits, labels, tuff_cross_entropy(run->graph, logits, labels, 0.1F))
BUILD_TWO(add, a, b, tuff_add(run->graph, a, b))
BUILD_TWO(mul, a, b, tuff_mul(run->graph, a, b))
BUILD(scale, tuff_scale(run->graph, x, 0.375F))
BUILD(cast_f16, tuff_cast(run->graph, tuff_cast(run->graph, x, TUFF_F16), TUFF_F32))
BUILD(cast_bf16, tuff_cast(run->graph, tuff_cast(run->graph, x, TUFF_BF16), TUFF_F32))
BUILD(cast_i32, tuff_cast(run->graph, x, TUFF_F32))
BUILD(reshape, tuff_reshape(run->graph, x, TUFF_SHAPE(6, 10)))
BUILD(transpose, tuff_transpose(run->graph, x, (const uint32_t[]){2, 0, 3, 1}))
BUILD(slice, tuff_slice(run->graph, x, 1, 2, 4))
BUILD(expand, tuff_expand(run->graph, x, 1, 7))
BUILD(sum, tuff_sum(run->graph, x, 1))
BUILD(mean, tuff_mean(run->graph, x, 2))
BUILD(max, tuff_max(run->graph, x, 1))
BUILD(argmax, tuff_argmax(run->graph, x, 2))
BUILD(norm, tuff_norm(run->graph, x))
BUILD(dropout, tuff_dropout(run->graph, x, 0.25F, tuff_graph_step_parameters(run->graph)))

static tuff_tensor build_concat(golden_run *run)
{
    tuff_tensor parts[3];
    parts[0] = in(run, "a");
    parts[1] = in(run, "b");
    parts[2] = in(run, "c");
    return tuff_concat(run->graph, parts, 3, 1);
}

typedef struct golden_case {
    const char *name;
    tuff_tensor (*build)(golden_run *run);
    bool exact; /* every element is equal */
} golden_case;

/* The formatter takes the braces of initialisers for blocks. */
/* clang-format off */
#define CASE(name) {#name, build_##name, false}
#define EXACT(name) {#name, build_##name, true}
/* clang-format on */
static const golden_case cases[] = {
    CASE(matmul_nn),
    CASE(matmul_nt),
    CASE(matmul_tn),
    CASE(matmul_batch),
    CASE(matmul_shared),
    CASE(matmul_epilogue),
    CASE(attention),
    CASE(attention_causal),
    CASE(attention_cross),
    CASE(attention_lengths),
    CASE(attention_causal_lengths),
    CASE(layer_norm),
    CASE(layer_norm_residual),
    CASE(gelu),
    CASE(gelu_tanh),
    CASE(silu),
    CASE(tanh),
    EXACT(relu),
    CASE(embedding),
    CASE(cross_entropy),
    CASE(cross_entropy_smoothing),
    CASE(add),
    CASE(mul),
    CASE(scale),
    EXACT(cast_f16),
    EXACT(cast_bf16),
    EXACT(cast_i32),
    EXACT(reshape),
    EXACT(transpose),
    EXACT(slice),
    EXACT(concat),
    CASE(expand),
    CASE(sum),
    CASE(mean),
    EXACT(max),
    EXACT(argmax),
    CASE(norm),
    CASE(dropout),
};

/* -- running ------------------------------------------------------------------------------------------------------ */

static void succeed(tuff_status status, const char *name)
{
    if (status != TUFF_SUCCESS)
        fail_msg("%s: %s: %s", name, tuff_status_name(status), tuff_last_error());
}

static void write_inputs(const golden_run *run)
{
    for (size_t i = 0; i < run->input_count; i++)
        succeed(tuff_graph_write(run->graph, run->inputs[i], run->entries[i]->data, run->entries[i]->size), run->name);
    const tuff_step_parameters step = {.seed = {12345, 678}, .step = 9};
    if (!strcmp(run->name, "dropout"))
        succeed(tuff_graph_write(run->graph, tuff_graph_step_parameters(run->graph), &step, sizeof step), run->name);
}

static void compare(const golden_run *run, tuff_tensor tensor, const tuff__safetensors_entry *entry, bool exact)
{
    const size_t size = entry->size;
    float *got = tuff__malloc(size), *want = tuff__malloc(size);
    assert_non_null(got);
    assert_non_null(want);
    memcpy(want, entry->data, size); /* the file aligns nothing */
    succeed(tuff_graph_read(run->graph, tensor, got, size), entry->name);
    if (entry->dtype == TUFF__STORED_I32) {
        if (memcmp(got, want, size) != 0)
            fail_msg("%s: differs", entry->name);
    } else {
        tuff__comparison comparison;
        char text[256];
        double largest = 0;
        for (int64_t i = 0; i < entry->count; i++)
            largest = fmax(largest, isfinite(want[i]) ? fabs((double)want[i]) : 0.0);
        tuff__compare_arrays(want, got, (uint64_t)entry->count, exact ? 0 : allowance, largest, &comparison);
        const tuff_shape shape = tuff_tensor_shape(run->graph, tensor);
        tuff__comparison_text(&comparison, &shape, text);
        if (comparison.bad)
            fail_msg("%s: %s", entry->name, text);
    }
    tuff__free(got);
    tuff__free(want);
}

/* Gradients of the inputs that have one in the file, of Σ weights·out. */
static size_t add_gradients(golden_run *run, tuff_tensor out, tuff_tensor *gradients,
                            const tuff__safetensors_entry **wanted)
{
    const tuff__safetensors_entry *weights = find(run->name, "weights", "");
    tuff_tensor wrt[MAX_INPUTS];
    size_t count = 0;
    if (!weights)
        return 0;
    const size_t input_count = run->input_count;
    for (size_t i = 0; i < input_count; i++) {
        const char *input = run->entries[i]->name + strlen(run->name) + strlen(".in.");
        wanted[count] = find(run->name, "grad.", input);
        if (wanted[count])
            wrt[count++] = run->inputs[i];
    }
    const tuff_tensor product = tuff_mul(run->graph, out, add_input(run, weights));
    const tuff_shape flat = TUFF_SHAPE(weights->count);
    const tuff_tensor loss = tuff_sum(run->graph, tuff_reshape(run->graph, product, flat), 0);
    tuff_graph_backward(run->graph, loss, wrt, count, gradients);
    return count;
}

static void replay(const golden_case *test, tuff_device *device)
{
    golden_run run = {.name = test->name};
    tuff_tensor outputs[1 + MAX_INPUTS] = {{0}};
    const tuff__safetensors_entry *wanted[1 + MAX_INPUTS] = {find(test->name, "out", "")};
    assert_non_null(wanted[0]);
    succeed(tuff_graph_create(device, &run.graph), test->name);
    outputs[0] = test->build(&run);
    const size_t gradients = add_gradients(&run, outputs[0], outputs + 1, wanted + 1);
    succeed(tuff_graph_compile(run.graph, outputs, 1 + gradients), test->name);
    write_inputs(&run);
    succeed(tuff_graph_run(run.graph), test->name);
    for (size_t i = 0; i <= gradients; i++)
        compare(&run, outputs[i], wanted[i], test->exact);
    tuff_graph_destroy(run.graph);
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t d = 0; d < device_count; d++)
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
            replay(&cases[i], devices[d]);
}

/* Every case of the file is replayed. */
static void test_complete(void **state)
{
    (void)state;
    size_t count = 0, known = 0;
    const tuff__safetensors_entry *entries = tuff__safetensors_entries(golden, &count);
    for (size_t i = 0; i < count; i++) {
        const size_t length = strcspn(entries[i].name, ".");
        bool found = !strncmp(entries[i].name, "adamw.", 6);
        for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++)
            found = found || (strlen(cases[c].name) == length && !strncmp(entries[i].name, cases[c].name, length));
        if (!found)
            fail_msg("%s is of no case", entries[i].name);
        known += found;
    }
    assert_true(known > 200);
}

/* -- adamw: three updates of buffers that outlive the graph ------------------------------------------------------- */

static tuff_step_parameters step_at(uint32_t step)
{
    static const float rates[ADAMW_STEPS] = {1e-3F, 5e-4F, 2.5e-4F};
    return (tuff_step_parameters){
        .step = step,
        .learning_rate = rates[step],
        .bias_correction1 = (float)(1.0 - pow(0.9, step + 1)),
        .bias_correction2_sqrt = (float)sqrt(1.0 - pow(0.999, step + 1)),
    };
}

static void compare_buffer(tuff_buffer *buffer, const char *name)
{
    const tuff__safetensors_entry *entry = find("adamw", name, "");
    float got[512], want[512];
    assert_non_null(entry);
    assert_true(entry->size <= sizeof got);
    memcpy(want, entry->data, entry->size);
    succeed(tuff_buffer_read(buffer, 0, got, entry->size), name);
    tuff__comparison comparison;
    double largest = 0;
    for (int64_t i = 0; i < entry->count; i++)
        largest = fmax(largest, fabs((double)want[i]));
    tuff__compare_arrays(want, got, (uint64_t)entry->count, allowance, largest, &comparison);
    if (comparison.bad)
        fail_msg("adamw.%s: element %llu is %.9g, wanted %.9g", name, (unsigned long long)comparison.worst,
                 comparison.got, comparison.want);
}

static void replay_adamw(tuff_device *device)
{
    const tuff__safetensors_entry *start = find("adamw", "in.param", "");
    assert_non_null(start);
    const tuff_shape shape = TUFF_SHAPE(start->count);
    tuff_buffer *buffers[3] = {NULL};
    tuff_tensor state[3];
    tuff_graph *graph = NULL;
    succeed(tuff_graph_create(device, &graph), "adamw");
    for (size_t i = 0; i < 3; i++) {
        succeed(tuff_buffer_create(device, start->size, &buffers[i]), "adamw");
        state[i] = tuff_graph_external(graph, "state", TUFF_F32, shape, buffers[i], 0);
    }
    succeed(tuff_buffer_write(buffers[0], 0, start->data, start->size), "adamw");
    const tuff_tensor gradient = tuff_graph_input(graph, "gradient", TUFF_F32, shape);
    const tuff_tensor step = tuff_graph_step_parameters(graph);
    const tuff_adamw_info info = {.weight_decay = 0.01F,
                                  .decay_count = 200,
                                  .max_grad_norm = 1.0F,
                                  .norm = tuff_norm(graph, gradient),
                                  .step_parameters = step};
    const tuff_tensor updated = tuff_adamw(graph, state[0], gradient, state[1], state[2], &info);
    succeed(tuff_graph_compile(graph, &updated, 1), "adamw");
    for (uint32_t i = 0; i < ADAMW_STEPS; i++) {
        char name[32];
        const tuff_step_parameters values = step_at(i);
        snprintf(name, sizeof name, "in.gradient%u", i);
        const tuff__safetensors_entry *entry = find("adamw", name, "");
        succeed(tuff_graph_write(graph, gradient, entry->data, entry->size), "adamw");
        succeed(tuff_graph_write(graph, step, &values, sizeof values), "adamw");
        succeed(tuff_graph_run(graph), "adamw");
        snprintf(name, sizeof name, "out%u", i);
        compare_buffer(buffers[0], name);
    }
    compare_buffer(buffers[1], "out.m");
    compare_buffer(buffers[2], "out.v");
    tuff_graph_destroy(graph);
    for (size_t i = 0; i < 3; i++)
        tuff_buffer_destroy(buffers[i]);
}

static void test_adamw(void **state)
{
    (void)state;
    for (size_t d = 0; d < device_count; d++)
        replay_adamw(devices[d]);
}

/* -- a NaN is the largest of all, as in PyTorch ------------------------------------------------------------------- */

static void check_nan(tuff_device *device, uint32_t dim, const int32_t *want)
{
    const float x[2][3] = {{1.0F, NAN, NAN}, {NAN, 2.0F, NAN}};
    const int64_t count = dim == 0 ? 3 : 2;
    tuff_graph *graph = NULL;
    float values[3];
    int32_t indices[3];
    succeed(tuff_graph_create(device, &graph), "nan");
    const tuff_tensor input = tuff_graph_input(graph, "x", TUFF_F32, TUFF_SHAPE(2, 3));
    const tuff_tensor outputs[] = {tuff_max(graph, input, dim), tuff_argmax(graph, input, dim)};
    succeed(tuff_graph_compile(graph, outputs, 2), "nan");
    succeed(tuff_graph_write(graph, input, x, sizeof x), "nan");
    succeed(tuff_graph_run(graph), "nan");
    succeed(tuff_graph_read(graph, outputs[0], values, (size_t)count * sizeof *values), "nan");
    succeed(tuff_graph_read(graph, outputs[1], indices, (size_t)count * sizeof *indices), "nan");
    for (int64_t i = 0; i < count; i++) {
        assert_true(isnan(values[i]));
        assert_int_equal(indices[i], want[i]);
    }
    tuff_graph_destroy(graph);
}

/* One number of an input of attention, and what it makes of its whole row of scores. */
typedef struct odd_number {
    uint32_t input; /* 0: q, 1: k, 2: v */
    float value;
    bool causal; /* not for values: a masked one counts 0 times, and 0 times NaN is NaN, in PyTorch too */
    const char *what;
} odd_number;

enum { ODD_BATCH = 2, ODD_LENGTH = 37, ODD_CHANNELS = 24, ODD_COUNT = ODD_BATCH * ODD_LENGTH * ODD_CHANNELS };

static void attend_to(tuff_device *device, const odd_number *odd, float dropout, float out[ODD_COUNT])
{
    tuff_graph *graph = NULL;
    tuff_tensor inputs[3];
    const tuff_step_parameters step = {.seed = {1, 2}, .step = 3};
    succeed(tuff_graph_create(device, &graph), "attention");
    for (size_t i = 0; i < 3; i++)
        inputs[i] = tuff_graph_input(graph, "x", TUFF_F32, TUFF_SHAPE(ODD_BATCH, ODD_LENGTH, ODD_CHANNELS));
    const tuff_tensor steps = tuff_graph_step_parameters(graph);
    const tuff_attention_info info = {
        .num_attention_heads = 2, .causal = odd->causal, .dropout = dropout, .step_parameters = steps};
    const tuff_tensor o = tuff_attention(graph, inputs[0], inputs[1], inputs[2], &info);
    succeed(tuff_graph_compile(graph, &o, 1), "attention");
    for (size_t i = 0; i < 3; i++) {
        float x[ODD_COUNT];
        for (size_t e = 0; e < ODD_COUNT; e++)
            x[e] = sinf((float)(e * (2 * i + 1)));
        /* Key 0 is all that the first query sees; the third channel of it is positive in q. */
        if (i == odd->input)
            x[i == 1 ? 2 : 3 * ODD_CHANNELS + 2] = odd->value;
        succeed(tuff_graph_write(graph, inputs[i], x, sizeof x), "attention");
    }
    succeed(tuff_graph_write(graph, steps, &step, sizeof step), "attention");
    succeed(tuff_graph_run(graph), "attention");
    succeed(tuff_graph_read(graph, o, out, sizeof(float[ODD_COUNT])), "attention");
    tuff_graph_destroy(graph);
}

/* Wherever the reference has no number, the device has none; nowhere else. */
static void check_odd(tuff_device *device, const odd_number *odd, float dropout)
{
    static float want[ODD_COUNT], got[ODD_COUNT];
    size_t odd_count = 0;
    attend_to(devices[0], odd, dropout, want);
    attend_to(device, odd, dropout, got);
    for (size_t i = 0; i < ODD_COUNT; i++) {
        odd_count += isfinite(want[i]) ? 0 : 1;
        if (isnan(want[i]) != isnan(got[i]) || isinf(want[i]) != isinf(got[i]) ||
            (isfinite(want[i]) && fabsf(want[i] - got[i]) > 1e-5F))
            fail_msg("attention, dropout %g, %s, variant %s: element %zu is %g, wanted %g", (double)dropout, odd->what,
                     device->target.kernel_variant ? device->target.kernel_variant : "default", i, (double)got[i],
                     (double)want[i]);
    }
    assert_true(odd_count > 0);
}

static void check_odd_attention(tuff_device *device)
{
    static const odd_number odd[] = {
        {0, NAN, true, "NaN in a query"},      {1, NAN, true, "NaN in a key"},
        {2, NAN, false, "NaN in a value"},     {0, INFINITY, true, "inf in a query"},
        {1, INFINITY, true, "inf in a key"},   {2, INFINITY, false, "inf in a value"},
        {1, -INFINITY, true, "-inf in a key"},
    };
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        check_odd(device, &odd[i], 0.0F);
        check_odd(device, &odd[i], 0.25F);
    }
}

static void test_odd_attention(void **state)
{
    (void)state;
    static const char *const rungs[] = {"t0", "t1", "t0c"};
    check_odd_attention(devices[1]);
    for (size_t i = 0; i < 3 && devices[1]->target.backend == TUFF_BACKEND_VULKAN; i++) {
        tuff_device *device = NULL;
        const tuff_device_create_info info = {.device = tuff__env()->device, .kernel_variant = rungs[i]};
        succeed(tuff_device_create(&info, &device), rungs[i]);
        if (!tuff__check_insists_in_vain(&tuff__op_attention, &device->target))
            check_odd_attention(device);
        tuff_device_destroy(device);
    }
}

static void test_nan(void **state)
{
    (void)state;
    for (size_t d = 0; d < device_count; d++) {
        check_nan(devices[d], 0, (const int32_t[]){1, 0, 0});
        check_nan(devices[d], 1, (const int32_t[]){1, 0});
    }
}

/* -- more elements than a 32-bit position can tell apart ---------------------------------------------------------- */

static void check_refused(const tuff_op_desc *op, const tuff_shape *first, const tuff_shape *second, const void *params)
{
    tuff_op_call call = {.op = op,
                         .params = params,
                         .input_count = second ? 2 : 1,
                         .output_count = op->output_count,
                         .target = &devices[1]->target,
                         .label = "big"};
    call.inputs[0] = (tuff__operand){.shape = *first, .present = true};
    if (second)
        call.inputs[1] = (tuff__operand){.shape = *second, .present = true};
    succeed(op->infer(&call), op->name);
    assert_int_equal(op->record(&call, NULL), TUFF_ERROR_FEATURE_NOT_PRESENT); /* before it asks the recorder */
    assert_non_null(strstr(tuff_last_error(), op->name));
    assert_non_null(strstr(tuff_last_error(), "2^32"));
}

static void test_too_many_elements(void **state)
{
    (void)state;
    const tuff_shape big = TUFF_SHAPE(3, 1 << 16, 1 << 15), column = TUFF_SHAPE(1 << 16, 1);
    const tuff__transpose_params swapped = {.permutation = {0, 2, 1}};
    check_refused(&tuff__op_add, &big, &column, NULL);
    check_refused(&tuff__op_mul, &big, &column, NULL);
    check_refused(&tuff__op_transpose, &big, NULL, &swapped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_complete), cmocka_unit_test(test_cases),         cmocka_unit_test(test_adamw),
        cmocka_unit_test(test_nan),      cmocka_unit_test(test_odd_attention), cmocka_unit_test(test_too_many_elements),
    };
    for (; device_count < 2; device_count++) {
        const tuff_device_create_info info = {.device = device_count == 0 ? "reference" : NULL};
        const int unopened = tuff__check_open_device(&info, &devices[device_count]);
        if (unopened)
            return unopened;
    }
    if (tuff__safetensors_open(TUFF_TEST_DIR "/golden/ops/ops.safetensors", &golden) != TUFF_SUCCESS) {
        printf("%s\n", tuff_last_error());
        return 2;
    }
    printf("on reference and %s\n", tuff_device_get_properties(devices[1])->name);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tuff__safetensors_destroy(golden);
    while (device_count)
        tuff_device_destroy(devices[--device_count]);
    return failed;
}
