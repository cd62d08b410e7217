/*
 * test_ops.c: every operator, every case, on the device under test (TUFF_DEVICE, default cpu): each element against the
 * reference, under every kernel variant the device supports, again with a storage-buffer range so small that tensors
 * are split, and with dispatches so short that products and attention are cut, which may change no bit. On the CPU run,
 * gradients against central differences too.
 *
 * test_ops [operator...] runs those alone. TUFF_DEVICE chooses the device. Seeds are fixed.
 */
#include "op_case.h"

#include "check_device.h"
#include "compare.h"
#include "env.h"
#include "graph.h"
#include "log.h"
#include "os.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct test_device {
    const char *name; /* "default", "variant t0", "split" */
    tuff_device *device;
} test_device;

enum { MAX_DEVICES = 8, SPLIT_RANGE = 32768, SHORT_DISPATCH = 65536 /* FLOPs */ };

static test_device devices[MAX_DEVICES];
static size_t device_count;
static size_t passed, failed, skipped;
static uint64_t cut_dispatches, uncut_dispatches; /* of the same cases */
static uint64_t validation_errors;
static double worst_ratio; /* of error to allowance, of the operator at hand */

static void count_errors(void *user, tuff_log_level level, const char *message)
{
    (void)user;
    if (level == TUFF_LOG_ERROR)
        validation_errors++;
    if (level <= tuff__env()->log_level)
        fprintf(stderr, "%s\n", message);
}

static void report(bool right, const char *op, const char *device, size_t index, const tuff_shape *shape,
                   const char *words)
{
    char text[TUFF__SHAPE_TEXT];
    passed += right;
    failed += !right;
    if (!right)
        printf("FAILED %s %s case %zu %s: %s\n", op, device, index, tuff__shape_text(shape, text), words);
}

/* -- a case's numbers --------------------------------------------------------------------------------------------- */

typedef struct case_data {
    const tuff__op_case *test;
    tuff_op_call call;              /* host data of inputs, and the reference's outputs */
    void *inputs[TUFF__MAX_INPUTS]; /* as the device gets them */
    size_t sizes[TUFF__MAX_INPUTS];
    void *uncut[TUFF__MAX_OUTPUTS]; /* what "variant t0" gave */
} case_data;

static size_t operand_size(const tuff__operand *operand)
{
    return (size_t)tuff_shape_count(&operand->shape) * tuff__dtype_size(operand->dtype);
}

static void fill(const tuff__case_input *input, void *data, uint64_t *state)
{
    const int64_t count = tuff_shape_count(&input->shape);
    const double scale = input->scale != 0 ? (double)input->scale : 1;
    if (input->fill == TUFF__FILL_VALUES) {
        memcpy(data, input->values, (size_t)count * tuff__dtype_size(input->dtype));
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        if (input->fill == TUFF__FILL_INTEGERS) {
            const uint64_t range = (uint64_t)((int64_t)input->high - input->low);
            ((int32_t *)data)[i] = (int32_t)(input->low + (int64_t)(tuff__check_random(state) % (range ? range : 1)));
            continue;
        }
        double value = tuff__check_normal(state) * scale;
        value = (input->fill == TUFF__FILL_POSITIVE ? fabs(value) : value) + (double)input->mean;
        if (input->dtype == TUFF_F16)
            ((uint16_t *)data)[i] = tuff__f32_to_f16((float)value);
        else if (input->dtype == TUFF_BF16)
            ((uint16_t *)data)[i] = tuff__f32_to_bf16((float)value);
        else
            ((float *)data)[i] = (float)value;
    }
}

static uint32_t case_input_count(const tuff_op_desc *op, const tuff__op_case *test)
{
    uint32_t count = test->input_count;
    for (uint32_t i = 0; i < op->input_count && !test->input_count; i++)
        if (test->inputs[i].shape.rank || test->inputs[i].fill == TUFF__FILL_VALUES)
            count = i + 1;
    return count;
}

static void *allocate(size_t size)
{
    void *block = tuff__calloc(1, (size + 3) / 4 * 4);
    if (!block)
        exit(2);
    return block;
}

/* Runs the reference on inputs that are there; outputs must be allocated, in-place ones included. */
static tuff_status run_reference(tuff_op_call *call)
{
    for (uint32_t i = 0; i < call->output_count; i++)
        if (call->op->view)
            memcpy(call->outputs[i].data, call->inputs[0].data, operand_size(&call->outputs[i]));
    if (!call->op->view)
        call->op->compute(call);
    return TUFF_SUCCESS;
}

