/* dtype.c: owns the facts about element types. */
#include "dtype.h"

#include <string.h>

size_t tuff__dtype_size(tuff_dtype dtype)
{
    return dtype == TUFF_F16 || dtype == TUFF_BF16 ? 2 : 4;
}

const char *tuff__dtype_name(tuff_dtype dtype)
{
    static const char *const names[] = {"f32", "f16", "bf16", "i32"};
    return names[dtype];
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float tuff__f16_to_f32(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = (half >> 10) & 31u, mantissa = half & 1023u;
    if (exponent == 31)
        return float_of(sign | 0x7F800000u | mantissa << 13);
    if (exponent == 0) { /* zero, or mantissa·2⁻²⁴ */
        const float magnitude = (float)mantissa * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    return float_of(sign | (exponent + 112u) << 23 | mantissa << 13);
}

uint16_t tuff__f32_to_f16(float value)
{
    const uint32_t bits = bits_of(value), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u)
        return (uint16_t)(sign | 0x7E00u | (magnitude >> 13 & 0x3FFu));
    if (magnitude >= 0x477FF000u) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7C00u);
    if (magnitude < 0x38800000u) { /* below 2⁻¹⁴: subnormal, counted in units of 2⁻²⁴ */
        if (magnitude < 0x33000000u)
            return (uint16_t)sign;
        const uint32_t shift = 126u - (magnitude >> 23), mantissa = (magnitude & 0x7FFFFFu) | 0x800000u;
        const uint32_t half = 1u << (shift - 1), odd = mantissa >> shift & 1u;
        return (uint16_t)(sign | ((mantissa + half - 1u + odd) >> shift));
    }
    const uint32_t rounded = magnitude + 0xFFFu + (magnitude >> 13 & 1u);
    return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
}

float tuff__bf16_to_f32(uint16_t bits)
{
    return float_of((uint32_t)bits << 16);
}

uint16_t tuff__f32_to_bf16(float value)
{
    const uint32_t bits = bits_of(value);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}
