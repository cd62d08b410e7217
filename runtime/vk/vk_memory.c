/*
 * vk_memory.c: owns device memory: the choice of a memory type, blocks, buffers, and the staging ring.
 *
 * Only coherent host-visible memory is ever mapped (the specification guarantees that some exists), so no flush of
 * nonCoherentAtomSize is needed anywhere.
 */
#include "vk_memory.h"

#include "../alloc.h"
#include "../log.h"
#include "vk_queue.h"
#include "vk_ranges.h"
#include "vk_recorder.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Small first blocks keep small models small; at 256 MiB a block is large enough that Vulkan's limit on the number of
 * allocations (4096) is out of reach, and small enough for drivers that refuse large ones. */
static const uint64_t FIRST_BLOCK_SIZE = 16u << 20, BLOCK_SIZE = 256u << 20;

struct tuff__vk_block {
    VkDeviceMemory memory;
    uint64_t size;
    uint32_t type;
    char *map; /* NULL where the host cannot reach it, or should not */
    tuff__vk_ranges ranges;
};

/* -- memory types ------------------------------------------------------------------------------------------------- */

static const VkMemoryPropertyFlags LOCAL = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
static const VkMemoryPropertyFlags MAPPED = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
static const VkMemoryPropertyFlags CACHED = VK_MEMORY_PROPERTY_HOST_CACHED_BIT;

static VkMemoryPropertyFlags flags_of(const tuff__vk_device *device, uint32_t type)
{
    return device->facts.memory.memoryTypes[type].propertyFlags;
}

/* How well a memory type serves the use; 0: not at all. */
static int score_type(const tuff__vk_device *device, uint32_t type, tuff__memory memory)
{
    const VkMemoryPropertyFlags flags = flags_of(device, type);
    const VkMemoryPropertyFlags odd = VK_MEMORY_PROPERTY_PROTECTED_BIT | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT |
                                      VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD;
    if (flags & odd)
        return 0;
    const bool local = flags & LOCAL, mapped = (flags & MAPPED) == MAPPED, cached = flags & CACHED;
    const bool unified = device->base.properties.unified_memory;
    switch (memory) {
    case TUFF__MEMORY_DEVICE:
        /* Where host and device share the memory, mapping it saves every copy; where they do not, mappable local
         * memory is a window that others need too. */
        return (local ? 8 : 1) + (mapped == unified ? 4 : 0) + (unified && mapped && cached ? 2 : 0);
    case TUFF__MEMORY_UPLOAD:
        /* Every invocation may read it: a window into local memory, where there is one, is filled over the bus once. */
        return mapped ? 1 + (local ? 4 : 0) + (cached ? 0 : 1) : 0;
    case TUFF__MEMORY_READBACK:
        return mapped ? 1 + (cached ? 4 : 0) + (unified && local ? 1 : 0) : 0;
    default:
        return 0;
    }
}

/* The next best type after `tried`, a mask; VK_MAX_MEMORY_TYPES when there is none. */
static uint32_t next_type(const tuff__vk_device *device, uint32_t allowed, uint32_t tried, tuff__memory memory)
{
    uint32_t best = VK_MAX_MEMORY_TYPES;
    int best_score = 0;
    for (uint32_t i = 0; i < device->facts.memory.memoryTypeCount; i++) {
        const int score = score_type(device, i, memory);
        if ((allowed & ~tried & (1u << i)) && score > best_score) {
            best = i;
            best_score = score;
        }
    }
    return best;
}

/* What this device object has not yet taken of the heap of a type. */
static uint64_t heap_rest(const tuff__vk_device *device, uint32_t type)
{
    const uint32_t heap = device->facts.memory.memoryTypes[type].heapIndex;
    uint64_t used = 0;
    for (size_t i = 0; i < device->block_count; i++)
        if (device->facts.memory.memoryTypes[device->blocks[i]->type].heapIndex == heap)
            used += device->blocks[i]->size;
    const uint64_t size = device->facts.memory.memoryHeaps[heap].size;
    return size > used ? size - used : 0;
}

