/* test_compare.c: the rule by which the tests and `tuff verify` judge a result (docs/numerics.md), by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "check.h"
#include "compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One element, allowance 8 units, magnitude 1. */
static bool is_right(float want, float got)
{
    tuff__comparison comparison;
    tuff__compare_arrays(&want, &got, 1, 8, 1, &comparison);
    assert_int_equal(comparison.count, 1);
    assert_true(comparison.bad == 1 ? !(comparison.ratio <= 1) : comparison.ratio <= 1);
    return comparison.bad == 0;
}

static void test_rule(void **state)
{
    (void)state;
    const float unit = 0x1p-23F;
    assert_true(is_right(0, 0));
    assert_true(is_right(0, 8 * unit));
    assert_false(is_right(0, 9 * unit));
    assert_true(is_right(-1, -1 + 16 * unit));
    assert_false(is_right(-1, -1 + 17 * unit));
    assert_false(is_right(NAN, NAN));
    assert_false(is_right(1, NAN));
    assert_false(is_right(NAN, 1));
    assert_true(is_right(INFINITY, INFINITY));
    assert_true(is_right(-INFINITY, -INFINITY));
    assert_false(is_right(INFINITY, -INFINITY));
    assert_false(is_right(INFINITY, 3e38F));
    assert_false(is_right(1, INFINITY));
}

/* With allowance 0 the bits count; NaN and infinity are counted on both sides. */
static void test_exact(void **state)
{
    (void)state;
    const float want[] = {1, NAN, INFINITY, 2}, got[] = {1, 1, INFINITY, 2 + 0x1p-22F};
    tuff__comparison c;
    tuff__compare_arrays(want, got, 4, 0, 0, &c);
    assert_int_equal(c.bad, 2);
    assert_int_equal(c.want_nan, 1);
    assert_int_equal(c.got_nan, 0);
    assert_int_equal(c.want_inf, 1);
    assert_int_equal(c.got_inf, 1);
    assert_true(isinf(c.ratio));
    assert_int_equal(c.worst, 1);
}

/* What one operator makes of one element of each input, a device gives as `got`. */
static bool is_right_of(const tuff_op_desc *op, float a, float b, float got)
{
    float want = 0;
    tuff__comparison c;
    const tuff_shape one = TUFF_SHAPE(1);
    tuff_op_call call = {.op = op, .input_count = op->input_count, .output_count = 1};
    call.inputs[0] = (tuff__operand){.dtype = TUFF_F32, .shape = one, .data = &a, .present = true};
    call.inputs[1] = (tuff__operand){.dtype = TUFF_F32, .shape = one, .data = &b, .present = true};
    call.outputs[0] = (tuff__operand){.dtype = TUFF_F32, .shape = one, .data = &want, .present = true};
    op->compute(&call);
    assert_int_equal(tuff__compare_output(&call, 0, &got, &c), TUFF_SUCCESS);
    return c.bad == 0;
}

/* Subnormal arguments and results of arithmetic may be flushed to zero: those, and nothing besides. */
static void test_flushed(void **state)
{
    (void)state;
    const float least = 0x1p-126F, subnormal = 0x1p-127F; /* the least normal number, and half of it */
    assert_true(is_right_of(&tuff__op_add, 3 * subnormal, -least, subnormal));
    assert_true(is_right_of(&tuff__op_add, 3 * subnormal, -least, 0));
    assert_true(is_right_of(&tuff__op_add, 3 * subnormal, -least, -0.0F));
    assert_false(is_right_of(&tuff__op_add, 3 * subnormal, -least, -subnormal));
    assert_false(is_right_of(&tuff__op_add, 3 * subnormal, -least, subnormal / 2));
    assert_false(is_right_of(&tuff__op_add, 3 * subnormal, -least, least));
    assert_false(is_right_of(&tuff__op_add, least, 0, 0)); /* a normal result */
    assert_false(is_right_of(&tuff__op_add, -least, 0, least));
    assert_true(is_right_of(&tuff__op_add, 2 * least, subnormal, 2 * least)); /* of a flushed argument */
    assert_false(is_right_of(&tuff__op_add, 2 * least, subnormal, subnormal));
    assert_false(is_right_of(&tuff__op_add, 2 * least, subnormal, 0));
    assert_true(is_right_of(&tuff__op_mul, subnormal, 0x1p20F, 0));
    assert_false(is_right_of(&tuff__op_mul, subnormal, 0x1p20F, -0x1p-107F));
    assert_false(is_right_of(&tuff__op_mul, 0x1p-107F, 1, 0));
    assert_false(is_right_of(&tuff__op_mul, subnormal, NAN, 0));
    assert_true(is_right_of(&tuff__op_relu_backward, subnormal, 1, 0)); /* is x above zero? */
    assert_false(is_right_of(&tuff__op_relu_backward, least, 1, 0));
    assert_true(is_right_of(&tuff__op_cast, subnormal, 0, subnormal)); /* no arithmetic */
    assert_false(is_right_of(&tuff__op_cast, subnormal, 0, 0));
}

/* Normalised mean squared error would call this 1e-9. */
static void test_one_in_a_million(void **state)
{
    (void)state;
    enum { COUNT = 1000000, BAD = 765432 };
    float *want = malloc(COUNT * sizeof(float)), *got = malloc(COUNT * sizeof(float));
    uint64_t random = 1;
    for (size_t i = 0; i < COUNT; i++)
        want[i] = got[i] = (float)tuff__check_normal(&random);
    got[BAD] *= 1.001F;
    tuff__comparison c;
    char text[256];
    tuff__compare_arrays(want, got, COUNT, 8, 4, &c);
    assert_int_equal(c.count, COUNT);
    assert_int_equal(c.bad, 1);
    assert_int_equal(c.worst, BAD);
    assert_true(c.got == (double)got[BAD] && c.want == (double)want[BAD]);
    const tuff_shape shape = TUFF_SHAPE(100, 10000);
    tuff__comparison_text(&c, &shape, text);
    assert_non_null(strstr(text, "1 of 1000000 out of tolerance, worst at [76, 5432]: got "));
    free(want);
    free(got);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rule),
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_flushed),
        cmocka_unit_test(test_one_in_a_million),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
