/*
 * vocabulary.c: owns the token table. A longest match hashes the text once, byte by byte, and looks each prefix of it
 * up on the way: near linear, where trying the longest candidate first is quadratic.
 */
#include "vocabulary.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a, which grows by a byte at a time. */
static const uint32_t hash_start = 2166136261u, hash_factor = 16777619u;

static uint32_t hash_more(uint32_t hash, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * hash_factor;
    return hash;
}

/* FNV's low bits alone are poor: tokens that differ in their last letter would sit side by side. */
static size_t home_of(const tuff__vocabulary *vocabulary, uint32_t hash)
{
    hash ^= hash >> 15;
    hash *= 0x85EBCA6Bu;
    hash ^= hash >> 13;
    return hash & (vocabulary->slot_count - 1);
}

void tuff__vocabulary_destroy(tuff__vocabulary *vocabulary)
{
    tuff__free(vocabulary->pool);
    tuff__free(vocabulary->entries);
    tuff__free(vocabulary->slots);
    tuff__free(vocabulary->by_id);
    *vocabulary = (tuff__vocabulary){0};
}

static void place(tuff__vocabulary *vocabulary, uint32_t hash, uint32_t entry)
{
    size_t at = home_of(vocabulary, hash);
    while (vocabulary->slots[at].entry != 0)
        at = (at + 1) & (vocabulary->slot_count - 1);
    vocabulary->slots[at] = (tuff__vocabulary_slot){.hash = hash, .entry = entry + 1};
}

static tuff_status grow_slots(tuff__vocabulary *vocabulary, size_t count)
{
    size_t slot_count = vocabulary->slot_count ? vocabulary->slot_count : 16;
    while (slot_count / 2 < count)
        slot_count *= 2;
    if (slot_count == vocabulary->slot_count)
        return TUFF_SUCCESS;
    tuff__vocabulary_slot *old = vocabulary->slots;
    const size_t old_count = vocabulary->slot_count;
    tuff__vocabulary_slot *slots = tuff__calloc(slot_count, sizeof *slots);
    if (!slots)
        return tuff__fail_memory("vocabulary", slot_count * sizeof *slots);
    vocabulary->slots = slots;
    vocabulary->slot_count = slot_count;
    for (size_t i = 0; i < old_count; i++)
        if (old[i].entry != 0)
            place(vocabulary, old[i].hash, old[i].entry - 1);
    tuff__free(old);
    return TUFF_SUCCESS;
}

tuff_status tuff__vocabulary_reserve(tuff__vocabulary *vocabulary, size_t count, size_t pool_size)
{
    if (count > UINT32_MAX / 2 || pool_size > UINT32_MAX)
        return tuff__fail(TUFF_ERROR_INVALID_FILE,
                          "vocabulary: %zu tokens of %zu bytes in all, at most 4 GiB are supported", count, pool_size);
    TUFF_TRY(grow_slots(vocabulary, count));
    if (count > 0)
        TUFF_TRY(tuff__grow((void **)&vocabulary->entries, &vocabulary->entry_capacity, count - 1,
                            sizeof *vocabulary->entries, "vocabulary"));
    return tuff__grow((void **)&vocabulary->pool, &vocabulary->pool_capacity, pool_size, 1, "vocabulary");
}

static bool spells(const tuff__vocabulary *vocabulary, const tuff__vocabulary_entry *entry, const char *prefix,
                   size_t prefix_length, const char *rest, size_t rest_length)
{
    if (entry->length != prefix_length + rest_length)
        return false;
    const char *token = vocabulary->pool + entry->offset;
    if (rest_length != 0 && memcmp(token + prefix_length, rest, rest_length) != 0)
        return false;
    return prefix_length == 0 || memcmp(token, prefix, prefix_length) == 0;
}

/* The entry that `prefix` and `rest` spell together; NULL when there is none. */
static tuff__vocabulary_entry *entry_of(const tuff__vocabulary *vocabulary, uint32_t hash, const char *prefix,
                                        size_t prefix_length, const char *rest, size_t rest_length)
{
    if (vocabulary->slot_count == 0)
        return NULL;
    for (size_t at = home_of(vocabulary, hash);; at = (at + 1) & (vocabulary->slot_count - 1)) {
        const tuff__vocabulary_slot slot = vocabulary->slots[at];
        if (slot.entry == 0)
            return NULL;
        tuff__vocabulary_entry *entry = &vocabulary->entries[slot.entry - 1];
        if (slot.hash == hash && spells(vocabulary, entry, prefix, prefix_length, rest, rest_length))
            return entry;
    }
}

