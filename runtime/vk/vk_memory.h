/* vk_memory.h: device memory in blocks of at most 256 MiB, buffers placed in them, and copies to and from the host. */
#ifndef TUFF_RUNTIME_VK_MEMORY_H
#define TUFF_RUNTIME_VK_MEMORY_H

#include "vk_context.h"

typedef struct tuff__vk_buffer {
    tuff_buffer base;
    VkBuffer handle;
    uint64_t bytes; /* size rounded up to TUFF__ALIGNMENT, so that a binding may end on a 32-bit word */
    tuff__vk_block *block;
    uint64_t offset, reserved; /* in the block */
    bool fast_read;            /* the host reads it through its caches */
    bool local;                /* it lies in the device's own memory */
} tuff__vk_buffer;

static inline tuff__vk_buffer *tuff__vk_buffer_of(const tuff_buffer *buffer)
{
    return (tuff__vk_buffer *)buffer;
}

/* tuff__backend's. */
tuff_status tuff__vk_buffer_create(tuff_device *device, uint64_t size, tuff__memory memory, tuff_buffer **out_buffer);
void tuff__vk_buffer_destroy(tuff_buffer *buffer);
tuff_status tuff__vk_buffer_write(tuff_buffer *buffer, uint64_t offset, const void *data, size_t size);
tuff_status tuff__vk_buffer_read(tuff_buffer *buffer, uint64_t offset, void *data, size_t size);

/* Frees the staging buffer and whatever blocks are left. */
void tuff__vk_memory_destroy(tuff__vk_device *device);

#endif
