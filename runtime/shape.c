/* shape.c: owns arithmetic on shapes. */
#include "shape.h"

#include <stdio.h>

bool tuff__shape_equal(const tuff_shape *a, const tuff_shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (uint32_t i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i])
            return false;
    return true;
}

const char *tuff__shape_text(const tuff_shape *shape, char text[TUFF__SHAPE_TEXT])
{
    int used = snprintf(text, TUFF__SHAPE_TEXT, "[");
    for (uint32_t i = 0; i < shape->rank && i < TUFF_MAX_RANK; i++)
        used +=
            snprintf(text + used, (size_t)(TUFF__SHAPE_TEXT - used), i ? ", %lld" : "%lld", (long long)shape->dims[i]);
    snprintf(text + used, (size_t)(TUFF__SHAPE_TEXT - used), "]");
    return text;
}

int64_t tuff__shape_product(const tuff_shape *shape, uint32_t first, uint32_t last)
{
    int64_t product = 1;
    for (uint32_t i = first; i < last; i++)
        product *= shape->dims[i];
    return product;
}

int64_t tuff_shape_count(const tuff_shape *shape)
{
    return tuff__shape_product(shape, 0, shape->rank);
}

int64_t tuff__shape_columns(const tuff_shape *shape)
{
    return shape->rank ? shape->dims[shape->rank - 1] : 1;
}

int64_t tuff__shape_rows(const tuff_shape *shape)
{
    return shape->rank ? tuff__shape_product(shape, 0, shape->rank - 1) : 1;
}

bool tuff__shape_valid(const tuff_shape *shape)
{
    const int64_t limit = (int64_t)1 << 40;
    int64_t count = 1;
    if (shape->rank > TUFF_MAX_RANK)
        return false;
    for (uint32_t i = 0; i < shape->rank; i++) {
        if (shape->dims[i] < 1 || shape->dims[i] > limit / count)
            return false;
        count *= shape->dims[i];
    }
    return true;
}
