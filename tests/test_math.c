/*
 * test_math.c: the functions of cpu/simd.h, and of shaders/include/math.glsl on the first Vulkan device, against libm
 * in double, over all exponents and both signs: the errors stated there are asserted here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../shaders/math_check.h"
#include "alloc.h"
#include "check_device.h"
#include "cpu/simd.h"
#include "recorder.h"

#include <stdio.h>
#include <string.h>

enum { STRIDE = 3001 }; /* bits between two arguments: 1.4 million of them, each exponent many times */

static double normal_cdf(double x)
{
    return 0.5 * erfc(-x * 0.70710678118654752440);
}

static double exact_sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

static double exact_gelu_gradient(double x)
{
    return normal_cdf(x) + x * 0.39894228040143267794 * exp(-0.5 * x * x);
}

static double tanh_argument(double x)
{
    return 1.59576912160573071176 * (x + 0.044715 * x * x * x);
}

static double exact_gelu(double x)
{
    return x * normal_cdf(x);
}

static double exact_gelu_tanh(double x)
{
    return x * exact_sigmoid(tanh_argument(x));
}

static double exact_gelu_tanh_gradient(double x)
{
    const double s = exact_sigmoid(tanh_argument(x)), flat = s * (1.0 - s);
    return flat == 0.0 ? s : s + x * flat * 1.59576912160573071176 * (1.0 + 3.0 * 0.044715 * x * x);
}

static double exact_silu(double x)
{
    return x * exact_sigmoid(x);
}

static double exact_silu_gradient(double x)
{
    const double s = exact_sigmoid(x), flat = s * (1.0 - s);
    return flat == 0.0 ? s : s + x * flat;
}

static double exact_rsqrt(double x)
{
    return 1.0 / sqrt(x);
}

/* A numerator of any digits, either sign and an exponent within 2^±16 for each denominator; math_check.comp has the
 * same. */
static float numerator_of(float x)
{
    const uint32_t hash = tuff__bits_of(x) * 2654435761U;
    return tuff__float_of((hash & 0x807FFFFFU) | (111U + (hash >> 23 & 31U)) << 23);
}

static double exact_quotient(double x)
{
    return (double)numerator_of((float)x) / x;
}

static float simd_sqrt(float x)
{
    return sqrtf(x);
}

static float simd_rsqrt(float x)
{
    return 1.0F / sqrtf(x);
}

static float simd_quotient(float x)
{
    return numerator_of(x) / x;
}

/* One function: an error within `ulp` units in the last place, or within `absolute`·2^-24, is allowed. */
typedef struct math_function {
    const char *name;
    double (*exact)(double);
    float (*simd)(float);
    float low, high; /* arguments */
    double ulp, absolute;
    bool divides; /* with the device's division, of 2.5 ulp instead of 0.5 at worst */
} math_function;

#define SIMD(function)                                                                                                 \
    static float simd_##function(float x)                                                                              \
    {                                                                                                                  \
        return tuff__##function(x);                                                                                    \
    }
SIMD(expf)
SIMD(logf)
SIMD(tanhf)
SIMD(erff)
SIMD(sigmoidf)
SIMD(geluf)
SIMD(gelu_gradient)
SIMD(gelu_tanhf)
SIMD(gelu_tanh_gradient)
SIMD(siluf)
SIMD(silu_gradient)

/* In the order of shaders/math_check.h. Where results become subnormal, arguments end. */
static const math_function functions[TUFF_MATH_COUNT] = {
    {"exp", exp, simd_expf, -87.0F, 88.7F, 2, 0, false},
    {"log", log, simd_logf, 0x1p-126F, 3.4e38F, 2, 0, false},
    {"tanh", tanh, simd_tanhf, -3e38F, 3e38F, 3, 0, true},
    {"erf", erf, simd_erff, -3e38F, 3e38F, 3, 0, true},
    {"sigmoid", exact_sigmoid, simd_sigmoidf, -87.0F, 3e38F, 3, 0, true},
    {"sqrt", sqrt, simd_sqrt, 0x1p-95F, 3.4e38F, 0.51, 0, false},
    {"rsqrt", exact_rsqrt, simd_rsqrt, 0x1p-95F, 3.4e38F, 1.5, 0, false},
    {"divide", exact_quotient, simd_quotient, 0x1p-80F, 0x1p80F, 0.51, 0, false},
    {"gelu", exact_gelu, simd_geluf, -12.9F, 3e38F, 7, 0, true},
    {"gelu_gradient", exact_gelu_gradient, simd_gelu_gradient, -1e18F, 1e18F, 0, 4, true},
    {"gelu_tanh", exact_gelu_tanh, simd_gelu_tanhf, -1e12F, 1e12F, 3, 10, true},
    {"gelu_tanh_gradient", exact_gelu_tanh_gradient, simd_gelu_tanh_gradient, -1e18F, 1e18F, 0, 6, true},
    {"silu", exact_silu, simd_siluf, -85.0F, 3e38F, 4, 0, true},
    {"silu_gradient", exact_silu_gradient, simd_silu_gradient, -1e18F, 1e18F, 0, 4, true},
};

