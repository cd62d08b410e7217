/*
 * vk_backend.c: owns compiled programs: which dispatches go into which command buffer, the replay, and single calls.
 *
 * One command buffer must stay far below a driver's watchdog, so operators keep each dispatch below what BATCH_SECONDS
 * allow (tuff__target.max_dispatch_flops), and a program is cut where its estimated time passes them: the estimate of
 * the table of rates times a scale. A program starts with the device's scale, which the long runs before it taught, and
 * goes on with its own once its runs show that it is far slower. A call that runs alone is cut by the same rule.
 */
#include "vk_backend.h"

#include "../alloc.h"
#include "../log.h"
#include "../os.h"
#include "vk_queue.h"
#include "vk_recorder.h"

#include <math.h>

/* Watchdogs fire after 2 s (Windows) to 60 s; a desktop that shares the GPU stutters from about 100 ms. */
static const double BATCH_SECONDS = 0.05;
/* A program whose batches took more than this many times what was planned is cut anew. */
static const double RECUT_FACTOR = 4;
/* A shorter run tells more of what a submit costs than of the device's speed. */
static const double TEACHING_SECONDS = 5e-3;
/* The scale rises at once and falls by this factor a run: a program may be slower than the one that ran before it. */
static const double FORGETTING = 0.9;
/* However fast one program was: a batch of another at the table's own rates stays below BATCH_SECONDS / this = 1 s. */
static const double LEAST_SCALE = 0.05, MOST_SCALE = 1e3;

/* What a plain kernel reaches at the least on the slowest device of a kind that is still sold: a guess that is only
 * meant to cut too often rather than too rarely. A software device has no watchdog and is never cut. */
static const struct {
    double flops_per_second, bytes_per_second;
} rates[] = {
    [TUFF_DEVICE_TYPE_OTHER] = {2e10, 5e9},         [TUFF_DEVICE_TYPE_INTEGRATED_GPU] = {5e10, 1e10},
    [TUFF_DEVICE_TYPE_DISCRETE_GPU] = {1e12, 1e11}, [TUFF_DEVICE_TYPE_VIRTUAL_GPU] = {5e10, 1e10},
    [TUFF_DEVICE_TYPE_CPU] = {INFINITY, INFINITY},
};
static const double DISPATCH_SECONDS = 5e-6; /* what starting one costs a GPU, roughly */

double tuff__vk_max_dispatch_flops(tuff_device_type type)
{
    return isinf(rates[type].flops_per_second) ? 0 : BATCH_SECONDS * rates[type].flops_per_second;
}

typedef struct vk_program {
    tuff__program base;
    const tuff_op_call *calls;
    size_t call_count;
    size_t *first_dispatch; /* by call; one more at the end */
    tuff__recorder recorder;
    double *seconds;          /* estimated, by dispatch, before the scale */
    double estimated_seconds; /* their sum */
    double scale;             /* measured over estimated time, as far as known when the batches were cut */
    /* Everything a replay sends. */
    VkCommandBuffer *batches;
    VkSemaphore *chain; /* batch_count - 1 */
    uint32_t batch_count, batch_capacity;
    VkFence fence;
    bool recut; /* the latest run showed that the batches are too long */
    /* A call alone; both null until first needed. */
    VkCommandBuffer single; /* encoded anew for each part of it */
    VkQueryPool clock;      /* two timestamps around that part */
    tuff__program_statistics statistics;
} vk_program;

static vk_program *program_of(const tuff__program *program)
{
    return (vk_program *)program;
}

static tuff__vk_device *device_of(const vk_program *program)
{
    return tuff__vk_device_of(program->base.device);
}

/* -- recording ---------------------------------------------------------------------------------------------------- */

static tuff_status record_call(vk_program *program, const tuff_op_call *call)
{
    if (call->op->view)
        return TUFF_SUCCESS;
    if (!call->op->record)
        return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "%s: this operator has no Vulkan kernel", call->op->name);
    return call->op->record(call, &program->recorder);
}

/* Of the first dispatch whose pipeline could not be made; call_count where all were. */
static size_t refused_call(const vk_program *program)
{
    for (size_t i = 0; i < program->recorder.count; i++)
        if (program->recorder.dispatches[i].pipeline->result != VK_SUCCESS)
            return (size_t)(program->recorder.dispatches[i].call - program->calls);
    return program->call_count;
}