static tuff_status make_case(const tuff_op_desc *op, const tuff__op_case *test, uint64_t seed, case_data *out)
{
    uint64_t state = seed;
    *out = (case_data){.test = test};
    tuff_op_call *call = &out->call;
    *call = (tuff_op_call){.op = op,
                           .params = test->params,
                           .input_count = case_input_count(op, test),
                           .output_count = op->output_count,
                           .label = ""};
    for (uint32_t i = 0; i < call->input_count; i++) {
        const tuff__case_input *input = &test->inputs[i];
        call->inputs[i] = (tuff__operand){.dtype = input->dtype, .shape = input->shape, .present = !input->absent};
        if (input->absent)
            continue;
        out->sizes[i] = operand_size(&call->inputs[i]);
        out->inputs[i] = allocate(out->sizes[i]);
        call->inputs[i].data = allocate(out->sizes[i]);
        fill(input, out->inputs[i], &state);
        memcpy(call->inputs[i].data, out->inputs[i], out->sizes[i]);
    }
    for (uint32_t i = 0; i < call->output_count; i++)
        call->outputs[i].present = true;
    TUFF_TRY(op->infer(call));
    for (uint32_t i = 0; i < call->output_count; i++)
        call->outputs[i].data =
            op->alias[i] ? call->inputs[op->alias[i] - 1].data : allocate(operand_size(&call->outputs[i]));
    return run_reference(call);
}

static void free_case(case_data *data)
{
    for (uint32_t i = 0; i < data->call.output_count; i++) {
        tuff__free(data->uncut[i]);
        if (!data->call.op->alias[i])
            tuff__free(data->call.outputs[i].data);
    }
    for (uint32_t i = 0; i < data->call.input_count; i++) {
        tuff__free(data->inputs[i]);
        tuff__free(data->call.inputs[i].data);
    }
}

/* Whether a magnitude can be asked: an in-place update has overwritten the inputs it would read. Restores them. */
static void restore_inputs(case_data *data)
{
    bool in_place = false;
    for (uint32_t i = 0; i < data->call.output_count; i++)
        in_place = in_place || data->call.op->alias[i];
    if (!in_place)
        return;
    for (uint32_t i = 0; i < data->call.output_count; i++) {
        const uint8_t alias = data->call.op->alias[i];
        if (!alias)
            continue;
        void *result = allocate(operand_size(&data->call.outputs[i]));
        memcpy(result, data->call.outputs[i].data, operand_size(&data->call.outputs[i]));
        data->call.outputs[i].data = result;
    }
    for (uint32_t i = 0; i < data->call.input_count; i++)
        if (data->inputs[i])
            memcpy(data->call.inputs[i].data, data->inputs[i], data->sizes[i]);
}

/* -- a case on a device ------------------------------------------------------------------------------------------- */

static void add_inputs(tuff_graph *graph, const case_data *data, tuff_tensor inputs[TUFF__MAX_INPUTS])
{
    for (uint32_t i = 0; i < data->call.input_count; i++)
        inputs[i] = data->inputs[i]
                        ? tuff_graph_input(graph, "input", data->call.inputs[i].dtype, data->call.inputs[i].shape)
                        : (tuff_tensor){0};
}

static tuff__op_id op_id(const tuff_op_desc *op)
{
    for (uint32_t id = 1; id < TUFF__OP_COUNT; id++)
        if (tuff__op_desc((tuff__op_id)id) == op)
            return (tuff__op_id)id;
    return TUFF__OP_NONE;
}

static tuff_status build_and_run(tuff_graph *graph, const case_data *data, tuff_tensor outputs[TUFF__MAX_OUTPUTS])
{
    tuff_tensor inputs[TUFF__MAX_INPUTS] = {{0}};
    add_inputs(graph, data, inputs);
    tuff__graph_add(graph, op_id(data->call.op), data->test->params, data->test->params_size, inputs,
                    data->call.input_count, outputs);
    TUFF_TRY(tuff_graph_compile(graph, outputs, data->call.output_count));
    for (uint32_t i = 0; i < data->call.input_count; i++)
        if (data->inputs[i])
            TUFF_TRY(tuff_graph_write(graph, inputs[i], data->inputs[i], data->sizes[i]));
    return tuff_graph_run(graph);
}

