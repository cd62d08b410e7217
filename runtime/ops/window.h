/*
 * window.h: binding a part of a tensor that starts anywhere. Bindings start at multiples of TUFF__ALIGNMENT; a kernel gets
 * the number of elements between the binding's start and its first element as `base`.
 */
#ifndef TUFF_RUNTIME_WINDOW_H
#define TUFF_RUNTIME_WINDOW_H

#include "../recorder.h"

/* 32-bit elements that one binding surely spans, wherever it starts. */
static inline int64_t tuff__window_limit(const tuff__target *target)
{
    return (int64_t)((target->max_storage_buffer_range - (TUFF__ALIGNMENT - 4)) / 4);
}

/* Binds 32-bit elements [first, first + count) of `slice`. */
static inline tuff__slice tuff__window(tuff__slice slice, int64_t first, int64_t count, uint32_t *out_base)
{
    const uint64_t begin = (uint64_t)first * 4, aligned = begin / TUFF__ALIGNMENT * TUFF__ALIGNMENT;
    *out_base = (uint32_t)((begin - aligned) / 4);
    return tuff__slice_part(slice, aligned, begin - aligned + (uint64_t)count * 4);
}

static inline int64_t tuff__min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t tuff__max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* For a record function that one row of a tensor makes impossible. */
static inline tuff_status tuff__fail_window(const tuff_op_call *call, const char *what, int64_t elements)
{
    return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT,
                      "%s (%s): %s of %lld elements exceeds this device's storage buffer range of %llu bytes",
                      call->op->name, call->label ? call->label : "", what, (long long)elements,
                      (unsigned long long)call->target->max_storage_buffer_range);
}

#endif