static double unit_of(double want)
{
    int exponent;
    if (fabs(want) < 0x1p-126)
        return 0x1p-149;
    (void)frexp((double)(float)want, &exponent);
    return ldexp(1.0, exponent - 24);
}

typedef struct worst_error {
    double share, ulp, absolute; /* of what is allowed; of the worst element */
    float x, got;
    size_t count;
} worst_error;

static void judge(const math_function *f, float x, float got, double slack, worst_error *worst)
{
    const double want = f->exact((double)x), unit = unit_of(want), error = fabs((double)got - want);
    /* Results that a device may flush to zero are not judged. */
    if (fabs(want) < 0x1p-126 || fabs(want) > 3.4e38)
        return;
    const double allowed = fmax((f->ulp + slack) * unit, f->absolute == 0 ? 0 : (f->absolute + 2 * slack) * 0x1p-24);
    const double share = error <= allowed ? error / allowed : isnan(error) ? INFINITY : error / allowed;
    worst->count++;
    if (share > worst->share)
        *worst = (worst_error){share, error / unit, error, x, got, worst->count};
}

static void print_worst(const char *where, const math_function *f, const worst_error *worst)
{
    printf("%-9s %-18s %7zu arguments: worst %.3f ulp, %.3g absolute, %.2f of what is allowed, at %.9g\n", where,
           f->name, worst->count, worst->ulp, worst->absolute, worst->share, (double)worst->x);
}

static bool takes(const math_function *f, float x)
{
    /* No subnormal arguments: devices may flush them. */
    return x >= f->low && x <= f->high && (x == 0.0F || fabsf(x) >= 0x1p-126F);
}

static void test_simd(void **state)
{
    (void)state;
    for (size_t k = 0; k < TUFF_MATH_COUNT; k++) {
        worst_error worst = {0};
        for (uint64_t bits = 0; bits <= UINT32_MAX; bits += STRIDE) {
            const float x = tuff__float_of((uint32_t)bits);
            if (takes(&functions[k], x))
                judge(&functions[k], x, functions[k].simd(x), 0, &worst);
        }
        print_worst("simd.h", &functions[k], &worst);
        assert_true(worst.share <= 1.0);
    }
}

static void test_simd_special(void **state)
{
    (void)state;
    assert_true(tuff__expf(0.0F) == 1.0F && tuff__expf(INFINITY) == INFINITY && tuff__expf(-INFINITY) == 0.0F);
    assert_true(tuff__expf(100.0F) == INFINITY && tuff__expf(-200.0F) == 0.0F && isnan(tuff__expf(NAN)));
    assert_true(tuff__expf(-100.0F) > 0.0F); /* subnormal */
    assert_true(tuff__logf(1.0F) == 0.0F && tuff__logf(0.0F) == -INFINITY && tuff__logf(INFINITY) == INFINITY);
    assert_true(isnan(tuff__logf(-1.0F)) && isnan(tuff__logf(-INFINITY)) && isnan(tuff__logf(NAN)));
    assert_true(fabs((double)tuff__logf(0x1p-149F) - log(0x1p-149)) < 1e-5);
    assert_true(tuff__tanhf(INFINITY) == 1.0F && tuff__tanhf(-INFINITY) == -1.0F && isnan(tuff__tanhf(NAN)));
    assert_true(tuff__erff(INFINITY) == 1.0F && tuff__erff(-INFINITY) == -1.0F && isnan(tuff__erff(NAN)));
    assert_true(tuff__geluf(INFINITY) == INFINITY && tuff__geluf(0.0F) == 0.0F && isnan(tuff__geluf(NAN)));
    assert_true(tuff__siluf(INFINITY) == INFINITY && tuff__gelu_tanhf(INFINITY) == INFINITY);
    assert_true(isnan(tuff__gelu_gradient(NAN)) && isnan(tuff__gelu_tanh_gradient(NAN)) &&
                isnan(tuff__silu_gradient(NAN)));
    assert_true(tuff__silu_gradient(INFINITY) == 1.0F && tuff__gelu_tanh_gradient(-INFINITY) == 0.0F);
}

static void test_sums(void **state)
{
    (void)state;
    float x[1031], y[1031];
    for (int count = 0; count <= 1031; count += count < 70 ? 1 : 31) {
        double sum = 0, squares = 0, deviations = 0, dot = 0, exps = 0, largest = -1e30;
        for (int i = 0; i < count; i++) {
            x[i] = (float)((i * 7919 % 1000) - 500) / 250.0F;
            y[i] = (float)((i * 104729 % 1000) - 300) / 300.0F;
            sum += (double)x[i];
            squares += (double)x[i] * (double)x[i];
            deviations += ((double)x[i] - 0.25) * ((double)x[i] - 0.25);
            dot += (double)x[i] * (double)y[i];
            exps += exp((double)x[i] - 2);
            largest = fmax(largest, (double)x[i]);
        }
        const double allowed = 1e-6 * (count + 1);
        assert_true(fabs((double)tuff__sum(x, NULL, 0, count) - sum) <= allowed);
        assert_true(fabs((double)tuff__sum_square(x, NULL, 0, count) - squares) <= allowed);
        assert_true(fabs((double)tuff__sum_deviation(x, NULL, 0.25F, count) - deviations) <= allowed);
        assert_true(fabs((double)tuff__dot(x, y, 0, count) - dot) <= allowed);
        assert_true(fabs((double)tuff__sum_exp(x, NULL, 2, count) - exps) <= allowed);
        if (count) {
            assert_true((double)tuff__max(x, count) == largest);
            x[count / 2] = NAN;
            assert_true(isnan(tuff__max(x, count)));
        }
    }
}