/* Keeps the result of "variant t0", and holds that of "cut", its copy with shorter dispatches, against it. */
static bool equals_uncut(case_data *data, const test_device *device, uint32_t output, const void *got, size_t size)
{
    if (!strcmp(device->name, "variant t0")) {
        data->uncut[output] = allocate(size);
        memcpy(data->uncut[output], got, size);
    }
    return strcmp(device->name, "cut") != 0 || !data->uncut[output] || !memcmp(data->uncut[output], got, size);
}

static void count_dispatches(const tuff_graph *graph, const case_data *data, const char *device)
{
    tuff_graph_statistics statistics;
    tuff_graph_get_statistics(graph, &statistics);
    if (!strcmp(device, "cut"))
        cut_dispatches += statistics.dispatch_count;
    else if (!strcmp(device, "variant t0") && data->call.op->variants)
        uncut_dispatches += statistics.dispatch_count;
}

static void compare_outputs(tuff_graph *graph, case_data *data, const tuff_tensor *outputs, const test_device *device,
                            size_t index)
{
    for (uint32_t i = 0; i < data->call.output_count; i++) {
        const size_t size = operand_size(&data->call.outputs[i]);
        const tuff_shape *shape = &data->call.outputs[i].shape;
        void *got = allocate(size);
        tuff__comparison comparison = {.bad = 1};
        char words[256];
        if (tuff_graph_read(graph, outputs[i], got, size) == TUFF_SUCCESS &&
            tuff__compare_output(&data->call, i, got, &comparison) == TUFF_SUCCESS) {
            tuff__comparison_text(&comparison, shape, words);
            worst_ratio = fmax(worst_ratio, comparison.ratio);
            if (comparison.bad == 0 && !equals_uncut(data, device, i, got, size)) {
                comparison.bad = 1;
                snprintf(words, sizeof words, "output %u differs in its bits from the uncut one", i);
            }
        } else {
            snprintf(words, sizeof words, "%.200s", tuff_last_error());
        }
        report(comparison.bad == 0, data->call.op->name, device->name, index, shape, words);
        tuff__free(got);
    }
}

static void test_on_device(case_data *data, const test_device *device, size_t index)
{
    if (device->device->target.max_dispatch_flops == SHORT_DISPATCH && !data->call.op->variants)
        return; /* only the operators with a ladder cut their dispatches */
    tuff_graph *graph = NULL;
    tuff_tensor outputs[TUFF__MAX_OUTPUTS] = {{0}};
    tuff_status status = tuff_graph_create(device->device, &graph);
    if (status == TUFF_SUCCESS)
        status = build_and_run(graph, data, outputs);
    const tuff__target *target = &device->device->target;
    const bool too_large = target->max_storage_buffer_range <= SPLIT_RANGE && data->test->too_large_when_split;
    const bool may_refuse = too_large || tuff__check_insists_in_vain(data->call.op, target);
    if (may_refuse && status == TUFF_ERROR_FEATURE_NOT_PRESENT)
        skipped++;
    else if (status != TUFF_SUCCESS || too_large)
        report(false, data->call.op->name, device->name, index, &data->call.outputs[0].shape,
               too_large ? "a case marked too_large_when_split is not refused" : tuff_last_error());
    else
        compare_outputs(graph, data, outputs, device, index);
    if (status == TUFF_SUCCESS)
        count_dispatches(graph, data, device->name);
    tuff_graph_destroy(graph);
}

/* -- gradients ---------------------------------------------------------------------------------------------------- */

/* Σ weights·outputs in double: the loss whose gradient is checked. */
static double weighted_sum(const tuff_op_call *call, const float *weights)
{
    const float *x = call->outputs[0].data;
    double sum = 0;
    for (int64_t i = 0, count = tuff_shape_count(&call->outputs[0].shape); i < count; i++)
        sum += (double)weights[i] * (double)x[i];
    return sum;
}

