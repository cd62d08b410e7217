/*
 * box.h: walking a box of up to 4 dimensions whose elements lie somewhere in a flat tensor: broadcasting, transposing,
 * slicing and concatenating are such walks.
 */
#ifndef TUFF_RUNTIME_BOX_H
#define TUFF_RUNTIME_BOX_H

#include "../shape.h"

/* Element (i0, i1, i2, i3) of the box lies at offset + Σ i_d·strides[d] of the tensor. */
typedef struct tuff__box {
    int64_t dims[4]; /* leading 1s fill up */
    int64_t strides[4];
    int64_t offset;
} tuff__box;

/* The box of a whole tensor, in its own order. */
static inline tuff__box tuff__box_of(const tuff_shape *shape)
{
    tuff__box box = {.dims = {1, 1, 1, 1}};
    int64_t stride = 1;
    for (uint32_t d = 4; d-- > 0;) {
        const uint32_t lead = 4 - shape->rank;
        box.dims[d] = d >= lead ? shape->dims[d - lead] : 1;
        box.strides[d] = stride;
        stride *= box.dims[d];
    }
    return box;
}

static inline int64_t tuff__box_count(const tuff__box *box)
{
    return box->dims[0] * box->dims[1] * box->dims[2] * box->dims[3];
}

/* Whether the box's elements lie one after the other, from its offset on. */
static inline bool tuff__box_is_flat(const tuff__box *box)
{
    int64_t stride = 1;
    for (uint32_t d = 4; d-- > 0;) {
        if (box->dims[d] != 1 && box->strides[d] != stride)
            return false;
        stride *= box->dims[d];
    }
    return true;
}

/* Where element `index` of the box, counted in row-major order, lies. */
static inline int64_t tuff__box_at(const tuff__box *box, int64_t index)
{
    int64_t at = box->offset;
    for (uint32_t d = 4; d-- > 0;) {
        at += index % box->dims[d] * box->strides[d];
        index /= box->dims[d];
    }
    return at;
}

/* A range [*out_low, *out_high] that holds the places of the box's elements [first, first + count). */
static inline void tuff__box_range(const tuff__box *box, int64_t first, int64_t count, int64_t *out_low,
                                   int64_t *out_high)
{
    int64_t begin[4], end[4], low = first, high = first + count - 1;
    for (uint32_t d = 4; d-- > 0;) {
        begin[d] = low % box->dims[d];
        end[d] = high % box->dims[d];
        low /= box->dims[d];
        high /= box->dims[d];
    }
    *out_low = *out_high = box->offset;
    bool same = true; /* while both ends agree in all slower dimensions, the coordinate cannot wrap */
    for (uint32_t d = 0; d < 4; d++) {
        *out_low += (same ? begin[d] : 0) * box->strides[d];
        *out_high += (same ? end[d] : box->dims[d] - 1) * box->strides[d];
        same = same && begin[d] == end[d];
    }
}

#endif