static tuff_status record_calls(vk_program *program, size_t *out_refused)
{
    for (size_t i = 0; i < program->call_count; i++) {
        program->first_dispatch[i] = program->recorder.count;
        const tuff_status status = record_call(program, &program->calls[i]);
        if (status == TUFF_ERROR_FEATURE_NOT_PRESENT)
            *out_refused = i;
        TUFF_TRY(status);
    }
    program->first_dispatch[program->call_count] = program->recorder.count;
    program->statistics.dispatch_count = (uint32_t)program->recorder.count;
    const tuff_status status = tuff__vk_recorder_finish(&program->recorder);
    if (status == TUFF_ERROR_FEATURE_NOT_PRESENT)
        *out_refused = refused_call(program);
    return status;
}

/* The slower of arithmetic and memory, as the operator counts them, spread evenly over the call's dispatches. */
static void estimate_call(vk_program *program, size_t index)
{
    const tuff_device_type type = program->base.device->properties.type;
    const size_t first = program->first_dispatch[index], last = program->first_dispatch[index + 1];
    if (first == last)
        return;
    const double arithmetic = tuff__op_flops(&program->calls[index]) / rates[type].flops_per_second;
    const double memory = tuff__op_bytes(&program->calls[index]) / rates[type].bytes_per_second;
    const double each = DISPATCH_SECONDS + fmax(arithmetic, memory) / (double)(last - first);
    for (size_t i = first; i < last; i++) {
        program->seconds[i] = each;
        program->estimated_seconds += each;
    }
}

static tuff_status allocate_list(vk_program *program)
{
    const size_t size = (program->call_count + 1) * sizeof *program->first_dispatch;
    program->first_dispatch = tuff__calloc(1, size);
    if (!program->first_dispatch)
        return tuff__fail_memory("a program's list of calls", size);
    return TUFF_SUCCESS;
}

/* -- batches ------------------------------------------------------------------------------------------------------ */

/* Where the batch that begins with dispatch `first` ends: after BATCH_SECONDS at most, or after that one dispatch. */
static size_t batch_end(const vk_program *program, size_t first, size_t limit, double scale)
{
    double seconds = program->seconds[first] * scale;
    size_t last = first + 1;
    while (last < limit && seconds + program->seconds[last] * scale <= BATCH_SECONDS)
        seconds += program->seconds[last++] * scale;
    return last;
}

/* Makes sure that batch number `index` has a command buffer and the semaphore in front of it. */
static tuff_status add_batch(vk_program *program, uint32_t index)
{
    tuff__vk_device *device = device_of(program);
    if (index < program->batch_capacity)
        return TUFF_SUCCESS;
    VkCommandBuffer *batches = tuff__realloc(program->batches, (index + 1) * sizeof(VkCommandBuffer));
    if (!batches)
        return tuff__fail_memory("a program's command buffers", (index + 1) * sizeof(VkCommandBuffer));
    program->batches = batches;
    VkSemaphore *chain = tuff__realloc(program->chain, (index + 1) * sizeof(VkSemaphore));
    if (!chain)
        return tuff__fail_memory("a program's semaphores", (index + 1) * sizeof(VkSemaphore));
    program->chain = chain;
    const VkSemaphoreCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO};
    TUFF_TRY(tuff__vk_commands_create(device, 1, &program->batches[index]));
    const VkResult result = device->table.vkCreateSemaphore(device->handle, &info, NULL, &program->chain[index]);
    if (result != VK_SUCCESS) {
        device->table.vkFreeCommandBuffers(device->handle, device->command_pool, 1, &program->batches[index]);
        return tuff__vk_fail(result, "vkCreateSemaphore(");
    }
    program->batch_capacity = index + 1;
    return TUFF_SUCCESS;
}

/* Cuts the dispatches into batches and encodes them; again whenever the estimate has changed. */
static tuff_status encode_batches(vk_program *program)
{
    const size_t count = program->recorder.count;
    program->statistics.barrier_count = 0;
    program->batch_count = 0;
    for (size_t first = 0; first < count;) {
        const size_t last = batch_end(program, first, count, program->scale);
        TUFF_TRY(add_batch(program, program->batch_count));
        TUFF_TRY(tuff__vk_recorder_encode(&program->recorder, first, last, program->batches[program->batch_count],
                                          VK_NULL_HANDLE, &program->statistics.barrier_count));
        program->batch_count++;
        first = last;
    }
    program->recut = false;
    return TUFF_SUCCESS;
}

