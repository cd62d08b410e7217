/* bench.c: owns measuring: buffers full of numbers, a graph of one operator, warm-up, runs, medians. */
#include "bench.h"

#include "../os.h"

#include <string.h>

enum { LEAST_RUNS = 5, MOST_RUNS = 200 };
static const double enough_seconds = 0.25; /* of runs after the fifth: short ones are repeated for a steadier median */

/* -- one graph ---------------------------------------------------------------------------------------------------- */

/* What each operator reads and writes, once. */
static double bytes_of(const tuff_graph *graph)
{
    double bytes = 0;
    for (size_t c = 0; c < graph->call_count; c++)
        bytes += tuff__op_bytes(&graph->calls[c]);
    return bytes;
}

tuff_status tuff__bench_measure(tuff_graph *graph, tuff__bench_result *result)
{
    double seconds[MOST_RUNS], host[MOST_RUNS], total = 0;
    uint32_t runs = 0;
    tuff_graph_statistics statistics = {0};
    for (int i = 0; i < 2; i++) /* memory is touched, caches and clocks are warm */
        TUFF_TRY(tuff_graph_run(graph));
    while (runs < LEAST_RUNS || (runs < MOST_RUNS && total < enough_seconds)) {
        TUFF_TRY(tuff_graph_run(graph));
        tuff_graph_get_statistics(graph, &statistics);
        seconds[runs] = statistics.last_run_seconds;
        host[runs] = statistics.last_host_seconds;
        total += seconds[runs++];
    }
    result->runs = runs;
    result->seconds = tuff__median(seconds, runs);
    result->fastest = seconds[0];
    result->host_seconds = tuff__median(host, runs);
    result->flops = statistics.flops;
    result->bytes = bytes_of(graph);
    result->activation_size = statistics.activation_size;
    result->activation_live = statistics.activation_live;
    result->dispatch_count = statistics.dispatch_count;
    result->submit_count = statistics.submit_count;
    return TUFF_SUCCESS;
}

/* -- one operator ------------------------------------------------------------------------------------------------- */

/* The buffers of one case; the weights of a real run live in such memory too. */
typedef struct stage {
    tuff_device *device;
    tuff_graph *graph;
    tuff_buffer *buffers[TUFF__MAX_INPUTS + TUFF__MAX_OUTPUTS];
    size_t buffer_count;
} stage;

static uint32_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 32);
}

static tuff_status add_buffer(stage *s, uint64_t size, tuff_buffer **out_buffer)
{
    TUFF_TRY(tuff_buffer_create(s->device, size, out_buffer));
    s->buffers[s->buffer_count++] = *out_buffer;
    return TUFF_SUCCESS;
}

static tuff_status fill(tuff_buffer *buffer, const tuff__bench_input *input, uint64_t seed)
{
    const size_t count = (size_t)tuff_shape_count(&input->shape);
    uint32_t *words = tuff__malloc(count * sizeof *words);
    if (!words)
        return tuff__fail_memory("bench", count * sizeof *words);
    for (size_t i = 0; i < count; i++) {
        const uint32_t random = next_random(&seed);
        const float scale = input->scale != 0.0F ? input->scale : 1.0F;
        const float value = input->mean + scale * ((float)(random >> 8) * 0x1p-23F - 1.0F);
        if (input->dtype == TUFF_I32)
            words[i] = random % (uint32_t)input->high;
        else
            memcpy(&words[i], &value, sizeof value);
    }
    const tuff_status status = tuff_buffer_write(buffer, 0, words, count * sizeof *words);
    tuff__free(words);
    return status;
}

/* Step parameters, which rows of the table ask for by an I32 input without a range. */
static tuff_status fill_step(tuff_buffer *buffer)
{
    const tuff_step_parameters step = {.learning_rate = 1e-5F, .bias_correction1 = 1.0F, .bias_correction2_sqrt = 1.0F};
    return tuff_buffer_write(buffer, 0, &step, sizeof step);
}

static tuff_status add_inputs(stage *s, const tuff__bench_case *one, tuff_tensor inputs[TUFF__MAX_INPUTS])
{
    for (uint32_t i = 0; i < one->input_count; i++) {
        const tuff__bench_input *input = &one->inputs[i];
        tuff_buffer *buffer = NULL;
        if (input->absent)
            continue;
        TUFF_TRY(add_buffer(s, (uint64_t)tuff_shape_count(&input->shape) * sizeof(float), &buffer));
        TUFF_TRY(input->dtype == TUFF_I32 && input->high == 0 ? fill_step(buffer) : fill(buffer, input, i + 1));
        inputs[i] = tuff_graph_external(s->graph, "input", input->dtype, input->shape, buffer, 0);
    }
    return TUFF_SUCCESS;
}

