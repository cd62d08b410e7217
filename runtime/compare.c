/* compare.c: owns the rule by which a result is right. */
#include "compare.h"

#include "alloc.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static double element(const tuff__operand *like, const void *data, uint64_t i)
{
    switch (like->dtype) {
    case TUFF_F16:
        return (double)tuff__f16_to_f32(((const uint16_t *)data)[i]);
    case TUFF_BF16:
        return (double)tuff__bf16_to_f32(((const uint16_t *)data)[i]);
    case TUFF_I32:
        return (double)((const int32_t *)data)[i];
    default:
        return (double)((const float *)data)[i];
    }
}

static void judge(tuff__comparison *c, uint64_t i, double want, double got, double allowed)
{
    c->got_nan += isnan(got) != 0;
    c->want_nan += isnan(want) != 0;
    c->got_inf += isinf(got) != 0;
    c->want_inf += isinf(want) != 0;
    /* Written so that a NaN anywhere fails: every comparison with it is false. */
    const double error = got == want ? 0 : fabs(got - want);
    /* Where infinity is wanted, or among the inputs, `allowed` is infinite or no number, and only equality counts. */
    const bool right = got == want || (isfinite(allowed) && error <= allowed);
    double ratio = error == 0 ? 0 : error / allowed;
    if (isnan(ratio) || (!right && ratio <= 1))
        ratio = INFINITY;
    if (isfinite(error) && error > c->max_abs_error)
        c->max_abs_error = error;
    c->bad += !right;
    if (c->count == 0 || ratio > c->ratio) {
        c->worst = i;
        c->got = got;
        c->want = want;
        c->allowed = allowed;
        c->ratio = ratio;
    }
    c->count++;
}

static double default_magnitude(const tuff__operand *want)
{
    const uint64_t count = (uint64_t)tuff_shape_count(&want->shape);
    double largest = 0;
    for (uint64_t i = 0; i < count; i++) {
        const double value = fabs(element(want, want->data, i));
        if (isfinite(value) && value > largest)
            largest = value;
    }
    return largest;
}

/* A device may flush to zero what is below 2^-126, so no bound is smaller than a few of those. */
static double allowed_error(double allowance, double want, double magnitude)
{
    return allowance * 0x1p-23 * (fabs(want) + (magnitude > 0x1p-100 ? magnitude : 0x1p-100));
}

static tuff_status compare_within(const tuff_op_call *call, uint32_t output, const void *got, tuff__comparison *c)
{
    const tuff__operand *want = &call->outputs[output];
    const uint64_t count = (uint64_t)tuff_shape_count(&want->shape);
    const double largest = default_magnitude(want);
    float *magnitude = NULL;
    if (call->op->magnitude) {
        magnitude = tuff__malloc(count * sizeof *magnitude);
        if (!magnitude)
            return tuff__fail_memory("verify", count * sizeof *magnitude);
        call->op->magnitude(call, output, magnitude);
    }
    for (uint64_t i = 0; i < count; i++) {
        const double expected = element(want, want->data, i);
        const double size = magnitude ? (double)magnitude[i] : largest;
        judge(c, i, expected, element(want, got, i), allowed_error((double)call->op->allowance, expected, size));
    }
    tuff__free(magnitude);
    return TUFF_SUCCESS;
}

/* -- equal bits --------------------------------------------------------------------------------------------------- */

static float flush(float value)
{
    return fabsf(value) < 0x1p-126F ? 0 : value;
}

/* The reference's result where subnormal inputs are taken as zero; free it. */
static tuff_status compute_flushed(const tuff_op_call *call, float **out_result)
{
    assert(call->output_count == 1);
    tuff_op_call flushed = *call;
    uint64_t total = (uint64_t)tuff_shape_count(&call->outputs[0].shape);
    for (uint32_t i = 0; i < call->input_count; i++)
        total += (uint64_t)tuff_shape_count(&call->inputs[i].shape);
    *out_result = tuff__malloc(total * sizeof **out_result);
    if (!*out_result)
        return tuff__fail_memory("verify", total * sizeof **out_result);
    float *next = *out_result + tuff_shape_count(&call->outputs[0].shape);
    for (uint32_t i = 0; i < call->input_count; i++) {
        const float *input = call->inputs[i].data;
        if (!input || call->inputs[i].dtype != TUFF_F32)
            continue;
        flushed.inputs[i].data = next;
        for (int64_t k = 0; k < tuff_shape_count(&call->inputs[i].shape); k++)
            *next++ = flush(input[k]);
    }
    flushed.outputs[0].data = *out_result;
    call->op->compute(&flushed);
    return TUFF_SUCCESS;
}

/* Of arithmetic the bits may also be those of a device that flushes subnormal arguments, results, or both to zero. */
static tuff_status compare_bits(const tuff_op_call *call, uint32_t output, const void *got, tuff__comparison *c)
{
    const tuff__operand *want = &call->outputs[output];
    const uint64_t count = (uint64_t)tuff_shape_count(&want->shape);
    const bool may_flush = want->dtype == TUFF_F32 && !call->op->in_order;
    float *flushed = NULL;
    for (uint64_t i = 0; i < count; i++) {
        const double value = element(want, got, i);
        double expected = element(want, want->data, i);
        if (value != expected && may_flush) {
            if (!flushed)
                TUFF_TRY(compute_flushed(call, &flushed));
            if (value == (double)flush((float)expected) || value == (double)flushed[i] ||
                value == (double)flush(flushed[i]))
                expected = value;
        }
        judge(c, i, expected, value, 0);
    }
    tuff__free(flushed);
    return TUFF_SUCCESS;
}

tuff_status tuff__compare_output(const tuff_op_call *call, uint32_t output, const void *got,
                                 tuff__comparison *out_comparison)
{
    const bool bits = call->op->allowance == 0 || call->outputs[output].dtype == TUFF_I32;
    *out_comparison = (tuff__comparison){0};
    return bits ? compare_bits(call, output, got, out_comparison) : compare_within(call, output, got, out_comparison);
}

/* -- results of no operator --------------------------------------------------------------------------------------- */

void tuff__compare_arrays(const float *want, const float *got, uint64_t count, double allowance, double magnitude,
                          tuff__comparison *out_comparison)
{
    *out_comparison = (tuff__comparison){0};
    for (uint64_t i = 0; i < count; i++)
        judge(out_comparison, i, (double)want[i], (double)got[i],
              allowance * 0x1p-23 * (fabs((double)want[i]) + magnitude));
}

void tuff__comparison_text(const tuff__comparison *comparison, const tuff_shape *shape, char text[256])
{
    int64_t index[TUFF_MAX_RANK] = {0};
    uint64_t rest = comparison->worst;
    for (uint32_t i = shape->rank; i-- > 0;) {
        index[i] = (int64_t)(rest % (uint64_t)shape->dims[i]);
        rest /= (uint64_t)shape->dims[i];
    }
    char where[TUFF__SHAPE_TEXT];
    tuff_shape position = {.rank = shape->rank};
    memcpy(position.dims, index, sizeof index);
    snprintf(text, 256, "%llu of %llu out of tolerance, worst at %s: got %.9g, want %.9g, allowed %.2g",
             (unsigned long long)comparison->bad, (unsigned long long)comparison->count,
             tuff__shape_text(&position, where), comparison->got, comparison->want, comparison->allowed);
}
