/* check_cjson.h: an application that uses the same cJSON with hooks of its own; its blocks and malloc's do not mix. */
#ifndef TUFF_TESTS_CHECK_CJSON_H
#define TUFF_TESTS_CHECK_CJSON_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

static uint64_t tuff__check_cjson_calls, tuff__check_cjson_fails_at; /* the n-th call finds no memory; 0: none does */
static int tuff__check_cjson_blocks;                                 /* that are not free yet */

static void *tuff__check_cjson_malloc(size_t size)
{
    max_align_t *block = ++tuff__check_cjson_calls == tuff__check_cjson_fails_at ? NULL : malloc(sizeof *block + size);
    tuff__check_cjson_blocks += block != NULL;
    return block ? block + 1 : NULL;
}

static void tuff__check_cjson_free(void *block)
{
    tuff__check_cjson_blocks -= block != NULL;
    free(block ? (max_align_t *)block - 1 : NULL);
}

static inline int tuff__check_cjson_set_hooks(void **state)
{
    (void)state;
    tuff__check_cjson_calls = tuff__check_cjson_fails_at = 0;
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = tuff__check_cjson_malloc, .free_fn = tuff__check_cjson_free});
    return 0;
}

/* Fails where a block is left. */
static inline int tuff__check_cjson_clear_hooks(void **state)
{
    (void)state;
    cJSON_InitHooks(NULL);
    return tuff__check_cjson_blocks;
}

#endif