/* -- the same functions on a Vulkan device: one call of an operator that exists in this test alone ---------------- */

static tuff_status check_record(const tuff_op_call *call, tuff__recorder *recorder)
{
    const struct tuff_push_math_check push = {.count = (uint32_t)tuff_shape_count(&call->inputs[0].shape)};
    const tuff__dispatch dispatch = {
        .shader = "math_check",
        .push_constants = &push,
        .push_constants_size = sizeof push,
        .constants = {*(const uint32_t *)call->params},
        .constant_count = 1,
        .group_count = {tuff__groups_for(call->target, push.count, 128), 1, 1},
        .bindings = {call->inputs[0].slice, call->outputs[0].slice},
        .binding_count = 2,
    };
    return tuff__dispatch_record(recorder, call, &dispatch);
}

static tuff_status run_on_device(tuff_device *device, uint32_t function, const float *x, float *y, size_t count)
{
    static const tuff_op_desc op = {.name = "math_check", .input_count = 1, .output_count = 1, .record = check_record};
    const tuff__backend *backend = device->backend;
    const uint64_t size = count * sizeof(float);
    tuff_op_call call = {.op = &op,
                         .params = &function,
                         .input_count = 1,
                         .output_count = 1,
                         .target = &device->target,
                         .label = "math"};
    tuff_buffer *in = NULL, *out = NULL;
    tuff__program *program = NULL;
    tuff_status status = backend->buffer_create(device, size, TUFF__MEMORY_DEVICE, &in);
    if (status == TUFF_SUCCESS)
        status = backend->buffer_create(device, size, TUFF__MEMORY_DEVICE, &out);
    if (status == TUFF_SUCCESS)
        status = backend->buffer_write(in, 0, x, size);
    call.inputs[0] = (tuff__operand){.shape = {1, {(int64_t)count}}, .slice = {in, 0, size}, .present = true};
    call.outputs[0] = (tuff__operand){.shape = {1, {(int64_t)count}}, .slice = {out, 0, size}, .present = true};
    if (status == TUFF_SUCCESS)
        status = backend->program_create(device, &call, 1, NULL, &program);
    if (status == TUFF_SUCCESS)
        status = backend->program_run(program);
    if (status == TUFF_SUCCESS)
        status = backend->buffer_read(out, 0, y, size);
    if (program)
        backend->program_destroy(program);
    if (out)
        backend->buffer_destroy(out);
    if (in)
        backend->buffer_destroy(in);
    return status;
}

static size_t collect_arguments(const math_function *f, float *x)
{
    size_t count = 0;
    for (uint64_t bits = 0; bits <= UINT32_MAX; bits += STRIDE) {
        const float value = tuff__float_of((uint32_t)bits);
        if (takes(f, value))
            x[count++] = value;
    }
    return count;
}

static void check_device(tuff_device *device)
{
    const size_t most = UINT32_MAX / STRIDE + 1;
    float *x = tuff__malloc(most * sizeof *x), *y = tuff__malloc(most * sizeof *y);
    assert_non_null(x);
    assert_non_null(y);
    for (uint32_t k = 0; k < TUFF_MATH_COUNT; k++) {
        const size_t count = collect_arguments(&functions[k], x);
        worst_error worst = {0};
        if (run_on_device(device, k, x, y, count) != TUFF_SUCCESS)
            fail_msg("%s", tuff_last_error());
        for (size_t i = 0; i < count; i++)
            judge(&functions[k], x[i], y[i], functions[k].divides ? 2 : 0, &worst);
        print_worst("math.glsl", &functions[k], &worst);
        assert_true(worst.share <= 1.0);
    }
    tuff__free(x);
    tuff__free(y);
}

static tuff_device *device; /* of TUFF_DEVICE, where one is asked for */

static void test_device(void **state)
{
    (void)state;
    if (!device || device->target.backend != TUFF_BACKEND_VULKAN)
        skip(); /* the CPU device computes with simd.h */
    printf("on %s\n", device->properties.name);
    check_device(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simd),
        cmocka_unit_test(test_simd_special),
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_device),
    };
    const int unopened = tuff__check_open_device(NULL, &device);
    if (unopened)
        return unopened;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tuff_device_destroy(device);
    return failed;
}