/* Results go to memory of the device, not to where the host would read them. */
static tuff_status bind_outputs(stage *s, const tuff_op_desc *op, const tuff_tensor outputs[TUFF__MAX_OUTPUTS])
{
    for (uint32_t i = 0; i < op->output_count; i++) {
        const tuff__value *value = tuff__graph_value(s->graph, outputs[i]);
        tuff_buffer *buffer = NULL;
        if (!value || op->alias[i] != TUFF__OWN)
            continue;
        TUFF_TRY(add_buffer(s, tuff__value_size(value), &buffer));
        tuff_graph_bind(s->graph, outputs[i], buffer, 0);
    }
    return TUFF_SUCCESS;
}

static tuff_status measure_case(stage *s, const tuff__bench_case *one, tuff__bench_result *result)
{
    tuff_tensor inputs[TUFF__MAX_INPUTS] = {{0}}, outputs[TUFF__MAX_OUTPUTS] = {{0}};
    TUFF_TRY(tuff_graph_create(s->device, &s->graph));
    TUFF_TRY(add_inputs(s, one, inputs));
    outputs[0] = tuff__graph_add(s->graph, one->op, one->params, one->params_size, inputs, one->input_count, outputs);
    TUFF_TRY(bind_outputs(s, tuff__op_desc(one->op), outputs));
    TUFF_TRY(tuff_graph_compile(s->graph, NULL, 0));
    *result = (tuff__bench_result){.name = one->name, .shape = one->shape};
    return tuff__bench_measure(s->graph, result);
}

static tuff_status run_case(tuff_device *device, const tuff__bench_case *one, tuff__bench_result *result)
{
    stage s = {.device = device};
    const tuff_status status = measure_case(&s, one, result);
    tuff_graph_destroy(s.graph);
    for (size_t i = 0; i < s.buffer_count; i++)
        tuff_buffer_destroy(s.buffers[i]);
    return status;
}

/* -- all ---------------------------------------------------------------------------------------------------------- */

typedef struct bench {
    tuff__bench_fn visit;
    void *user;
    tuff__bench_peak peak;
    size_t visited;
} bench;

static tuff_status emit(void *user, tuff__bench_result *result)
{
    bench *b = user;
    result->peak = &b->peak;
    result->flops_share = result->flops / result->seconds / b->peak.flops_per_second;
    result->bytes_share = result->bytes / result->seconds / b->peak.bytes_per_second;
    b->visited++;
    return b->visit(b->user, result);
}

bool tuff__bench_wanted(const tuff__bench_info *info, const char *name)
{
    return !info->filter || strstr(name, info->filter);
}

static tuff_status run_operators(bench *b, tuff_device *device, const tuff__bench_info *info)
{
    tuff__bench_result product, copy, result;
    TUFF_TRY(run_case(device, &tuff__bench_cases[0], &product));
    TUFF_TRY(run_case(device, &tuff__bench_cases[1], &copy));
    b->peak = (tuff__bench_peak){product.flops / product.seconds, copy.bytes / copy.seconds};
    for (size_t i = 0; tuff__bench_cases[i].name; i++) {
        if (!tuff__bench_wanted(info, tuff__bench_cases[i].name))
            continue;
        if (i > 1)
            TUFF_TRY(run_case(device, &tuff__bench_cases[i], &result));
        else
            result = i == 0 ? product : copy;
        TUFF_TRY(emit(b, &result));
    }
    return TUFF_SUCCESS;
}

tuff_status tuff__bench_run(tuff_device *device, const tuff__bench_info *info, tuff__bench_fn visit, void *user,
                            tuff__bench_peak *out_peak)
{
    bench b = {.visit = visit, .user = user};
    TUFF_TRY(run_operators(&b, device, info));
    TUFF_TRY(tuff__bench_steps(device, info, emit, &b));
    *out_peak = b.peak;
    if (b.visited == 0)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "bench: nothing that is measured has '%s' in its name",
                          info->filter);
    return TUFF_SUCCESS;
}
