/*
 * device.h: what runs a graph: a Vulkan device, the CPU device (threads and CBLAS), or the CPU reference (plain loops
 * with double accumulators, which defines every operator).
 */
#ifndef TUFF_DEVICE_H
#define TUFF_DEVICE_H

#include "tuff/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A device may be used by several threads: where it works for one, the others wait, also while it compiles kernels. Of
 * the objects made from it (buffers, graphs, models, pipelines, trainers) each is used by one thread at a time, and a
 * model's weights by none while a trainer changes them. All of them are destroyed before their device. */
typedef struct tuff_device tuff_device;
typedef struct tuff_buffer tuff_buffer; /* device memory that outlives graphs: weights, gradients, optimizer state */

typedef enum tuff_backend {
    TUFF_BACKEND_CPU = 0,
    TUFF_BACKEND_REFERENCE = 1,
    TUFF_BACKEND_VULKAN = 2,
} tuff_backend;

typedef struct tuff_device_create_info {
    /* "cpu", "reference", "vulkan" (the best Vulkan GPU), "vulkan:N" (the N-th of tuff_device_list), or part of a
     * Vulkan device's name, in any case. Default: what the environment's TUFF_DEVICE names in this way, else the best
     * Vulkan GPU, else "cpu". A software Vulkan device (lavapipe, SwiftShader) is taken only by number or by name.
     * "cpu" opens the matrix library, which may be the application's too: while a CPU device lives, OpenBLAS has one
     * thread in the whole process, and with the last one gone as many as before. For the moment of the first opening
     * OPENBLAS_NUM_THREADS and OPENBLAS_CORETYPE are in the environment. */
    const char *device;
    uint32_t thread_count;             /* CPU device; default: the processors this process may use */
    bool enable_validation;            /* Vulkan's validation layer, which must be there; default: TUFF_VALIDATION */
    uint64_t max_storage_buffer_range; /* default: the device's; a lower one makes tests split tensors */
    /* Default: of each operator's rungs the highest that proved right on this device, unless another is twice as fast.
     * Else this rung ("t0", "t1", "t0c") where the operator has it, unproven. */
    const char *kernel_variant;
} tuff_device_create_info;

/* NULL `info` means all defaults. Errors: FEATURE_NOT_PRESENT when no device answers to the name, INVALID_ARGUMENT
 * when no operator has such a kernel_variant. */
TUFF_API tuff_status tuff_device_create(const tuff_device_create_info *info, tuff_device **out_device);
TUFF_API void tuff_device_destroy(tuff_device *device); /* like every destroy, accepts NULL */

/* Vulkan's VkPhysicalDeviceType. */
typedef enum tuff_device_type {
    TUFF_DEVICE_TYPE_OTHER = 0,
    TUFF_DEVICE_TYPE_INTEGRATED_GPU = 1,
    TUFF_DEVICE_TYPE_DISCRETE_GPU = 2,
    TUFF_DEVICE_TYPE_VIRTUAL_GPU = 3,
    TUFF_DEVICE_TYPE_CPU = 4,
} tuff_device_type;

typedef struct tuff_device_properties {
    char name[256];   /* as the driver says it; "cpu" and "reference" for the two CPU executions */
    char driver[256]; /* driver name and version in words; for "cpu" the matrix library */
    tuff_backend backend;
    tuff_device_type type;
    uint32_t vulkan_index; /* N of "vulkan:N" */
    uint32_t api_version;  /* VK_API_VERSION, 0 for CPUs */
    uint32_t vendor_id, device_id, driver_version;
    uint8_t uuid[16];                /* of this very device, as the driver says */
    uint8_t pipeline_cache_uuid[16]; /* of what the driver compiles for it: changes with the driver */
    uint64_t memory_size;            /* bytes of the largest device-local heap, or of what a CPU may use */
    uint64_t max_storage_buffer_range, max_memory_allocation_size;
    uint32_t max_shared_memory_size, max_workgroup_invocations, subgroup_size;
    uint32_t thread_count; /* CPU device */
    bool shader_float16, storage_buffer_16bit, buffer_device_address, unified_memory;
    bool usable;      /* tuff can run on it */
    bool is_default;  /* what tuff_device_create(NULL) takes */
    char reason[256]; /* why it is taken, left out or unusable, one sentence */
} tuff_device_properties;

TUFF_API const tuff_device_properties *tuff_device_get_properties(const tuff_device *device);

/* Every Vulkan device in the loader's order, then "cpu" and "reference". Free *out_devices with tuff_free. Works, with
 * the CPUs alone, on a machine without Vulkan; then *out_vulkan_problem (may be NULL) is why, else empty. Opens the
 * matrix library, to name it, as a CPU device would. */
TUFF_API tuff_status tuff_device_list(tuff_device_properties **out_devices, size_t *out_count,
                                      char out_vulkan_problem[256]);

/* Frees what the library allocated for the caller and says so; accepts NULL. */
TUFF_API void tuff_free(void *block);

/* Memory on the device, cleared to zero. `device` must outlive it. Errors: OUT_OF_DEVICE_MEMORY, saying how much was
 * wanted and is there. */
TUFF_API tuff_status tuff_buffer_create(tuff_device *device, uint64_t size, tuff_buffer **out_buffer);
TUFF_API void tuff_buffer_destroy(tuff_buffer *buffer);
/* Copies between host and device, finished on return. */
TUFF_API tuff_status tuff_buffer_write(tuff_buffer *buffer, uint64_t offset, const void *data, size_t size);
TUFF_API tuff_status tuff_buffer_read(tuff_buffer *buffer, uint64_t offset, void *data, size_t size);

#ifdef __cplusplus
}
#endif

#endif