static tuff_status build(vk_program *program, size_t *out_refused)
{
    TUFF_TRY(allocate_list(program));
    TUFF_TRY(record_calls(program, out_refused));
    program->seconds = tuff__calloc(program->recorder.count + 1, sizeof *program->seconds);
    if (!program->seconds)
        return tuff__fail_memory("a program's estimates", program->recorder.count * sizeof *program->seconds);
    for (size_t i = 0; i < program->call_count; i++)
        estimate_call(program, i);
    TUFF_TRY(tuff__vk_fence_create(device_of(program), &program->fence));
    TUFF_TRY(encode_batches(program));
    tuff__log(TUFF_LOG_DEBUG, "vulkan: a program of %zu calls: %u dispatches, %u barriers, %u batches",
              program->call_count, program->statistics.dispatch_count, program->statistics.barrier_count,
              program->batch_count);
    return TUFF_SUCCESS;
}

tuff_status tuff__vk_program_create(tuff_device *device, const tuff_op_call *calls, size_t count, size_t *out_refused,
                                    tuff__program **out_program)
{
    size_t ignored;
    if (!out_refused)
        out_refused = &ignored;
    *out_refused = count;
    vk_program *program = tuff__calloc(1, sizeof *program);
    if (!program)
        return tuff__fail_memory("a program", sizeof *program);
    program->base.device = device;
    program->calls = calls;
    program->call_count = count;
    program->recorder.device = tuff__vk_device_of(device);
    program->scale = program->recorder.device->time_scale;
    const tuff_status status = build(program, out_refused);
    if (status != TUFF_SUCCESS) {
        tuff__vk_program_destroy(&program->base);
        return status;
    }
    *out_program = &program->base;
    return TUFF_SUCCESS;
}

static void destroy_objects(vk_program *program)
{
    tuff__vk_device *device = device_of(program);
    for (uint32_t i = 0; i < program->batch_capacity; i++) {
        device->table.vkFreeCommandBuffers(device->handle, device->command_pool, 1, &program->batches[i]);
        device->table.vkDestroySemaphore(device->handle, program->chain[i], NULL);
    }
    if (program->single)
        device->table.vkFreeCommandBuffers(device->handle, device->command_pool, 1, &program->single);
    if (program->clock)
        device->table.vkDestroyQueryPool(device->handle, program->clock, NULL);
    if (program->fence)
        device->table.vkDestroyFence(device->handle, program->fence, NULL);
}

void tuff__vk_program_destroy(tuff__program *base)
{
    if (!base)
        return;
    vk_program *program = program_of(base);
    if (!device_of(program)->hung)
        destroy_objects(program);
    tuff__vk_recorder_destroy(&program->recorder);
    tuff__free(program->batches);
    tuff__free(program->chain);
    tuff__free(program->seconds);
    tuff__free(program->first_dispatch);
    tuff__free(program);
}

/* -- running ------------------------------------------------------------------------------------------------------ */

double tuff__vk_time_scale(double scale, double estimated, double seconds)
{
    if (seconds < TEACHING_SECONDS)
        return scale;
    return fmin(fmax(fmax(seconds / estimated, scale * FORGETTING), LEAST_SCALE), MOST_SCALE);
}

/* The device learns from work that took `seconds`, the wait alone. */
static void teach(tuff__vk_device *device, double estimated, double seconds)
{
    if (!device->base.target.software)
        device->time_scale = tuff__vk_time_scale(device->time_scale, estimated, seconds);
}

/* The same of a run of the whole program, from which that learns too. */
static void adapt(vk_program *program, double seconds)
{
    tuff__vk_device *device = device_of(program);
    teach(device, program->estimated_seconds, seconds);
    if (device->base.target.software)
        return;
    const double own = seconds / program->estimated_seconds;
    program->recut = own > RECUT_FACTOR * program->scale &&
                     seconds > RECUT_FACTOR * BATCH_SECONDS * program->batch_count &&
                     program->batch_count < program->statistics.dispatch_count;
    if (program->recut)
        program->scale = own;
}