/* The gradient of that loss by the tape, on the reference device, for input `which`. */
static tuff_status tape_gradient(const case_data *data, tuff_device *reference, const float *weights, uint32_t which,
                                 float *out_gradient)
{
    tuff_graph *graph = NULL;
    TUFF_TRY(tuff_graph_create(reference, &graph));
    tuff_tensor inputs[TUFF__MAX_INPUTS] = {{0}}, outputs[TUFF__MAX_OUTPUTS] = {{0}}, gradient = {0};
    add_inputs(graph, data, inputs);
    tuff__graph_add(graph, op_id(data->call.op), data->test->params, data->test->params_size, inputs,
                    data->call.input_count, outputs);
    const int64_t count = tuff_shape_count(&data->call.outputs[0].shape);
    const tuff_tensor w = tuff_graph_input(graph, "weights", TUFF_F32, data->call.outputs[0].shape);
    const tuff_tensor product = tuff_reshape(graph, tuff_mul(graph, outputs[0], w), TUFF_SHAPE(count));
    tuff_graph_backward(graph, tuff_sum(graph, product, 0), &inputs[which], 1, &gradient);
    tuff_status status = tuff_graph_compile(graph, &gradient, 1);
    for (uint32_t i = 0; i < data->call.input_count && status == TUFF_SUCCESS; i++)
        if (data->inputs[i])
            status = tuff_graph_write(graph, inputs[i], data->inputs[i], data->sizes[i]);
    if (status == TUFF_SUCCESS)
        status = tuff_graph_write(graph, w, weights, (size_t)count * sizeof *weights);
    if (status == TUFF_SUCCESS)
        status = tuff_graph_run(graph);
    if (status == TUFF_SUCCESS)
        status = tuff_graph_read(graph, gradient, out_gradient, data->sizes[which]);
    tuff_graph_destroy(graph);
    return status;
}

/* Central difference at one element; the reference writes f32, so the step is wide and the sum is in double. */
static double difference(case_data *data, const float *weights, uint32_t which, int64_t element)
{
    float *x = data->call.inputs[which].data;
    const float saved = x[element];
    const float step = 0x1p-6F * fmaxf(1.0F, fabsf(saved));
    x[element] = saved + step;
    const double above = (double)x[element];
    run_reference(&data->call);
    const double high = weighted_sum(&data->call, weights);
    x[element] = saved - step;
    const double below = (double)x[element];
    run_reference(&data->call);
    const double low = weighted_sum(&data->call, weights);
    x[element] = saved;
    return (high - low) / (above - below);
}

static void check_gradient(case_data *data, tuff_device *reference, const float *weights, uint32_t which, size_t index)
{
    enum { SAMPLES = 24 };
    const int64_t count = tuff_shape_count(&data->call.inputs[which].shape);
    float *gradient = allocate(data->sizes[which]);
    char words[256] = "";
    bool right = tape_gradient(data, reference, weights, which, gradient) == TUFF_SUCCESS;
    if (!right)
        snprintf(words, sizeof words, "gradient: %.200s", tuff_last_error());
    double scale = 1;
    for (int64_t i = 0; i < count && right; i++)
        scale = fmax(scale, fabs((double)gradient[i]));
    const double tolerance = data->test->gradient_tolerance > 0 ? (double)data->test->gradient_tolerance : 2e-3;
    uint64_t state = 99 + index;
    for (int64_t s = 0; s < SAMPLES && right; s++) {
        const int64_t i = count <= SAMPLES ? s : (int64_t)(tuff__check_random(&state) % (uint64_t)count);
        if (i >= count)
            break;
        const double want = difference(data, weights, which, i);
        right = fabs((double)gradient[i] - want) <= tolerance * scale;
        if (!right)
            snprintf(words, sizeof words,
                     "gradient of input %u at %lld: got %.6g, central difference %.6g, allowed %.2g", which,
                     (long long)i, (double)gradient[i], want, tolerance * scale);
    }
    report(right, data->call.op->name, "gradient", index, &data->call.inputs[which].shape, words);
    tuff__free(gradient);
}

static void check_gradients(case_data *data, tuff_device *reference, size_t index)
{
    if (!data->call.op->backward || data->test->no_gradient || data->call.outputs[0].dtype != TUFF_F32)
        return;
    const int64_t count = tuff_shape_count(&data->call.outputs[0].shape);
    float *weights = allocate((size_t)count * sizeof *weights);
    uint64_t state = 7 + index;
    for (int64_t i = 0; i < count; i++)
        weights[i] = (float)tuff__check_normal(&state);
    for (uint32_t i = 0; i < data->call.input_count; i++)
        if (data->inputs[i] && data->call.inputs[i].dtype == TUFF_F32)
            check_gradient(data, reference, weights, i, index);
    tuff__free(weights);
}

/* -- all ---------------------------------------------------------------------------------------------------------- */

