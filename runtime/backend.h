/*
 * backend.h: what a device must do, so that graph.c runs the same compiled graph on CPUs and Vulkan alike.
 *
 * A backend sees resolved operator calls (op.h) and buffers; it never names an operator.
 */
#ifndef TUFF_RUNTIME_BACKEND_H
#define TUFF_RUNTIME_BACKEND_H

#include "tuff/device.h"

#include <stdatomic.h>

struct tuff__mutex;
struct tuff_op_call;
struct tuff__pool;

/* What operators may ask about where they will run. Each is decided in one place, with its reason: vk_device.c for
 * Vulkan, cpu_backend.c for the CPUs. */
typedef struct tuff__target {
    tuff_backend backend;
    uint32_t thread_count;             /* CPU device: tasks that run at one time; 1 elsewhere */
    bool software;                     /* Vulkan on a CPU: shared memory and barriers cost, wide registers pay */
    bool few_registers;                /* 64 an invocation, where others have 128 and more */
    uint64_t max_storage_buffer_range; /* bytes one binding may span */
    uint32_t max_shared_memory_size;   /* bytes a workgroup may share */
    uint32_t max_workgroup_invocations;
    uint32_t max_workgroup_count[3];
    double max_dispatch_flops;  /* what one dispatch should do at most, to stay short; 0: any number */
    const char *kernel_variant; /* a rung the caller insists on, where it exists; NULL: none; static */
} tuff__target;

typedef enum tuff__memory {
    TUFF__MEMORY_DEVICE = 0,   /* fastest for the device */
    TUFF__MEMORY_UPLOAD = 1,   /* host writes, device reads: graph inputs */
    TUFF__MEMORY_READBACK = 2, /* device writes, host reads: graph outputs */
} tuff__memory;

struct tuff_buffer {
    tuff_device *device;
    uint64_t size;
    void *host; /* the memory itself where the host can reach it, else NULL */
};

enum { TUFF__ALIGNMENT = 256 }; /* the largest minStorageBufferOffsetAlignment the specification allows */
/* The least multiple of it that holds `size` bytes. */
static inline uint64_t tuff__align_up(uint64_t size)
{
    return (size + TUFF__ALIGNMENT - 1) / TUFF__ALIGNMENT * TUFF__ALIGNMENT;
}

/* A range of a buffer: what a kernel binds. Offsets are multiples of TUFF__ALIGNMENT. */
typedef struct tuff__slice {
    tuff_buffer *buffer; /* NULL: nothing */
    uint64_t offset, size;
} tuff__slice;

typedef struct tuff__program tuff__program; /* a compiled list of calls */

typedef struct tuff__program_statistics {
    uint32_t dispatch_count, barrier_count, submit_count;
    double last_host_seconds;
} tuff__program_statistics;

typedef struct tuff__backend {
    void (*device_destroy)(tuff_device *device);
    /* New buffers are cleared to zero. */
    tuff_status (*buffer_create)(tuff_device *device, uint64_t size, tuff__memory memory, tuff_buffer **out_buffer);
    void (*buffer_destroy)(tuff_buffer *buffer);
    tuff_status (*buffer_write)(tuff_buffer *buffer, uint64_t offset, const void *data, size_t size);
    tuff_status (*buffer_read)(tuff_buffer *buffer, uint64_t offset, void *data, size_t size);
    /* `calls` (borrowed, outliving the program) in execution order; each call's `level` never falls, and calls of one
     * level do not depend on each other. A call that the device cannot run as it is gives FEATURE_NOT_PRESENT, and
     * *out_refused (may be NULL) its index; any other failure leaves `count` there. */
    tuff_status (*program_create)(tuff_device *device, const struct tuff_op_call *calls, size_t count,
                                  size_t *out_refused, tuff__program **out_program);
    void (*program_destroy)(tuff__program *program);
    tuff_status (*program_run)(tuff__program *program); /* finished on return */
    /* One call alone, finished on return: what verification and per-operator timing use. *out_seconds (may be NULL): by
     * the device's own clock where it has one that can be believed, else by the host's, submit and wait included. */
    tuff_status (*program_run_call)(tuff__program *program, size_t index, double *out_seconds);
    void (*program_statistics)(const tuff__program *program, tuff__program_statistics *out_statistics);
} tuff__backend;

/* The head of every device object; vk_device.c and cpu_backend.c embed it as their first member. */
struct tuff_device {
    const tuff__backend *backend;
    tuff__target target;
    tuff_device_properties properties;
    bool checks;                 /* TUFF_CHECK: every operator of every run is held against the reference */
    const char *dump_dir;        /* TUFF_DUMP: where each compiled graph is written; NULL: nowhere */
    struct tuff__prover *prover; /* which kernel variants this device has proven (prove.c); may be NULL */
    struct tuff__mutex *mutex;   /* see tuff__device_lock; NULL: a test's own device */
    _Atomic(const void *) holder;
    uint32_t lock_depth;
};

/* Threads that share a device take turns: every public function that makes the device work holds this lock, which one
 * thread may take several times. */
void tuff__device_lock(tuff_device *device);
void tuff__device_unlock(tuff_device *device);

struct tuff__program {
    tuff_device *device;
};

/* tuff_device_create; with `keep_statistics` a Vulkan driver is asked to keep those of
 * every pipeline (`tuff kernels`). */
tuff_status tuff__device_create(const tuff_device_create_info *info, bool keep_statistics, tuff_device **out_device);

#endif