/* Bytes that may still be allocated from the heap of a type, as far as the driver tells. */
static uint64_t available_memory(const tuff__vk_device *device, uint32_t type)
{
    const uint32_t heap = device->facts.memory.memoryTypes[type].heapIndex;
    const uint64_t rest = heap_rest(device, type);
    if (!device->facts.memory_budget)
        return rest;
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    VkPhysicalDeviceMemoryProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
        .pNext = &budget,
    };
    device->instance.vkGetPhysicalDeviceMemoryProperties2(device->facts.physical, &properties);
    const uint64_t used = budget.heapUsage[heap], all = budget.heapBudget[heap], left = all > used ? all - used : 0;
    return left < rest ? left : rest; /* a budget may be told for more than the heap has */
}

/* The most that is worth asking the driver for. A GPU may find more than its budget by moving other programs' memory; a
 * software device would hand out memory that the machine does not have, and the system would end the process. */
static uint64_t memory_limit(const tuff__vk_device *device, uint32_t type)
{
    return device->base.target.software ? available_memory(device, type) : heap_rest(device, type);
}

static const double MIB = 1024.0 * 1024.0;

/* "has 10.0 MiB left", of what was wanted. */
static tuff_status fail_too_large(const tuff__vk_device *device, uint64_t wanted, const char *has, uint64_t there,
                                  const char *left)
{
    char missing[64] = "which the driver refused all the same";
    if (wanted > there)
        snprintf(missing, sizeof missing, "%.1f MiB too few", (double)(wanted - there) / MIB);
    return tuff__fail(TUFF_ERROR_OUT_OF_DEVICE_MEMORY,
                      "vulkan: %.1f MiB of device memory were wanted, %s %s %.1f MiB %s, %s: lower the batch size or "
                      "the sequence length (a trainer may accumulate gradients over more, smaller batches), close "
                      "other programs that use the device, or take a device with more memory",
                      (double)wanted / MIB, device->base.properties.name, has, (double)there / MIB, left, missing);
}

static tuff_status fail_out_of_memory(const tuff__vk_device *device, uint64_t size, uint32_t type)
{
    return fail_too_large(device, size, "has", available_memory(device, type), "left");
}

/* -- blocks ------------------------------------------------------------------------------------------------------- */

static void block_destroy(tuff__vk_device *device, tuff__vk_block *block)
{
    if (block->memory) {
        device->table.vkFreeMemory(device->handle, block->memory, NULL); /* unmaps it too */
        device->allocation_count--;
    }
    tuff__vk_ranges_destroy(&block->ranges);
    tuff__free(block);
}

static bool wants_map(const tuff__vk_device *device, uint32_t type, tuff__memory memory)
{
    return (flags_of(device, type) & MAPPED) == MAPPED &&
           (memory != TUFF__MEMORY_DEVICE || device->base.properties.unified_memory);
}

static tuff_status block_create(tuff__vk_device *device, uint64_t size, uint32_t type, bool map,
                                tuff__vk_block **out_block)
{
    if (device->allocation_count >= device->facts.properties.limits.maxMemoryAllocationCount)
        return tuff__fail(TUFF_ERROR_OUT_OF_DEVICE_MEMORY,
                          "vulkan: %s allows no more than %u memory allocations: keep fewer models and trainers on it "
                          "at one time",
                          device->base.properties.name, device->facts.properties.limits.maxMemoryAllocationCount);
    if (size > memory_limit(device, type))
        return fail_out_of_memory(device, size, type);
    TUFF_TRY(tuff__grow((void **)&device->blocks, &device->block_capacity, device->block_count, sizeof *device->blocks,
                        "the list of memory blocks"));
    tuff__vk_block *block = tuff__calloc(1, sizeof *block);
    if (!block)
        return tuff__fail_memory("a memory block", sizeof *block);
    block->size = size;
    block->type = type;
    const VkMemoryAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
        .allocationSize = size,
        .memoryTypeIndex = type,
    };
    tuff_status status = tuff__vk_ranges_init(&block->ranges, size);
    VkResult result = VK_SUCCESS;
    if (status == TUFF_SUCCESS)
        result = device->table.vkAllocateMemory(device->handle, &info, NULL, &block->memory);
    if (status == TUFF_SUCCESS && result == VK_SUCCESS) {
        device->allocation_count++;
        void *address = NULL;
        if (map)
            result = device->table.vkMapMemory(device->handle, block->memory, 0, VK_WHOLE_SIZE, 0, &address);
        block->map = address;
    }
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_MEMORY_MAP_FAILED)
        status = fail_out_of_memory(device, size, type);
    else if (result != VK_SUCCESS)
        status = tuff__vk_fail(result, "vkAllocateMemory(");
    if (status != TUFF_SUCCESS) {
        block_destroy(device, block);
        return status;
    }
    device->blocks[device->block_count++] = block;
    *out_block = block;
    return TUFF_SUCCESS;
}

