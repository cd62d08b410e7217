/*
 * vk_context.h: the Vulkan device object as the files of runtime/vk share it. vk_device.c makes and destroys it; each
 * part of it belongs to the file named beside it.
 */
#ifndef TUFF_RUNTIME_VK_CONTEXT_H
#define TUFF_RUNTIME_VK_CONTEXT_H

#include "vk_device.h"
#include "vk_instance.h"
#include "vk_spirv.h"

typedef struct tuff__vk_block tuff__vk_block;
typedef struct tuff__vk_pipeline tuff__vk_pipeline;
typedef struct tuff__vk_shader tuff__vk_shader;

/* Fixed facts of a physical device: vk_device.c. */
typedef struct tuff__vk_facts {
    VkPhysicalDevice physical;
    VkPhysicalDeviceProperties properties;
    VkPhysicalDeviceMemoryProperties memory;
    uint32_t api_version; /* usable: the lower of instance and device */
    uint32_t queue_family;
    uint32_t timestamp_bits; /* of that family; 0: it has no clock */
    uint64_t max_memory_allocation_size, max_buffer_size;
    bool memory_budget, executable_properties, portability_subset; /* extensions that are there */
} tuff__vk_facts;

/* Staging memory for what the host cannot reach: vk_memory.c. */
enum { TUFF__VK_STAGING_SLOTS = 2, TUFF__VK_STAGING_SLOT_SIZE = 4 << 20 };
typedef struct tuff__vk_staging {
    tuff_buffer *buffer; /* NULL until first used */
    VkCommandBuffer commands[TUFF__VK_STAGING_SLOTS];
    VkFence fences[TUFF__VK_STAGING_SLOTS];
    bool in_flight[TUFF__VK_STAGING_SLOTS];
} tuff__vk_staging;

typedef struct tuff__vk_device {
    tuff_device base;
    tuff__vk_instance instance;
    tuff__vk_facts facts;
    VkDevice handle;
    VkQueue queue;
    VkCommandPool command_pool;
    struct VolkDeviceTable table;
    bool lost; /* no call may wait for the device any more */
    bool hung; /* it did not answer in time: its objects may still be in use and are left behind */

    tuff__vk_block **blocks; /* vk_memory.c */
    size_t block_count, block_capacity;
    uint32_t allocation_count;
    tuff__vk_staging staging;

    tuff__vk_shader *shaders; /* vk_pipeline.c; one for each of tuff__shaders */
    tuff__vk_pipeline **pipelines;
    size_t pipeline_count, pipeline_capacity;
    VkPipelineCache pipeline_cache;
    size_t pipeline_cache_size; /* as loaded from the disk */
    bool keep_statistics;

    double time_scale; /* vk_backend.c: measured over estimated time, what a new program starts from; 1 at first */
} tuff__vk_device;

static inline tuff__vk_device *tuff__vk_device_of(const tuff_device *device)
{
    return (tuff__vk_device *)device;
}

#endif
