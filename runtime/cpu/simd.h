/*
 * simd.h: exp, log, tanh, erf and the activations in f32, written so that a compiler vectorises a loop over them: no
 * branches, no library calls, no tables. shaders/include/math.glsl is the same arithmetic in GLSL; tests/test_math.c
 * holds both to the errors stated here, in units in the last place (ulp) against double precision over all exponents.
 *
 * Polynomials are weighted minimax fits (Lawson's iteration) whose own error is below 2^-27. Products and sums may be
 * contracted to fused multiply-adds or not: the stated errors hold either way.
 */
#ifndef TUFF_RUNTIME_SIMD_H
#define TUFF_RUNTIME_SIMD_H

#include <stdint.h>
#include <string.h>

#include <math.h> /* on glibc it says so, which the next macro asks */

/* Put before a function with a hot loop: compiled once per instruction set, chosen when the library loads. Needs ELF
 * ifunc, which musl, other systems and AddressSanitizer's early start do not all offer. */
#if defined(__GNUC__) && defined(__x86_64__) && defined(__ELF__) && defined(__GLIBC__) &&                              \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(TUFF_NO_MULTIVERSIONING)
#if defined(__clang__)
#if __clang_major__ >= 14 && !__has_feature(address_sanitizer) && !__has_feature(memory_sanitizer)
#define TUFF__SIMD __attribute__((target_clones("avx512f", "avx2", "default")))
#endif
#else
#define TUFF__SIMD __attribute__((target_clones("avx512f", "avx2", "default")))
#endif
#endif
#ifndef TUFF__SIMD
#define TUFF__SIMD
#endif

/* Inlined into each clone, else the clones would call one scalar version. */
#if defined(__GNUC__)
#define TUFF__INLINE static inline __attribute__((always_inline))
#else
#define TUFF__INLINE static inline
#endif

TUFF__INLINE uint32_t tuff__bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

TUFF__INLINE float tuff__float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* condition ? a : b without a branch: compilers turn ?: back into branches here and there, and
 * then do not vectorise. */
TUFF__INLINE float tuff__select(int condition, float a, float b)
{
    const uint32_t mask = 0u - (uint32_t)condition;
    return tuff__float_of((tuff__bits_of(a) & mask) | (tuff__bits_of(b) & ~mask));
}

/* e^(high + low) for |low| at most 0.1. NaN stays; above 88.73 infinity; below -87.34 subnormal, then 0. */
TUFF__INLINE float tuff__exp_sum(float high, float low)
{
    const float rounder = 12582912.0f; /* 1.5·2^23: its sum with |k| < 2^22 holds k in its low bits */
    float x = tuff__select(high < -104.0f, -104.0f, high);
    x = tuff__select(x > 89.0f, 89.0f, x);
    const float shifted = x * 1.442695041f + rounder;
    const float k = shifted - rounder;
    /* ln 2 in two parts; k times the first, which has 9 bits, is exact. */
    const float r = ((x - k * 0.693359375f) + k * 2.12194440e-4f) + low;
    float p = 1.381453826e-3f;
    p = p * r + 8.368745446e-3f;
    p = p * r + 4.166838899e-2f;
    p = p * r + 1.666652113e-1f;
    p = p * r + 4.999999404e-1f;
    p = p * (r * r) + r + 1.0f;
    /* 2^k as two factors, since it may be beyond the normal numbers. The bias 254 keeps the sum positive. */
    const uint32_t biased = tuff__bits_of(shifted) - tuff__bits_of(rounder) + 254u;
    const uint32_t half = biased >> 1;
    return p * tuff__float_of(half << 23) * tuff__float_of((biased - half) << 23);
}

/* e^x, 2 ulp. */
TUFF__INLINE float tuff__expf(float x)
{
    return tuff__exp_sum(x, 0.0f);
}

/* ln x, 2 ulp; subnormals included; 0 gives -infinity, below 0 NaN. */
TUFF__INLINE float tuff__logf(float x)
{
    const int subnormal = x < 0x1p-126f;
    const uint32_t bits = tuff__bits_of(x * tuff__select(subnormal, 0x1p23f, 1.0f)) + (0x3F800000u - 0x3F3504F3u);
    const float exponent = (float)((int32_t)(bits >> 23) - 127) - tuff__select(subnormal, 23.0f, 0.0f);
    const float f = tuff__float_of((bits & 0x7FFFFFu) + 0x3F3504F3u) - 1.0f; /* x = 2^exponent·(1 + f), near √½..√2 */
    float p = 6.746601313e-2f;
    p = p * f + -1.167564094e-1f;
    p = p * f + 1.188817471e-1f;
    p = p * f + -1.240559146e-1f;
    p = p * f + 1.421955079e-1f;
    p = p * f + -1.666799635e-1f;
    p = p * f + 2.000211924e-1f;
    p = p * f + -2.500000894e-1f;
    p = p * f + 3.333331347e-1f;
    const float square = f * f;
    float y = p * f * square;
    y = y + exponent * -2.12194440e-4f;
    y = y - 0.5f * square;
    y = (f + y) + exponent * 0.693359375f;
    y = tuff__select(x == 0.0f, -INFINITY, y);
    y = tuff__select(x < 0.0f, NAN, y);
    return tuff__select(!(x <= 3.402823466e38f), x, y); /* infinity and NaN */
}

