// reduce_max.glsl: the order of maxima: a NaN is the largest of all, and of equals the first counts.
#ifndef TUFF_REDUCE_MAX_GLSL
#define TUFF_REDUCE_MAX_GLSL

#include "math.glsl"

bool tuff_is_larger(float x, float best)
{
    return tuff_is_nan(x) ? !tuff_is_nan(best) : (!tuff_is_nan(best) && x > best);
}

bool tuff_is_better(float x, uint index, float best, uint best_index)
{
    return tuff_is_larger(x, best) || (!tuff_is_larger(best, x) && index < best_index);
}

#endif
