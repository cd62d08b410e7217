/* check.h: what the tests share: seeded numbers, the device under test, reports. */
#ifndef TUFF_TESTS_CHECK_H
#define TUFF_TESTS_CHECK_H

#include "tuff/graph.h"

#if defined(__has_feature)
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
#define SANITIZED 1 /* whose shadow needs terabytes of addresses */
#else
#define SANITIZED 0
#endif

enum { TUFF__SKIPPED = 77 }; /* exit code that CTest shows as "skipped" */

/* SplitMix64 (Steele et al. 2014): the same numbers everywhere. */
static inline uint64_t tuff__check_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/* Uniform in (0, 1). */
static inline double tuff__check_uniform(uint64_t *state)
{
    return ((double)(tuff__check_random(state) >> 11) + 0.5) * 0x1p-53;
}

/* Nearly normal with deviation 1: the sum of twelve uniforms. */
static inline double tuff__check_normal(uint64_t *state)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += tuff__check_uniform(state);
    return sum;
}

#endif
