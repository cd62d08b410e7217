/*
 * vocabulary.h: tokens and their ids: one string pool, an open-addressing hash from token to id, and a list from id to
 * token. Built once, then only read.
 */
#ifndef TUFF_RUNTIME_TEXT_VOCABULARY_H
#define TUFF_RUNTIME_TEXT_VOCABULARY_H

#include "../alloc.h"

enum { TUFF__VOCABULARY_MAX_ID = INT32_MAX - 1 }; /* so that the vocabulary's size is an int32_t, too */

typedef struct tuff__vocabulary_entry {
    uint32_t offset, length; /* in the pool, where a NUL follows */
    int32_t id;
} tuff__vocabulary_entry;

typedef struct tuff__vocabulary_slot {
    uint32_t hash;
    uint32_t entry; /* its index + 1; 0: free */
} tuff__vocabulary_slot;

/* Zero-initialise. */
typedef struct tuff__vocabulary {
    char *pool;
    size_t pool_size, pool_capacity;
    tuff__vocabulary_entry *entries; /* in the order of insertion */
    size_t count, entry_capacity;
    tuff__vocabulary_slot *slots;
    size_t slot_count; /* a power of two, at least twice `count`: most look-ups of a match find nothing, and end soon */
    size_t max_length; /* bytes of the longest token */
    uint32_t *by_id;   /* entries' indices by rising id; made by tuff__vocabulary_finish */
    bool first_bytes[256]; /* bytes that a token starts with */
} tuff__vocabulary;

void tuff__vocabulary_destroy(tuff__vocabulary *vocabulary);
/* Makes room for that many tokens and bytes in all; only speed depends on it. */
tuff_status tuff__vocabulary_reserve(tuff__vocabulary *vocabulary, size_t count, size_t pool_size);
/* Of equal tokens the last one's id counts. Errors: memory, or more than 4 GiB of tokens. */
tuff_status tuff__vocabulary_insert(tuff__vocabulary *vocabulary, const char *token, size_t length, int32_t id);
/* Makes tuff__vocabulary_token work. */
tuff_status tuff__vocabulary_finish(tuff__vocabulary *vocabulary);

int32_t tuff__vocabulary_find(const tuff__vocabulary *vocabulary, const char *token, size_t length); /* -1: none */
const char *tuff__vocabulary_token(const tuff__vocabulary *vocabulary, int32_t id);                  /* NULL: none */
int32_t tuff__vocabulary_max_id(const tuff__vocabulary *vocabulary);                                 /* -1: empty */

/* The longest token that `prefix` followed by the first characters of the text spells: how many characters (at least
 * one) and its id; 0 when there is none. Character i of `count` is at bytes[boundaries[i]] to bytes[boundaries[i + 1]].
 */
size_t tuff__vocabulary_match(const tuff__vocabulary *vocabulary, const char *prefix, size_t prefix_length,
                              const char *bytes, const uint32_t *boundaries, size_t count, int32_t *out_id);

#endif