tuff_status tuff__vocabulary_insert(tuff__vocabulary *vocabulary, const char *token, size_t length, int32_t id)
{
    const uint32_t hash = hash_more(hash_start, token, length);
    tuff__vocabulary_entry *known = entry_of(vocabulary, hash, NULL, 0, token, length);
    if (known) {
        known->id = id;
        return TUFF_SUCCESS;
    }
    TUFF_TRY(tuff__vocabulary_reserve(vocabulary, vocabulary->count + 1, vocabulary->pool_size + length + 1));
    if (length != 0)
        memcpy(vocabulary->pool + vocabulary->pool_size, token, length);
    vocabulary->pool[vocabulary->pool_size + length] = '\0';
    vocabulary->entries[vocabulary->count] = (tuff__vocabulary_entry){
        .offset = (uint32_t)vocabulary->pool_size,
        .length = (uint32_t)length,
        .id = id,
    };
    place(vocabulary, hash, (uint32_t)vocabulary->count);
    vocabulary->pool_size += length + 1;
    vocabulary->count++;
    if (length > vocabulary->max_length)
        vocabulary->max_length = length;
    if (length != 0)
        vocabulary->first_bytes[(unsigned char)token[0]] = true;
    return TUFF_SUCCESS;
}

typedef struct id_order {
    int32_t id;
    uint32_t entry;
} id_order;

static int compare_ids(const void *left, const void *right)
{
    const id_order *a = left, *b = right;
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return a->entry < b->entry ? -1 : a->entry > b->entry;
}

tuff_status tuff__vocabulary_finish(tuff__vocabulary *vocabulary)
{
    const size_t count = vocabulary->count;
    tuff__free(vocabulary->by_id);
    vocabulary->by_id = tuff__malloc(count * sizeof *vocabulary->by_id);
    id_order *order = tuff__malloc(count * sizeof *order);
    if (!vocabulary->by_id || !order) {
        tuff__free(order);
        return tuff__fail_memory("vocabulary", count * sizeof *order);
    }
    bool sorted = true; /* as files have it, nearly always */
    for (size_t i = 0; i < count; i++) {
        order[i] = (id_order){.id = vocabulary->entries[i].id, .entry = (uint32_t)i};
        sorted = sorted && (i == 0 || order[i - 1].id <= order[i].id);
    }
    if (!sorted)
        qsort(order, count, sizeof *order, compare_ids);
    for (size_t i = 0; i < count; i++)
        vocabulary->by_id[i] = order[i].entry;
    tuff__free(order);
    return TUFF_SUCCESS;
}

int32_t tuff__vocabulary_find(const tuff__vocabulary *vocabulary, const char *token, size_t length)
{
    const uint32_t hash = hash_more(hash_start, token, length);
    const tuff__vocabulary_entry *entry = entry_of(vocabulary, hash, NULL, 0, token, length);
    return entry ? entry->id : -1;
}

const char *tuff__vocabulary_token(const tuff__vocabulary *vocabulary, int32_t id)
{
    size_t low = 0, high = vocabulary->by_id ? vocabulary->count : 0;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (vocabulary->entries[vocabulary->by_id[middle]].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low >= vocabulary->count || !vocabulary->by_id)
        return NULL;
    const tuff__vocabulary_entry *entry = &vocabulary->entries[vocabulary->by_id[low]];
    return entry->id == id ? vocabulary->pool + entry->offset : NULL;
}

int32_t tuff__vocabulary_max_id(const tuff__vocabulary *vocabulary)
{
    int32_t largest = -1;
    for (size_t i = 0; i < vocabulary->count; i++)
        if (vocabulary->entries[i].id > largest)
            largest = vocabulary->entries[i].id;
    return largest;
}

size_t tuff__vocabulary_match(const tuff__vocabulary *vocabulary, const char *prefix, size_t prefix_length,
                              const char *bytes, const uint32_t *boundaries, size_t count, int32_t *out_id)
{
    uint32_t hash = hash_more(hash_start, prefix, prefix_length);
    size_t longest = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t length = boundaries[i + 1] - boundaries[0];
        if (prefix_length + length > vocabulary->max_length)
            break;
        hash = hash_more(hash, bytes + boundaries[i], boundaries[i + 1] - boundaries[i]);
        const tuff__vocabulary_entry *entry =
            entry_of(vocabulary, hash, prefix, prefix_length, bytes + boundaries[0], length);
        if (entry) {
            longest = i + 1;
            *out_id = entry->id;
        }
    }
    return longest;
}
