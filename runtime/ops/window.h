/*
 * window.h: binding a part of a tensor that starts anywhere. Bindings start at multiples of TUFF__ALIGNMENT; a kernel
 * gets the number of elements between the binding's start and its first element as `base`.
 */
#ifndef TUFF_RUNTIME_WINDOW_H
#define TUFF_RUNTIME_WINDOW_H

#include "../recorder.h"

#include <string.h>

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

/* Of `count` rows (or columns) of `flops` each, how many one dispatch may do on this target: at least `step` and a
 * multiple of it, unless there are fewer. */
static inline int64_t tuff__rows_per_dispatch(const tuff__target *target, int64_t count, double flops, int64_t step)
{
    if (target->max_dispatch_flops <= 0 || flops * (double)count <= target->max_dispatch_flops)
        return count;
    const int64_t rows = (int64_t)(target->max_dispatch_flops / flops) / step * step;
    return tuff__min_i64(count, tuff__max_i64(rows, step));
}

/* Invocations of a workgroup of 128 that share a row of `columns`: about four columns each, so that short rows do not
 * leave them idle. One on a CPU, where barriers cost more than they bring, unless a rung for GPUs is insisted on, as
 * tests do. A power of two. */
enum { TUFF__ROW_GROUP = 128 };
static inline uint32_t tuff__row_lanes(const tuff__target *target, int64_t columns)
{
    if (target->software && (!target->kernel_variant || !strcmp(target->kernel_variant, "t0c")))
        return 1;
    uint32_t lanes = 16;
    while (lanes < TUFF__ROW_GROUP && lanes * 4 < columns)
        lanes *= 2;
    return lanes;
}

/* For kernels that take a position apart by division: positions are 32-bit numbers. (Where all is in one order, numbers
 * that wrap still differ by what they should.) */
static inline tuff_status tuff__check_positions(const tuff_op_call *call, int64_t elements)
{
    if (elements <= (int64_t)1 << 32)
        return TUFF_SUCCESS;
    return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "%s (%s): %lld elements, wanted at most 2^32 in another order",
                      call->op->name, call->label ? call->label : "", (long long)elements);
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
