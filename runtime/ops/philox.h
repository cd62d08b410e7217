/*
 * philox.h: Philox4x32-10, the counter-based generator of Salmon et al. 2011 ("Parallel random numbers: as easy as 1,
 * 2, 3"), and how dropout uses it. shaders/include/philox.glsl is the same in GLSL. Four words depend on a counter and
 * a key alone, so every device draws equal numbers in any order, and the backward pass draws them again.
 */
#ifndef TUFF_RUNTIME_PHILOX_H
#define TUFF_RUNTIME_PHILOX_H

#include "../cpu/simd.h"

#include <math.h>

typedef struct tuff__philox_words {
    uint32_t word[4];
} tuff__philox_words;

TUFF__INLINE tuff__philox_words tuff__philox(const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        const uint64_t product0 = (uint64_t)0xD2511F53u * c0, product1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)product1;
        c2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)product0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (tuff__philox_words){{c0, c1, c2, c3}};
}

/* The four words of elements 4·block .. 4·block + 3. `block` above 2^32 spills into the counter's last word. */
TUFF__INLINE tuff__philox_words tuff__dropout_words(uint64_t block, uint32_t site, uint32_t step,
                                                    const uint32_t seed[2])
{
    const uint32_t counter[4] = {(uint32_t)block, site, step, (uint32_t)(block >> 32)};
    return tuff__philox(counter, seed);
}

/* An element is kept where its word is at least p·2³². 0 <= p < 1. */
static inline uint32_t tuff__dropout_threshold(float p)
{
    return (uint32_t)ceil((double)p * 4294967296.0);
}

static inline float tuff__dropout_scale(float p)
{
    return (float)(1.0 / (1.0 - (double)p));
}

#endif