static void block_remove(tuff__vk_device *device, tuff__vk_block *block)
{
    for (size_t i = 0; i < device->block_count; i++)
        if (device->blocks[i] == block)
            device->blocks[i] = device->blocks[--device->block_count];
    block_destroy(device, block);
}

/* The size of the next block of a type: each twice the one before it, within what the device allows. */
static uint64_t next_block_size(const tuff__vk_device *device, uint32_t type)
{
    uint64_t size = FIRST_BLOCK_SIZE;
    for (size_t i = 0; i < device->block_count; i++)
        if (device->blocks[i]->type == type && device->blocks[i]->size >= size)
            size = device->blocks[i]->size * 2;
    if (size > BLOCK_SIZE)
        size = BLOCK_SIZE;
    const uint32_t heap = device->facts.memory.memoryTypes[type].heapIndex;
    const uint64_t eighth = device->facts.memory.memoryHeaps[heap].size / 8 / TUFF__ALIGNMENT * TUFF__ALIGNMENT;
    if (size > eighth)
        size = eighth;
    return size < device->facts.max_memory_allocation_size ? size : device->facts.max_memory_allocation_size;
}

/* Finds `buffer->reserved` bytes of one memory type, in a block that is there or in a new one. */
static tuff_status place_in_type(tuff__vk_device *device, tuff__vk_buffer *buffer, uint64_t alignment, uint32_t type,
                                 tuff__memory memory)
{
    const bool map = wants_map(device, type, memory);
    bool found = false;
    tuff__vk_block *block = NULL; /* the buffer's only once it has its range: destroying the buffer gives that back */
    for (size_t i = 0; i < device->block_count && !found; i++) {
        block = device->blocks[i];
        if (block->type == type && (block->map != NULL) == map)
            TUFF_TRY(tuff__vk_ranges_take(&block->ranges, buffer->reserved, alignment, &buffer->offset, &found));
    }
    if (found) {
        buffer->block = block;
        return TUFF_SUCCESS;
    }
    const uint64_t shared = next_block_size(device, type);
    tuff_status status = TUFF_ERROR_OUT_OF_DEVICE_MEMORY;
    if (buffer->reserved <= shared / 2)
        status = block_create(device, shared, type, map, &block);
    if (status == TUFF_ERROR_OUT_OF_DEVICE_MEMORY) /* a large buffer, or no room for a shared block: one of its own */
        status = block_create(device, buffer->reserved, type, map, &block);
    TUFF_TRY(status);
    status = tuff__vk_ranges_take(&block->ranges, buffer->reserved, alignment, &buffer->offset, &found);
    if (status != TUFF_SUCCESS) {
        block_remove(device, block);
        return status;
    }
    assert(found);
    buffer->block = block;
    return TUFF_SUCCESS;
}

