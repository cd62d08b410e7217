// cast: between f32, f16 and bf16 to nearest even, and from i32 to f32, on integers alone, so exact on every device;
// 16-bit types are two to a word. Grid: an invocation per two elements, striding over the rest.
// spill_allowance: 0
#version 450
#extension GL_GOOGLE_include_directive : require
#include "cast.h"

layout(local_size_x = 128, local_size_x_id = 0) in;
layout(constant_id = 3) const uint FROM = TUFF_CAST_F32;
layout(constant_id = 4) const uint TO = TUFF_CAST_F16;
layout(push_constant) uniform Push { tuff_push_cast push; };

layout(set = 0, binding = 0) readonly restrict buffer X { uint x[]; };
layout(set = 0, binding = 1) writeonly restrict buffer Y { uint y[]; };

// `value` >> shift, rounded to nearest even; 1 <= shift <= 31
uint shift_round(uint value, uint shift)
{
    const uint kept = value >> shift, rest = value & ((1u << shift) - 1u), middle = 1u << (shift - 1u);
    return kept + (rest > middle || (rest == middle && (kept & 1u) != 0u) ? 1u : 0u);
}

uint from_f16(uint bits)
{
    const uint sign = (bits & 0x8000u) << 16, exponent = bits >> 10 & 31u, mantissa = bits & 1023u;
    if (exponent == 31u)
        return sign | 0x7F800000u | mantissa << 13;
    if (exponent != 0u)
        return sign | (exponent + 112u) << 23 | mantissa << 13;
    if (mantissa == 0u)
        return sign;
    const uint top = uint(findMSB(mantissa)); // mantissa·2^-24
    return sign | (top + 103u) << 23 | (mantissa << (23u - top) & 0x7FFFFFu);
}

uint to_f16(uint bits)
{
    const uint sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u)
        return sign | 0x7E00u | (magnitude >> 13 & 0x3FFu);
    if (magnitude >= 0x477FF000u)
        return sign | 0x7C00u;
    if (magnitude < 0x33000000u)
        return sign;
    if (magnitude < 0x38800000u)
        return sign | shift_round((magnitude & 0x7FFFFFu) | 0x800000u, 126u - (magnitude >> 23));
    return sign | (shift_round(magnitude, 13u) - (0x38000000u >> 13));
}

uint to_bf16(uint bits)
{
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
        return bits >> 16 | 0x40u;
    return shift_round(bits, 16u);
}

uint from_i32(uint bits)
{
    const uint sign = bits & 0x80000000u, magnitude = sign != 0u ? ~bits + 1u : bits;
    if (magnitude == 0u)
        return 0u;
    const uint top = uint(findMSB(magnitude));
    if (top <= 23u)
        return sign | ((top + 127u) << 23) + (magnitude << (23u - top) & 0x7FFFFFu);
    // The leading one adds 1 to the exponent field, and rounding may carry into it.
    return sign | ((top + 126u) << 23) + shift_round(magnitude, top - 23u);
}

uint load(uint i) // as f32 bits
{
    if (FROM == TUFF_CAST_F32)
        return x[i];
    if (FROM == TUFF_CAST_I32)
        return from_i32(x[i]);
    const uint word = x[i / 2u];
    const uint part = (i & 1u) != 0u ? word >> 16 : word & 0xFFFFu;
    return FROM == TUFF_CAST_F16 ? from_f16(part) : part << 16;
}

uint convert(uint bits)
{
    return TO == TUFF_CAST_F16 ? to_f16(bits) : (TO == TUFF_CAST_BF16 ? to_bf16(bits) : bits);
}

void main()
{
    const uint pairs = (push.count + 1u) / 2u;
    for (uint p = gl_GlobalInvocationID.x; p < pairs; p += gl_WorkGroupSize.x * gl_NumWorkGroups.x) {
        const uint i = 2u * p;
        const bool both = i + 1u < push.count;
        const uint first = convert(load(i));
        const uint second = both ? convert(load(i + 1u)) : 0u;
        if (TO == TUFF_CAST_F32) {
            y[i] = first;
            if (both)
                y[i + 1u] = second;
        } else {
            y[p] = first | second << 16;
        }
    }
}
