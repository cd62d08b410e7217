/* vk_ranges.h: which parts of a memory block are free. Plain arithmetic: it knows no Vulkan. */
#ifndef TUFF_RUNTIME_VK_RANGES_H
#define TUFF_RUNTIME_VK_RANGES_H

#include "../status.h"

typedef struct tuff__vk_range {
    uint64_t offset, size;
} tuff__vk_range;

typedef struct tuff__vk_ranges {
    tuff__vk_range *free; /* sorted by offset, never touching each other */
    size_t count, capacity;
    size_t taken; /* ranges handed out */
} tuff__vk_ranges;

/* All of [0, size) is free. `ranges` is zeroed by the caller; destroy accepts it so. */
tuff_status tuff__vk_ranges_init(tuff__vk_ranges *ranges, uint64_t size);
void tuff__vk_ranges_destroy(tuff__vk_ranges *ranges);
/* The smallest free range that fits, so that large ones stay whole. *out_found is false when none does. */
tuff_status tuff__vk_ranges_take(tuff__vk_ranges *ranges, uint64_t size, uint64_t alignment, uint64_t *out_offset,
                                 bool *out_found);
/* Gives back exactly what take handed out. Cannot fail: take made the room for it. */
void tuff__vk_ranges_give(tuff__vk_ranges *ranges, uint64_t offset, uint64_t size);

#endif