static tuff_status place(tuff__vk_device *device, tuff__vk_buffer *buffer, tuff__memory memory)
{
    VkMemoryRequirements requirements;
    device->table.vkGetBufferMemoryRequirements(device->handle, buffer->handle, &requirements);
    const uint64_t alignment = tuff__align_up(requirements.alignment ? requirements.alignment : 1);
    buffer->reserved = tuff__align_up(requirements.size);
    if (buffer->reserved > device->facts.max_memory_allocation_size)
        return fail_too_large(device, buffer->reserved, "allows", device->facts.max_memory_allocation_size,
                              "in one allocation");
    const uint32_t first = next_type(device, requirements.memoryTypeBits, 0, memory);
    if (first == VK_MAX_MEMORY_TYPES)
        return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "vulkan: %s has no memory type for a buffer",
                          device->base.properties.name);
    uint32_t tried = 0;
    for (uint32_t type = first; type != VK_MAX_MEMORY_TYPES;) {
        const tuff_status status = place_in_type(device, buffer, alignment, type, memory);
        if (status == TUFF_SUCCESS && memory == TUFF__MEMORY_DEVICE &&
            (flags_of(device, first) & ~flags_of(device, type) & LOCAL))
            tuff__log(TUFF_LOG_WARNING, "vulkan: the memory of %s is full; %.1f MiB are kept in slower host memory",
                      device->base.properties.name, (double)buffer->reserved / MIB);
        if (status != TUFF_ERROR_OUT_OF_DEVICE_MEMORY)
            return status;
        tried |= 1u << type;
        type = next_type(device, requirements.memoryTypeBits, tried, memory);
    }
    return fail_out_of_memory(device, buffer->reserved, first);
}

/* -- buffers ------------------------------------------------------------------------------------------------------ */

static tuff_status handle_create(tuff__vk_device *device, tuff__vk_buffer *buffer)
{
    if (buffer->bytes > device->facts.max_buffer_size)
        return fail_too_large(device, buffer->bytes, "allows", device->facts.max_buffer_size, "in one buffer");
    const VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = buffer->bytes,
        .usage =
            VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
        .sharingMode = VK_SHARING_MODE_EXCLUSIVE,
    };
    TUFF_TRY_VK(device->table.vkCreateBuffer(device->handle, &info, NULL, &buffer->handle));
    return TUFF_SUCCESS;
}

static tuff_status staging_prepare(tuff__vk_device *device);

/* Sends the commands recorded in a staging slot. */
static tuff_status slot_submit(tuff__vk_device *device, uint32_t slot)
{
    TUFF_TRY(tuff__vk_submit(device, &device->staging.commands[slot], 1, NULL, device->staging.fences[slot]));
    device->staging.in_flight[slot] = true;
    return TUFF_SUCCESS;
}

static tuff_status slot_wait(tuff__vk_device *device, uint32_t slot)
{
    if (!device->staging.in_flight[slot])
        return TUFF_SUCCESS;
    device->staging.in_flight[slot] = false;
    return tuff__vk_wait(device, device->staging.fences[slot], 0);
}

static tuff_status clear(tuff__vk_device *device, tuff__vk_buffer *buffer)
{
    if (buffer->base.host) {
        memset(buffer->base.host, 0, (size_t)buffer->bytes);
        return TUFF_SUCCESS;
    }
    TUFF_TRY(staging_prepare(device));
    TUFF_TRY(tuff__vk_record_clear(device, device->staging.commands[0], buffer->handle));
    TUFF_TRY(slot_submit(device, 0));
    return slot_wait(device, 0);
}

static tuff_status build(tuff__vk_device *device, tuff__vk_buffer *buffer, tuff__memory memory)
{
    TUFF_TRY(handle_create(device, buffer));
    TUFF_TRY(place(device, buffer, memory));
    TUFF_TRY_VK(
        device->table.vkBindBufferMemory(device->handle, buffer->handle, buffer->block->memory, buffer->offset));
    if (buffer->block->map)
        buffer->base.host = buffer->block->map + buffer->offset;
    buffer->fast_read = flags_of(device, buffer->block->type) & CACHED;
    buffer->local = flags_of(device, buffer->block->type) & LOCAL;
    return TUFF_SUCCESS;
}

