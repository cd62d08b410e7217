/*
 * compare.h: one operator call on the host by the reference, and the judgement of another device's result against it,
 * element by element. Both the tests and `tuff verify` judge by this one rule (docs/numerics.md).
 */
#ifndef TUFF_RUNTIME_COMPARE_H
#define TUFF_RUNTIME_COMPARE_H

#include "op.h"

typedef struct tuff__comparison {
    uint64_t count, bad;       /* elements; those out of their allowance */
    uint64_t worst;            /* index of the element with the largest error in units of its allowance */
    double got, want, allowed; /* of that element */
    double ratio;              /* its error over its allowance; infinite for NaN and for allowance 0 */
    double max_abs_error;      /* over all finite elements */
    uint64_t got_nan, want_nan, got_inf, want_inf;
} tuff__comparison;

/* Holds `got` against call->outputs[output].data, which the reference computed from call->inputs' data. Element i is
 * right when |got - want| <= op->allowance·2^-23·(|want| + magnitude[i]), or both are the same infinity; NaN is never
 * right. A magnitude is at least 2^-100, so that flushing to zero is right; with allowance 0 it is right where the
 * operator computes (is not in_order). Errors: memory. */
tuff_status tuff__compare_output(const tuff_op_call *call, uint32_t output, const void *got,
                                 tuff__comparison *out_comparison);

/* The same rule with a given magnitude, for results that are no single operator's. */
void tuff__compare_arrays(const float *want, const float *got, uint64_t count, double allowance, double magnitude,
                          tuff__comparison *out_comparison);

/* "3 of 2570 out of tolerance, worst at [1, 4, 256]: got 0, want 1.18, allowed 1.3e-06" into text. */
void tuff__comparison_text(const tuff__comparison *comparison, const tuff_shape *shape, char text[256]);

#endif