tuff_status tuff__vk_program_run(tuff__program *base)
{
    vk_program *program = program_of(base);
    tuff__vk_device *device = device_of(program);
    const double start = tuff__clock_seconds();
    if (program->recut && !device->lost)
        TUFF_TRY(encode_batches(program));
    program->statistics.submit_count =
        (program->batch_count + TUFF__VK_BATCHES_PER_SUBMIT - 1) / TUFF__VK_BATCHES_PER_SUBMIT;
    if (program->batch_count == 0)
        return TUFF_SUCCESS;
    TUFF_TRY(tuff__vk_submit(device, program->batches, program->batch_count, program->chain, program->fence));
    const double sent = tuff__clock_seconds();
    TUFF_TRY(tuff__vk_wait(device, program->fence, program->estimated_seconds * program->scale));
    const double done = tuff__clock_seconds();
    adapt(program, done - sent);
    program->statistics.last_host_seconds = sent - start + (tuff__clock_seconds() - done);
    return TUFF_SUCCESS;
}

/* -- one call alone ----------------------------------------------------------------------------------------------- */

static tuff_status ensure_clock(vk_program *program)
{
    const tuff__vk_device *device = device_of(program);
    if (program->clock || device->facts.timestamp_bits == 0)
        return TUFF_SUCCESS;
    const VkQueryPoolCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO, .queryType = VK_QUERY_TYPE_TIMESTAMP, .queryCount = 2};
    TUFF_TRY_VK(device->table.vkCreateQueryPool(device->handle, &info, NULL, &program->clock));
    return TUFF_SUCCESS;
}

/* The time between the two timestamps; `wall`, the host's, where there are none, or where they tell of no time at all
 * or of more than passed: a clock that is reported is not yet one that runs. */
static double device_seconds(const vk_program *program, double wall)
{
    const tuff__vk_device *device = device_of(program);
    uint64_t ticks[2] = {0};
    if (!program->clock ||
        device->table.vkGetQueryPoolResults(device->handle, program->clock, 0, 2, sizeof ticks, ticks, sizeof ticks[0],
                                            VK_QUERY_RESULT_64_BIT) != VK_SUCCESS)
        return wall;
    const uint32_t bits = device->facts.timestamp_bits;
    const uint64_t mask = bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1; /* the counter may wrap between them */
    const double seconds =
        (double)((ticks[1] - ticks[0]) & mask) * (double)device->facts.properties.limits.timestampPeriod * 1e-9;
    return seconds > 0 && seconds <= wall ? seconds : wall;
}

static tuff_status ensure_single(vk_program *program)
{
    if (program->single)
        return TUFF_SUCCESS;
    TUFF_TRY(ensure_clock(program));
    return tuff__vk_commands_create(device_of(program), 1, &program->single);
}

/* A call alone is cut anew at each run, by the most that is known. */
static double single_scale(const vk_program *program)
{
    return fmax(program->scale, device_of(program)->time_scale);
}

/* Sends dispatches [first, last) as one batch, waits for it, and adds the time it took. */
static tuff_status run_part(vk_program *program, size_t first, size_t last, double *seconds)
{
    tuff__vk_device *device = device_of(program);
    double estimated = 0;
    uint32_t barriers = 0;
    for (size_t i = first; i < last; i++)
        estimated += program->seconds[i];
    if (!device->lost) /* the command buffer may still be in use where it hung */
        TUFF_TRY(tuff__vk_recorder_encode(&program->recorder, first, last, program->single, program->clock, &barriers));
    const double begin = tuff__clock_seconds();
    TUFF_TRY(tuff__vk_submit(device, &program->single, 1, NULL, program->fence));
    const double sent = tuff__clock_seconds();
    TUFF_TRY(tuff__vk_wait(device, program->fence, estimated * single_scale(program)));
    const double done = tuff__clock_seconds();
    teach(device, estimated, done - sent);
    *seconds += device_seconds(program, done - begin);
    return TUFF_SUCCESS;
}

/* What one call teaches is the device's alone: a program is made of many, and would stay cut by its slowest. */
tuff_status tuff__vk_program_run_call(tuff__program *base, size_t index, double *out_seconds)
{
    vk_program *program = program_of(base);
    double seconds = 0;
    if (index >= program->call_count)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "vulkan: a program of %zu calls has no call %zu",
                          program->call_count, index);
    TUFF_TRY(ensure_single(program));
    const size_t end = program->first_dispatch[index + 1];
    for (size_t first = program->first_dispatch[index], last; first < end; first = last) {
        last = batch_end(program, first, end, single_scale(program));
        TUFF_TRY(run_part(program, first, last, &seconds));
    }
    if (out_seconds)
        *out_seconds = seconds;
    return TUFF_SUCCESS;
}

void tuff__vk_program_statistics(const tuff__program *program, tuff__program_statistics *out_statistics)
{
    *out_statistics = program_of(program)->statistics;
}