tuff_status tuff__vk_buffer_create(tuff_device *base, uint64_t size, tuff__memory memory, tuff_buffer **out_buffer)
{
    tuff__vk_device *device = tuff__vk_device_of(base);
    if (size == 0 || size > UINT64_MAX - TUFF__ALIGNMENT)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "vulkan: a buffer of %llu bytes cannot be made",
                          (unsigned long long)size);
    tuff__vk_buffer *buffer = tuff__calloc(1, sizeof *buffer);
    if (!buffer)
        return tuff__fail_memory("a buffer", sizeof *buffer);
    buffer->base = (tuff_buffer){.device = base, .size = size};
    buffer->bytes = tuff__align_up(size);
    tuff_status status = build(device, buffer, memory);
    if (status == TUFF_SUCCESS)
        status = clear(device, buffer);
    if (status != TUFF_SUCCESS) {
        tuff__vk_buffer_destroy(&buffer->base);
        return status;
    }
    *out_buffer = &buffer->base;
    return TUFF_SUCCESS;
}

void tuff__vk_buffer_destroy(tuff_buffer *base)
{
    if (!base)
        return;
    tuff__vk_device *device = tuff__vk_device_of(base->device);
    tuff__vk_buffer *buffer = tuff__vk_buffer_of(base);
    if (!device->hung) {
        if (buffer->handle)
            device->table.vkDestroyBuffer(device->handle, buffer->handle, NULL);
        if (buffer->block) {
            tuff__vk_ranges_give(&buffer->block->ranges, buffer->offset, buffer->reserved);
            /* `tuff kernels` makes thousands of small graphs, and driver stubs do not take memory back. */
            if (buffer->block->ranges.taken == 0 && !device->keep_statistics)
                block_remove(device, buffer->block);
        }
    }
    tuff__free(buffer);
}

/* -- copies ------------------------------------------------------------------------------------------------------- */

/* Fills `staging` step by step, so that memory_destroy can undo any part of it. */
static tuff_status staging_prepare(tuff__vk_device *device)
{
    tuff__vk_staging *staging = &device->staging;
    if (!staging->commands[0])
        TUFF_TRY(tuff__vk_commands_create(device, TUFF__VK_STAGING_SLOTS, staging->commands));
    for (uint32_t i = 0; i < TUFF__VK_STAGING_SLOTS; i++)
        if (!staging->fences[i])
            TUFF_TRY(tuff__vk_fence_create(device, &staging->fences[i]));
    if (staging->buffer)
        return TUFF_SUCCESS;
    const uint64_t size = (uint64_t)TUFF__VK_STAGING_SLOTS * TUFF__VK_STAGING_SLOT_SIZE;
    return tuff__vk_buffer_create(&device->base, size, TUFF__MEMORY_READBACK, &staging->buffer);
}

typedef struct transfer {
    tuff__vk_device *device;
    const tuff__vk_buffer *buffer;
    uint64_t offset;  /* in the buffer */
    const char *from; /* host data of a write, else NULL */
    char *to;         /* host data of a read, else NULL */
    size_t size;
} transfer;

static size_t chunk_size(const transfer *copy, size_t first)
{
    const size_t left = copy->size - first;
    return left < TUFF__VK_STAGING_SLOT_SIZE ? left : TUFF__VK_STAGING_SLOT_SIZE;
}

/* Waits for the slot's work, which held the chunk that starts at `first`, and takes out what it read. */
static tuff_status chunk_finish(const transfer *copy, uint32_t slot, size_t first)
{
    if (!copy->device->staging.in_flight[slot])
        return TUFF_SUCCESS;
    TUFF_TRY(slot_wait(copy->device, slot));
    if (copy->to)
        memcpy(copy->to + first, (char *)copy->device->staging.buffer->host + (size_t)slot * TUFF__VK_STAGING_SLOT_SIZE,
               chunk_size(copy, first));
    return TUFF_SUCCESS;
}

static tuff_status chunk_start(const transfer *copy, uint32_t slot, size_t first)
{
    tuff__vk_staging *staging = &copy->device->staging;
    const uint64_t staged = (uint64_t)slot * TUFF__VK_STAGING_SLOT_SIZE;
    const size_t size = chunk_size(copy, first);
    const VkBuffer handle = tuff__vk_buffer_of(staging->buffer)->handle;
    VkBufferCopy region = {.srcOffset = staged, .dstOffset = copy->offset + first, .size = size};
    if (copy->from) {
        memcpy((char *)staging->buffer->host + staged, copy->from + first, size);
        TUFF_TRY(tuff__vk_record_copy(copy->device, staging->commands[slot], handle, copy->buffer->handle, &region));
    } else {
        region = (VkBufferCopy){.srcOffset = copy->offset + first, .dstOffset = staged, .size = size};
        TUFF_TRY(tuff__vk_record_copy(copy->device, staging->commands[slot], copy->buffer->handle, handle, &region));
    }
    return slot_submit(copy->device, slot);
}

