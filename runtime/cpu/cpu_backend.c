/* cpu_backend.c: owns both CPU executions: the reference (compute) and the CPU device (compute_fast on a thread pool).
 * A program is the list of calls, walked; memory is the host's. */
#include "cpu_backend.h"

#include "../alloc.h"
#include "../op.h"
#include "../os.h"
#include "blas.h"
#include "cpu_pool.h"

#include <stdio.h>
#include <string.h>

typedef struct cpu_device {
    tuff_device base;
    tuff__pool *pool; /* NULL for the reference */
} cpu_device;

typedef struct cpu_program {
    tuff__program base;
    tuff_op_call *calls; /* copies, with the pool put in */
    size_t count;
} cpu_program;

static void cpu_device_destroy(tuff_device *device)
{
    cpu_device *cpu = (cpu_device *)device;
    tuff__pool_destroy(cpu->pool);
    if (device->target.backend == TUFF_BACKEND_CPU)
        tuff__blas_give_back();
    tuff__free(cpu);
}

static tuff_status cpu_buffer_create(tuff_device *device, uint64_t size, tuff__memory memory, tuff_buffer **out_buffer)
{
    (void)memory; /* all memory is the host's */
    tuff_buffer *buffer = tuff__calloc(1, sizeof *buffer);
    if (!buffer)
        return tuff__fail_memory("buffer", sizeof *buffer);
    *buffer =
        (tuff_buffer){.device = device, .size = size, .host = size <= SIZE_MAX ? tuff__calloc(1, (size_t)size) : NULL};
    if (!buffer->host) {
        tuff__free(buffer);
        return tuff__fail(TUFF_ERROR_OUT_OF_DEVICE_MEMORY,
                          "cpu: no memory for a buffer of %llu bytes; lower the batch size or the sequence length",
                          (unsigned long long)size);
    }
    *out_buffer = buffer;
    return TUFF_SUCCESS;
}

static void cpu_buffer_destroy(tuff_buffer *buffer)
{
    tuff__free(buffer->host);
    tuff__free(buffer);
}

static tuff_status cpu_buffer_write(tuff_buffer *buffer, uint64_t offset, const void *data, size_t size)
{
    memcpy((char *)buffer->host + offset, data, size);
    return TUFF_SUCCESS;
}

static tuff_status cpu_buffer_read(tuff_buffer *buffer, uint64_t offset, void *data, size_t size)
{
    memcpy(data, (const char *)buffer->host + offset, size);
    return TUFF_SUCCESS;
}

static void cpu_program_destroy(tuff__program *program)
{
    tuff__free(((cpu_program *)program)->calls);
    tuff__free(program);
}

static tuff_status cpu_program_create(tuff_device *device, const tuff_op_call *calls, size_t count, size_t *out_refused,
                                      tuff__program **out_program)
{
    if (out_refused)
        *out_refused = count; /* a CPU runs them all */
    cpu_program *program = tuff__calloc(1, sizeof *program);
    tuff_op_call *copies = tuff__calloc(count + 1, sizeof *copies);
    if (!program || !copies) {
        tuff__free(program);
        tuff__free(copies);
        return tuff__fail_memory("program", count * sizeof *copies);
    }
    memcpy(copies, calls, count * sizeof *copies);
    for (size_t i = 0; i < count; i++)
        copies[i].pool = ((cpu_device *)device)->pool;
    *program = (cpu_program){.base = {device}, .calls = copies, .count = count};
    *out_program = &program->base;
    return TUFF_SUCCESS;
}

static tuff_status cpu_program_run_call(tuff__program *program, size_t index, double *out_seconds)
{
    const tuff_op_call *call = &((cpu_program *)program)->calls[index];
    const bool fast = program->device->target.backend == TUFF_BACKEND_CPU && call->op->compute_fast;
    const double begin = out_seconds ? tuff__clock_seconds() : 0;
    (fast ? call->op->compute_fast : call->op->compute)(call);
    if (out_seconds)
        *out_seconds = tuff__clock_seconds() - begin;
    return TUFF_SUCCESS;
}

static tuff_status cpu_program_run(tuff__program *program)
{
    for (size_t i = 0; i < ((cpu_program *)program)->count; i++)
        TUFF_TRY(cpu_program_run_call(program, i, NULL));
    return TUFF_SUCCESS;
}

static void cpu_program_statistics(const tuff__program *program, tuff__program_statistics *out_statistics)
{
    *out_statistics = (tuff__program_statistics){.dispatch_count = (uint32_t)((const cpu_program *)program)->count};
}

static const tuff__backend cpu_backend = {
    .device_destroy = cpu_device_destroy,
    .buffer_create = cpu_buffer_create,
    .buffer_destroy = cpu_buffer_destroy,
    .buffer_write = cpu_buffer_write,
    .buffer_read = cpu_buffer_read,
    .program_create = cpu_program_create,
    .program_destroy = cpu_program_destroy,
    .program_run = cpu_program_run,
    .program_run_call = cpu_program_run_call,
    .program_statistics = cpu_program_statistics,
};

tuff_device_properties tuff__cpu_properties(tuff_backend backend, uint32_t thread_count)
{
    tuff_device_properties properties = {
        .backend = backend,
        .type = TUFF_DEVICE_TYPE_CPU,
        .memory_size = tuff__total_memory(),
        .max_storage_buffer_range = SIZE_MAX,
        .max_memory_allocation_size = SIZE_MAX,
        .unified_memory = true,
        .usable = true,
        .thread_count = backend == TUFF_BACKEND_CPU ? thread_count ? thread_count : tuff__cpu_count() : 1,
    };
    const bool fast = backend == TUFF_BACKEND_CPU;
    snprintf(properties.name, sizeof properties.name, "%s", fast ? "cpu" : "reference");
    snprintf(properties.driver, sizeof properties.driver, "%s", fast ? "" : "plain loops, double sums");
    snprintf(properties.reason, sizeof properties.reason, "%s",
             fast ? "runs everywhere" : "defines every operator; slow; for checks");
    return properties;
}

void tuff__cpu_name_library(tuff_device_properties *properties)
{
    snprintf(properties->driver, sizeof properties->driver, "%s", tuff__blas_name());
}

tuff_status tuff__cpu_device_create(tuff_backend backend, const tuff_device_create_info *info, tuff_device **out_device)
{
    cpu_device *cpu = tuff__calloc(1, sizeof *cpu);
    if (!cpu)
        return tuff__fail_memory("device", sizeof *cpu);
    const tuff_device_properties properties = tuff__cpu_properties(backend, info->thread_count);
    cpu->base = (tuff_device){
        .backend = &cpu_backend,
        .properties = properties,
        .target = {.backend = backend, .thread_count = properties.thread_count, .max_storage_buffer_range = SIZE_MAX},
    };
    if (backend == TUFF_BACKEND_CPU) {
        tuff__blas_take();
        tuff__cpu_name_library(&cpu->base.properties);
        const tuff_status status = tuff__pool_create(properties.thread_count, &cpu->pool);
        if (status != TUFF_SUCCESS) {
            cpu_device_destroy(&cpu->base);
            return status;
        }
    }
    *out_device = &cpu->base;
    return TUFF_SUCCESS;
}
