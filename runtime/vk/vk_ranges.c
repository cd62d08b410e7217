/* vk_ranges.c: owns the free list of a memory block. */
#include "vk_ranges.h"

#include "../alloc.h"

#include <assert.h>
#include <string.h>

tuff_status tuff__vk_ranges_init(tuff__vk_ranges *ranges, uint64_t size)
{
    TUFF_TRY(tuff__grow((void **)&ranges->free, &ranges->capacity, 0, sizeof *ranges->free, "a memory block's ranges"));
    ranges->free[0] = (tuff__vk_range){.offset = 0, .size = size};
    ranges->count = 1;
    return TUFF_SUCCESS;
}

void tuff__vk_ranges_destroy(tuff__vk_ranges *ranges)
{
    tuff__free(ranges->free);
    *ranges = (tuff__vk_ranges){0};
}

static void remove_at(tuff__vk_ranges *ranges, size_t index)
{
    memmove(ranges->free + index, ranges->free + index + 1, (ranges->count - index - 1) * sizeof *ranges->free);
    ranges->count--;
}

static void insert_at(tuff__vk_ranges *ranges, size_t index, tuff__vk_range range)
{
    assert(ranges->count < ranges->capacity);
    memmove(ranges->free + index + 1, ranges->free + index, (ranges->count - index) * sizeof *ranges->free);
    ranges->free[index] = range;
    ranges->count++;
}

static uint64_t skip_to_alignment(uint64_t offset, uint64_t alignment)
{
    return (alignment - offset % alignment) % alignment;
}

tuff_status tuff__vk_ranges_take(tuff__vk_ranges *ranges, uint64_t size, uint64_t alignment, uint64_t *out_offset,
                                 bool *out_found)
{
    *out_found = false;
    size_t best = ranges->count;
    for (size_t i = 0; i < ranges->count; i++) {
        const tuff__vk_range *range = &ranges->free[i];
        const uint64_t skip = skip_to_alignment(range->offset, alignment);
        if (range->size >= skip && range->size - skip >= size &&
            (best == ranges->count || range->size < ranges->free[best].size))
            best = i;
    }
    if (best == ranges->count)
        return TUFF_SUCCESS;
    /* n taken ranges leave at most n + 1 gaps between them, and taking one may split a gap in two. */
    TUFF_TRY(tuff__grow((void **)&ranges->free, &ranges->capacity, ranges->taken + 2, sizeof *ranges->free,
                        "a memory block's ranges"));
    const tuff__vk_range range = ranges->free[best];
    const uint64_t skip = skip_to_alignment(range.offset, alignment);
    remove_at(ranges, best);
    if (range.size - skip > size)
        insert_at(ranges, best,
                  (tuff__vk_range){.offset = range.offset + skip + size, .size = range.size - skip - size});
    if (skip > 0)
        insert_at(ranges, best, (tuff__vk_range){.offset = range.offset, .size = skip});
    ranges->taken++;
    *out_offset = range.offset + skip;
    *out_found = true;
    return TUFF_SUCCESS;
}

void tuff__vk_ranges_give(tuff__vk_ranges *ranges, uint64_t offset, uint64_t size)
{
    assert(ranges->taken > 0);
    size_t at = 0;
    while (at < ranges->count && ranges->free[at].offset < offset)
        at++;
    insert_at(ranges, at, (tuff__vk_range){.offset = offset, .size = size});
    ranges->taken--;
    if (at + 1 < ranges->count && offset + size == ranges->free[at + 1].offset) {
        ranges->free[at].size += ranges->free[at + 1].size;
        remove_at(ranges, at + 1);
    }
    if (at > 0 && ranges->free[at - 1].offset + ranges->free[at - 1].size == offset) {
        ranges->free[at - 1].size += ranges->free[at].size;
        remove_at(ranges, at);
    }
}
