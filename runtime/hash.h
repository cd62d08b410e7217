/* hash.h: FNV-1a of 64 bits, for checksums and names of cache files: it meets damage, not malice. */
#ifndef TUFF_RUNTIME_HASH_H
#define TUFF_RUNTIME_HASH_H

#include <stddef.h>
#include <stdint.h>

static const uint64_t TUFF__HASH_START = UINT64_C(0xCBF29CE484222325);

/* `hash` and then these bytes; begin with TUFF__HASH_START. */
static inline uint64_t tuff__hash(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001B3);
    return hash;
}

#endif