/* While the device copies one slot, the host fills or empties the other. */
static tuff_status transfer_run(const transfer *copy)
{
    TUFF_TRY(staging_prepare(copy->device));
    const size_t step = TUFF__VK_STAGING_SLOT_SIZE, window = step * TUFF__VK_STAGING_SLOTS;
    tuff_status status = TUFF_SUCCESS;
    size_t first = 0, started = 0;
    for (; first < copy->size && status == TUFF_SUCCESS; first += step) {
        const uint32_t slot = (uint32_t)(first / step % TUFF__VK_STAGING_SLOTS);
        if (first >= window)
            status = chunk_finish(copy, slot, first - window);
        if (status == TUFF_SUCCESS)
            status = chunk_start(copy, slot, first);
        started = first;
    }
    for (uint32_t i = 0; i < TUFF__VK_STAGING_SLOTS; i++) { /* the older one first; also after a failure */
        const size_t back = (TUFF__VK_STAGING_SLOTS - 1 - i) * step;
        if (started < back)
            continue;
        const uint32_t slot = (uint32_t)((started - back) / step % TUFF__VK_STAGING_SLOTS);
        const tuff_status finished = chunk_finish(copy, slot, started - back);
        if (status == TUFF_SUCCESS)
            status = finished;
    }
    return status;
}

static tuff_status check_range(const tuff_buffer *buffer, uint64_t offset, size_t size)
{
    if (offset > buffer->size || size > buffer->size - offset)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "vulkan: bytes %llu to %llu are outside a buffer of %llu bytes",
                          (unsigned long long)offset, (unsigned long long)(offset + size),
                          (unsigned long long)buffer->size);
    return TUFF_SUCCESS;
}

tuff_status tuff__vk_buffer_write(tuff_buffer *buffer, uint64_t offset, const void *data, size_t size)
{
    TUFF_TRY(check_range(buffer, offset, size));
    if (size == 0)
        return TUFF_SUCCESS;
    if (buffer->host) {
        memcpy((char *)buffer->host + offset, data, size);
        return TUFF_SUCCESS;
    }
    const transfer copy = {.device = tuff__vk_device_of(buffer->device),
                           .buffer = tuff__vk_buffer_of(buffer),
                           .offset = offset,
                           .from = data,
                           .size = size};
    return transfer_run(&copy);
}

tuff_status tuff__vk_buffer_read(tuff_buffer *buffer, uint64_t offset, void *data, size_t size)
{
    /* Reading memory that the host does not cache runs at tens of MB/s; beyond this a copy by the device is faster. */
    const size_t slow_read_limit = 64 << 10;
    TUFF_TRY(check_range(buffer, offset, size));
    if (size == 0)
        return TUFF_SUCCESS;
    if (buffer->host && (tuff__vk_buffer_of(buffer)->fast_read || size <= slow_read_limit)) {
        memcpy(data, (char *)buffer->host + offset, size);
        return TUFF_SUCCESS;
    }
    const transfer copy = {.device = tuff__vk_device_of(buffer->device),
                           .buffer = tuff__vk_buffer_of(buffer),
                           .offset = offset,
                           .to = data,
                           .size = size};
    return transfer_run(&copy);
}

void tuff__vk_memory_destroy(tuff__vk_device *device)
{
    tuff__vk_buffer_destroy(device->staging.buffer);
    for (uint32_t i = 0; i < TUFF__VK_STAGING_SLOTS && !device->hung; i++)
        if (device->staging.fences[i])
            device->table.vkDestroyFence(device->handle, device->staging.fences[i], NULL);
    while (device->block_count > 0 && !device->hung)
        block_remove(device, device->blocks[0]);
    tuff__free(device->blocks);
}
