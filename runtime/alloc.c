/* alloc.c: owns host memory: the aligned malloc family, its test countdown, and the arena. */
#include "alloc.h"

#include "os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64, ARENA_BLOCK = 16384, LARGE_BLOCK = 4 << 20 };

/* In front of each block: its size (for realloc) and what malloc returned (for free). */
typedef struct block_header {
    size_t size;
    void *base;
} block_header;

static _Thread_local uint64_t fail_at, allocation_count;

static bool must_fail(void)
{
    allocation_count++;
    return fail_at != 0 && allocation_count == fail_at;
}

void tuff__alloc_fail_at(uint64_t n)
{
    fail_at = n;
    allocation_count = 0;
}

uint64_t tuff__alloc_count(void)
{
    return allocation_count;
}

static block_header *header_of(void *block)
{
    return (block_header *)((char *)block - ALIGNMENT);
}

/* Large blocks that calloc takes fresh from the system are zero already, and stay untouched. */
static void *allocate(size_t size, bool zero)
{
    if (must_fail() || size > SIZE_MAX - 2 * (size_t)ALIGNMENT)
        return NULL;
    char *base = zero ? calloc(1, size + 2 * (size_t)ALIGNMENT) : malloc(size + 2 * (size_t)ALIGNMENT);
    if (!base)
        return NULL;
    if (size >= LARGE_BLOCK)
        tuff__memory_prefer_large_pages(base, size);
    /* The header takes the ALIGNMENT bytes before the block. */
    const size_t skew = (size_t)((uintptr_t)base % ALIGNMENT);
    char *block = base + (2 * (size_t)ALIGNMENT - skew);
    if (skew == 0)
        block = base + ALIGNMENT;
    *header_of(block) = (block_header){.size = size, .base = base};
    return block;
}

void *tuff__malloc(size_t size)
{
    return allocate(size, false);
}

void *tuff__calloc(size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size)
        return NULL;
    return allocate(count * size, true);
}

void *tuff__realloc(void *block, size_t size)
{
    void *grown = tuff__malloc(size);
    if (!grown || !block)
        return grown;
    const size_t old = header_of(block)->size;
    memcpy(grown, block, old < size ? old : size);
    tuff__free(block);
    return grown;
}

void tuff__free(void *block)
{
    if (block)
        free(header_of(block)->base);
}

char *tuff__strndup(const char *text, size_t length)
{
    char *copy = tuff__malloc(length + 1);
    if (!copy)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *tuff__strdup(const char *text)
{
    return tuff__strndup(text, strlen(text));
}

char *tuff__asprintf(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        return NULL;
    char *text = tuff__malloc((size_t)length + 1);
    if (!text)
        return NULL;
    va_start(arguments, format);
    vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    return text;
}

tuff_status tuff__grow(void **items, size_t *capacity, size_t count, size_t size, const char *what)
{
    if (count < *capacity)
        return TUFF_SUCCESS;
    size_t wanted = *capacity ? *capacity : 8;
    while (wanted <= count) {
        if (wanted > SIZE_MAX / 2 / (size ? size : 1))
            return tuff__fail_memory(what, SIZE_MAX);
        wanted *= 2;
    }
    void *grown = tuff__realloc(*items, wanted * size);
    if (!grown)
        return tuff__fail_memory(what, wanted * size);
    *items = grown;
    *capacity = wanted;
    return TUFF_SUCCESS;
}

typedef struct tuff__arena_block {
    struct tuff__arena_block *next;
    size_t used, size;
    max_align_t data[];
} tuff__arena_block;

void *tuff__arena_alloc(tuff__arena *arena, size_t size)
{
    if (size > SIZE_MAX - 2 * sizeof(max_align_t) - sizeof(tuff__arena_block))
        return NULL;
    const size_t rounded = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    tuff__arena_block *head = arena->head;
    if (!head || head->size - head->used < rounded) {
        const size_t block_size = rounded > ARENA_BLOCK ? rounded : ARENA_BLOCK;
        head = tuff__calloc(1, sizeof *head + block_size);
        if (!head)
            return NULL;
        head->size = block_size;
        head->next = arena->head;
        arena->head = head;
    }
    void *block = (char *)head->data + head->used;
    head->used += rounded;
    return block;
}

char *tuff__arena_strdup(tuff__arena *arena, const char *text)
{
    const size_t size = strlen(text) + 1;
    char *copy = tuff__arena_alloc(arena, size);
    if (copy)
        memcpy(copy, text, size);
    return copy;
}

void tuff__arena_destroy(tuff__arena *arena)
{
    while (arena->head) {
        tuff__arena_block *block = arena->head;
        arena->head = block->next;
        tuff__free(block);
    }
}