static void test_case(const tuff_op_desc *op, const tuff__op_case *test, size_t index, tuff_device *reference)
{
    case_data data;
    if (make_case(op, test, 1000 + index, &data) != TUFF_SUCCESS) {
        report(false, op->name, "reference", index, &test->inputs[0].shape, tuff_last_error());
        free_case(&data);
        return;
    }
    restore_inputs(&data);
    for (size_t d = 0; d < device_count; d++)
        test_on_device(&data, &devices[d], index);
    if (devices[0].device->target.backend == TUFF_BACKEND_CPU)
        check_gradients(&data, reference, index);
    for (uint32_t i = 0; i < data.call.output_count; i++)
        if (op->alias[i]) /* restore_inputs gave it memory of its own */
            tuff__free(data.call.outputs[i].data);
    free_case(&data);
}

/* 0, or the code to leave with. */
static int open_devices(void)
{
    static const struct {
        const char *name;
        tuff_device_create_info info;
        double max_dispatch_flops; /* 0: the device's own */
    } rows[] = {
        {.name = "default"},
        {.name = "split", .info.max_storage_buffer_range = SPLIT_RANGE},
        {.name = "variant t0", .info.kernel_variant = "t0"},
        {.name = "variant t1", .info.kernel_variant = "t1"},
        {.name = "variant t0c", .info.kernel_variant = "t0c"},
        {.name = "cut", .info.kernel_variant = "t0", .max_dispatch_flops = SHORT_DISPATCH},
    };
    _Static_assert(sizeof rows / sizeof rows[0] <= MAX_DEVICES, "room for every device");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const int code = tuff__check_open_device(&rows[i].info, &devices[device_count].device);
        if (code != 0)
            return code;
        if (rows[i].max_dispatch_flops > 0)
            devices[device_count].device->target.max_dispatch_flops = rows[i].max_dispatch_flops;
        devices[device_count++].name = rows[i].name;
        if (devices[0].device->target.backend != TUFF_BACKEND_VULKAN)
            break;
    }
    return 0;
}

static bool asked_for(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], name))
            return true;
    return argc < 2;
}

typedef struct named_cases {
    const tuff_op_desc *op;
    const tuff__op_cases *cases;
} named_cases;

int main(int argc, char **argv)
{
    static const named_cases table[] = {
#define TUFF_OP(NAME, name, family) {&tuff__op_##name, &tuff__cases_##name},
#include "../runtime/ops/ops.def"
#undef TUFF_OP
    };
    tuff_device *reference = NULL;
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* a run that is cut off still says how far it came */
    tuff_set_log(count_errors, NULL);
    const int unopened = open_devices();
    if (unopened)
        return unopened;
    if (tuff_device_create(&(tuff_device_create_info){.device = "reference"}, &reference) != TUFF_SUCCESS)
        return 2;
    printf("test_ops on %s (%s)\n", devices[0].device->properties.name, devices[0].device->properties.driver);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const double begin = tuff__clock_seconds();
        const size_t failed_before = failed;
        if (!asked_for(table[i].op->name, argc, argv))
            continue;
        worst_ratio = 0;
        for (size_t c = 0; c < table[i].cases->count; c++)
            test_case(table[i].op, &table[i].cases->cases[c], c, reference);
        printf("%-28s %3zu cases %6.2f s, up to %.2g of the allowance%s\n", table[i].op->name, table[i].cases->count,
               tuff__clock_seconds() - begin, worst_ratio, failed > failed_before ? "  FAILED" : "");
        if (table[i].cases->count == 0)
            failed++;
    }
    for (size_t d = 0; d < device_count; d++)
        tuff_device_destroy(devices[d].device);
    tuff_device_destroy(reference);
    if (argc < 2 && uncut_dispatches && cut_dispatches < 2 * uncut_dispatches) {
        printf("FAILED: %llu dispatches when cut, %llu when not\n", (unsigned long long)cut_dispatches,
               (unsigned long long)uncut_dispatches);
        failed++;
    }
    if (argc > 1 && passed + failed + skipped == 0) {
        printf("FAILED: no operator has that name\n");
        failed++;
    }
    if (validation_errors) {
        printf("FAILED: %llu errors were logged\n", (unsigned long long)validation_errors);
        failed++;
    }
    printf("%zu passed, %zu failed, %zu skipped\n", passed, failed, skipped);
    return failed ? 1 : 0;
}
