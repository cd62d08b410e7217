/*
 * alloc.h: every host allocation of the library, so that a test can make the n-th one fail.
 *
 * Blocks are 64-byte aligned (a cache line, an AVX-512 register). Sizes are checked for overflow.
 */
#ifndef TUFF_RUNTIME_ALLOC_H
#define TUFF_RUNTIME_ALLOC_H

#include "status.h"

/* NULL when memory is out or count*size overflows; size 0 gives a valid block. `zero` blocks are cleared. */
void *tuff__malloc(size_t size);
void *tuff__calloc(size_t count, size_t size);
void *tuff__realloc(void *block, size_t size); /* like realloc; `block` may be NULL */
void tuff__free(void *block);                  /* accepts NULL */
char *tuff__strdup(const char *text);
char *tuff__strndup(const char *text, size_t length);
/* A new string made as by printf; NULL when memory is out. */
char *tuff__asprintf(const char *format, ...) TUFF_PRINTF(1, 2);

/* Grows `*items` (capacity `*capacity`, element `size`) so that index `count` is valid. Doubles; keeps the content. */
tuff_status tuff__grow(void **items, size_t *capacity, size_t count, size_t size, const char *what);

/* For test_oom.c, this thread only: the n-th allocation from now fails (n from 1); 0: none does. */
void tuff__alloc_fail_at(uint64_t n);
/* Allocations made by this thread since tuff__alloc_fail_at was last called. */
uint64_t tuff__alloc_count(void);

/* A bump allocator: many small blocks with one lifetime. Zero-initialise; blocks come cleared. */
typedef struct tuff__arena {
    struct tuff__arena_block *head;
} tuff__arena;
void *tuff__arena_alloc(tuff__arena *arena, size_t size); /* NULL when memory is out */
char *tuff__arena_strdup(tuff__arena *arena, const char *text);
void tuff__arena_destroy(tuff__arena *arena);

#endif