/* tanh x, 3 ulp. */
TUFF__INLINE float tuff__tanhf(float x)
{
    const float t = fabsf(x);
    const float z = x * x;
    float p = 2.142958809e-3f;
    p = p * z + -8.177394979e-3f;
    p = p * z + 2.170070074e-2f;
    p = p * z + -5.394676328e-2f;
    p = p * z + 1.333320588e-1f;
    p = p * z + -3.333333135e-1f;
    const float small = x + x * (z * p);
    const float large = 1.0f - 2.0f / (tuff__expf(tuff__select(t > 20.0f, 40.0f, 2.0f * t)) + 1.0f);
    return tuff__select(t < 0.625f, small, copysignf(large, x));
}

/* e^(-t²/scale) with the rounding of t² made good: scale is 1 or 2, 0 <= t. */
TUFF__INLINE float tuff__exp_minus_square(float t, float factor)
{
    const float clamped = tuff__select(t > 40.0f, 40.0f, t);
    const float head = tuff__float_of(tuff__bits_of(clamped) & 0xFFFFF000u); /* 12 bits: its square is exact */
    return tuff__exp_sum(-factor * (head * head), -factor * ((clamped - head) * (clamped + head)));
}

/* Mills' ratio Φ(-t)/(√(2π)·φ(t)) = e^(t²/2)·Φ(-t) for 0 <= t <= 14.5, as v·P(u) with v = 1/(1 + 0.3·t), u = 1 - v:
 * exact at 0, where most activations are. */
TUFF__INLINE float tuff__mills(float t)
{
    const float s = 0.3f * tuff__select(t > 40.0f, 40.0f, t); /* infinity times v would be NaN */
    const float v = 1.0f / (1.0f + s);
    const float u = s * v;
    float p = 2.062349394e-2f;
    p = p * u + -7.317569852e-2f;
    p = p * u + 7.117371261e-2f;
    p = p * u + 1.011499576e-2f;
    p = p * u + 2.336469665e-2f;
    p = p * u + -1.397327930e-1f;
    p = p * u + -8.101969957e-2f;
    p = p * u + 6.181451678e-1f;
    p = p * u + -8.298071623e-1f;
    p = p * u + 0.5f;
    return p * v;
}

/* erf x, 3 ulp. */
TUFF__INLINE float tuff__erff(float x)
{
    const float t = fabsf(x);
    const float z = x * x;
    float p = 7.853857096e-5f;
    p = p * z + -8.010192541e-4f;
    p = p * z + 5.188327748e-3f;
    p = p * z + -2.685381100e-2f;
    p = p * z + 1.128358543e-1f;
    p = p * z + -3.761262596e-1f;
    p = p * z + 1.283791065e-1f; /* 2/√π - 1: the 1 is added last, unrounded */
    const float small = x + x * p;
    const float clamped = tuff__select(t > 5.0f, 5.0f, t); /* erf(5) is 1 in f32 */
    const float large = 1.0f - 2.0f * tuff__exp_minus_square(clamped, 1.0f) * tuff__mills(1.414213562f * clamped);
    return tuff__select(t < 1.0f, small, copysignf(large, x));
}

/* σ(x) = 1/(1 + e^-x), 3 ulp; and its slope σ(x)·(1 - σ(x)) without the cancellation. */
TUFF__INLINE float tuff__sigmoid_slope(float x, float *out_slope)
{
    const float e = tuff__expf(-fabsf(x));
    const float y = 1.0f / (1.0f + e);
    *out_slope = e * (y * y);
    return tuff__select(x < 0.0f, e, 1.0f) * y;
}

TUFF__INLINE float tuff__sigmoidf(float x)
{
    float slope;
    return tuff__sigmoid_slope(x, &slope);
}

/* Φ(x) by its smaller tail, and e^(-x²/2) with it. 6 ulp, the far negative tail included. */
TUFF__INLINE float tuff__normal_cdf(float x, float *out_density)
{
    const float t = fabsf(x);
    const float density = tuff__exp_minus_square(t, 0.5f);
    const float tail = density * tuff__mills(t);
    *out_density = density;
    return tuff__select(x < 0.0f, tail, 1.0f - tail);
}

/* x·Φ(x), 7 ulp; -infinity gives NaN, as in PyTorch. */
TUFF__INLINE float tuff__geluf(float x)
{
    float density;
    return x * tuff__normal_cdf(x, &density);
}

/* Φ(x) + x·φ(x); absolute error 4·2^-24. */
TUFF__INLINE float tuff__gelu_gradient(float x)
{
    float density;
    const float cdf = tuff__normal_cdf(x, &density);
    return cdf + x * density * 0.3989422804f;
}

/* 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))) = x·σ(2·√(2/π)·(x + 0.044715·x³)); 3 ulp for x > 0, and to the left
 * within 10·2^-24 absolutely. */
TUFF__INLINE float tuff__gelu_tanhf(float x)
{
    const float u = 1.595769122f * (x + 0.044715f * (x * x * x));
    return x * tuff__sigmoidf(u);
}

/* Absolute error 6·2^-24. */
TUFF__INLINE float tuff__gelu_tanh_gradient(float x)
{
    float c = tuff__select(x < -16.0f, -16.0f, x); /* where the sigmoid is 0 or 1 in f32; keeps x³ finite */
    c = tuff__select(c > 16.0f, 16.0f, c);
    float slope;
    const float s = tuff__sigmoid_slope(1.595769122f * (c + 0.044715f * (c * c * c)), &slope);
    return s + c * (1.595769122f * (1.0f + 0.134145f * (c * c))) * slope;
}

/* x·σ(x), 4 ulp */
TUFF__INLINE float tuff__siluf(float x)
{
    return x * tuff__sigmoidf(x);
}

/* Absolute error 4·2^-24. */
TUFF__INLINE float tuff__silu_gradient(float x)
{
    const float c = copysignf(tuff__select(fabsf(x) > 100.0f, 100.0f, fabsf(x)), x);
    float slope;
    const float s = tuff__sigmoid_slope(c, &slope);
    return s + c * slope;
}

/* -- sums in f32, over 32 lanes in a fixed order: the same bits every run, and errors of a tree, not of a chain ---- */

enum { TUFF__LANES = 32 };

TUFF__INLINE float tuff__lanes_sum(float lanes[TUFF__LANES])
{
    for (int width = TUFF__LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            lanes[i] += lanes[i + width];
    return lanes[0];
}

/* Defines tuff__<name>: Σ of `term`, an expression in x[i], y[i] and c. */
#define TUFF__DEFINE_SUM(name, term)                                                                                   \
    TUFF__INLINE float tuff__##name(const float *x, const float *y, float c, int64_t count)                            \
    {                                                                                                                  \
        float lanes[TUFF__LANES] = {0};                                                                                \
        int64_t base = 0;                                                                                              \
        (void)y, (void)c;                                                                                              \
        for (; base + TUFF__LANES <= count; base += TUFF__LANES)                                                       \
            for (int lane = 0; lane < TUFF__LANES; lane++) {                                                           \
                const int64_t i = base + lane;                                                                         \
                lanes[lane] += (term);                                                                                 \
            }                                                                                                          \
        for (int64_t i = base; i < count; i++)                                                                         \
            lanes[i - base] += (term);                                                                                 \
        return tuff__lanes_sum(lanes);                                                                                 \
    }

TUFF__DEFINE_SUM(sum, x[i])
TUFF__DEFINE_SUM(sum_square, x[i] * x[i])
TUFF__DEFINE_SUM(sum_deviation, (x[i] - c) * (x[i] - c))
TUFF__DEFINE_SUM(dot, x[i] * y[i])
TUFF__DEFINE_SUM(dot_deviation, x[i] * (y[i] - c))
TUFF__DEFINE_SUM(sum_exp, tuff__expf(x[i] - c))
TUFF__DEFINE_SUM(sum_offset, x[i] - c)

/* The larger one; a NaN gets in, and no number gets it out. */
TUFF__INLINE float tuff__larger(float best, float x)
{
    return tuff__select((x > best) | (x != x), x, best);
}

/* The largest x[i], of at least one; NaN where there is one. */
TUFF__INLINE float tuff__max(const float *x, int64_t count)
{
    float lanes[TUFF__LANES];
    int64_t base = 0;
    for (int lane = 0; lane < TUFF__LANES; lane++)
        lanes[lane] = x[0];
    for (; base + TUFF__LANES <= count; base += TUFF__LANES)
        for (int lane = 0; lane < TUFF__LANES; lane++)
            lanes[lane] = tuff__larger(lanes[lane], x[base + lane]);
    for (int64_t i = base; i < count; i++)
        lanes[i - base] = tuff__larger(lanes[i - base], x[i]);
    for (int width = TUFF__LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            lanes[i] = tuff__larger(lanes[i], lanes[i + width]);
    return lanes[0];
}

#endif
