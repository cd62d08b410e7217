// math.glsl: exp, log, tanh, erf, sqrt, division and the activations with a stated error, because Vulkan lets drivers
// differ in them by many units in the last place (ulp). The arithmetic is that of runtime/cpu/simd.h. `precise` keeps
// a compiler from rearranging; contraction to fused multiply-adds would not break the stated errors. Devices may flush
// subnormal numbers to zero, arguments and results alike. Where they divide with Vulkan's 2.5 ulp instead of 0.5,
// functions that divide once err by up to 2 ulp more.
#ifndef TUFF_MATH_GLSL
#define TUFF_MATH_GLSL

bool tuff_is_nan(float x)
{
    return (floatBitsToUint(x) & 0x7FFFFFFFu) > 0x7F800000u;
}

// The 12 leading bits of x: the product of two such numbers is exact.
float tuff_head(float x)
{
    return uintBitsToFloat(floatBitsToUint(x) & 0xFFFFF000u);
}

bool tuff_is_ordinary(float x) // finite, not zero, not subnormal
{
    const uint magnitude = floatBitsToUint(x) & 0x7FFFFFFFu;
    return magnitude >= 0x00800000u && magnitude < 0x7F800000u;
}

// a/b within 0.51 ulp for results above 2^-100: the quotient plus its exactly computed residual.
float tuff_divide(float a, float b)
{
    precise float q = a / b;
    if (!tuff_is_ordinary(q) || !tuff_is_ordinary(b))
        return q;
    const float q_head = tuff_head(q), b_head = tuff_head(b);
    precise float q_tail = q - q_head;
    precise float b_tail = b - b_head;
    precise float residual = a - q_head * b_head;
    residual = residual - q_head * b_tail;
    residual = residual - q_tail * b_head;
    residual = residual - q_tail * b_tail;
    precise float better = q + residual / b;
    return better;
}

// Within 0.51 ulp for x above 2^-95; below, where the residual gets subnormal, 2 ulp.
float tuff_sqrt(float x)
{
    precise float s = sqrt(x);
    if (!tuff_is_ordinary(s))
        return s;
    const float head = tuff_head(s);
    precise float tail = s - head;
    precise float residual = x - head * head;
    residual = residual - 2.0 * head * tail;
    residual = residual - tail * tail;
    precise float better = s + residual / (2.0 * s);
    return better;
}

// 1.5 ulp
float tuff_rsqrt(float x)
{
    return tuff_divide(1.0, tuff_sqrt(x));
}

// e^(high + low) for |low| at most 0.1. NaN stays; above 88.73 infinity; below -87.34 subnormal or 0.
float tuff_exp_sum(float high, float low)
{
    const float x = min(max(high, -104.0), 89.0);
    precise float k = floor(x * 1.442695041 + 0.5);
    precise float r = x - k * 0.693359375; // exact: the constant has 9 bits
    r = (r + k * 2.12194440e-4) + low;
    precise float p = 1.381453826e-3;
    p = p * r + 8.368745446e-3;
    p = p * r + 4.166838899e-2;
    p = p * r + 1.666652113e-1;
    p = p * r + 4.999999404e-1;
    p = p * (r * r) + r + 1.0;
    const uint biased = uint(int(k) + 254); // 2^k as two factors, since it may be beyond the normal numbers
    const uint halved = biased >> 1;
    precise float y = p * uintBitsToFloat(halved << 23);
    y = y * uintBitsToFloat((biased - halved) << 23);
    return tuff_is_nan(high) ? high : y;
}

// e^x, 2 ulp
float tuff_exp(float x)
{
    return tuff_exp_sum(x, 0.0);
}

// ln x, 2 ulp; 0 gives -infinity, below 0 NaN. Integers take x apart, so subnormals work wherever loads keep them.
float tuff_log(float x)
{
    uint bits = floatBitsToUint(x);
    if (bits >= 0x7F800000u) // infinity, NaN, -0 and below
        return bits == 0x80000000u ? uintBitsToFloat(0xFF800000u)
                                   : (bits > 0x7F800000u ? uintBitsToFloat(0x7FC00000u) : x);
    if (bits == 0u)
        return uintBitsToFloat(0xFF800000u);
    int exponent = -127;
    if (bits < 0x00800000u) { // subnormal: move the leading bit to where normal numbers have it
        const int shift = 23 - findMSB(bits);
        bits = (bits << shift) & 0x007FFFFFu | 0x00800000u;
        exponent -= shift;
    }
    bits += 0x3F800000u - 0x3F3504F3u;
    exponent += int(bits >> 23);
    precise float f = uintBitsToFloat((bits & 0x7FFFFFu) + 0x3F3504F3u) - 1.0;
    precise float p = 6.746601313e-2;
    p = p * f + -1.167564094e-1;
    p = p * f + 1.188817471e-1;
    p = p * f + -1.240559146e-1;
    p = p * f + 1.421955079e-1;
    p = p * f + -1.666799635e-1;
    p = p * f + 2.000211924e-1;
    p = p * f + -2.500000894e-1;
    p = p * f + 3.333331347e-1;
    precise float square = f * f;
    precise float y = p * f * square;
    y = y + float(exponent) * -2.12194440e-4;
    y = y - 0.5 * square;
    y = (f + y) + float(exponent) * 0.693359375;
    return y;
}

// tanh x, 3 ulp
float tuff_tanh(float x)
{
    const float t = abs(x);
    precise float z = x * x;
    precise float p = 2.142958809e-3;
    p = p * z + -8.177394979e-3;
    p = p * z + 2.170070074e-2;
    p = p * z + -5.394676328e-2;
    p = p * z + 1.333320588e-1;
    p = p * z + -3.333333135e-1;
    precise float small = x + x * (z * p);
    precise float large = 1.0 - 2.0 / (tuff_exp(min(2.0 * t, 40.0)) + 1.0);
    const float y = t < 0.625 ? small : (x < 0.0 ? -large : large);
    return tuff_is_nan(x) ? x : y;
}

// e^(-factor*t*t) with the rounding of t*t made good; factor is 1 or 0.5, t >= 0
float tuff_exp_minus_square(float t, float factor)
{
    const float clamped = min(t, 40.0);
    const float head = tuff_head(clamped);
    precise float high = -factor * (head * head);
    precise float low = -factor * ((clamped - head) * (clamped + head));
    return tuff_exp_sum(high, low);
}

// Mills' ratio e^(t*t/2)*Phi(-t) for 0 <= t <= 14.5, as v*P(u) with v = 1/(1 + 0.3*t), u = 1 - v: exact at 0
float tuff_mills(float t)
{
    precise float s = 0.3 * min(t, 40.0); // infinity times v would be NaN
    precise float v = 1.0 / (1.0 + s);
    precise float u = s * v;
    precise float p = 2.062349394e-2;
    p = p * u + -7.317569852e-2;
    p = p * u + 7.117371261e-2;
    p = p * u + 1.011499576e-2;
    p = p * u + 2.336469665e-2;
    p = p * u + -1.397327930e-1;
    p = p * u + -8.101969957e-2;
    p = p * u + 6.181451678e-1;
    p = p * u + -8.298071623e-1;
    p = p * u + 0.5;
    return p * v;
}

// erf x, 3 ulp
float tuff_erf(float x)
{
    const float t = abs(x);
    precise float z = x * x;
    precise float p = 7.853857096e-5;
    p = p * z + -8.010192541e-4;
    p = p * z + 5.188327748e-3;
    p = p * z + -2.685381100e-2;
    p = p * z + 1.128358543e-1;
    p = p * z + -3.761262596e-1;
    p = p * z + 1.283791065e-1; // 2/sqrt(pi) - 1
    precise float small = x + x * p;
    if (t < 1e-18)
        small = x * 1.128379167; // x * p may be subnormal, and flushed
    const float clamped = min(t, 5.0);
    precise float large = 1.0 - 2.0 * tuff_exp_minus_square(clamped, 1.0) * tuff_mills(1.414213562 * clamped);
    const float y = t < 1.0 ? small : (x < 0.0 ? -large : large);
    return tuff_is_nan(x) ? x : y;
}

// 1/(1 + e^-x), 3 ulp; `slope` becomes its derivative
float tuff_sigmoid_slope(float x, out float slope)
{
    const float e = tuff_exp(-abs(x));
    precise float y = 1.0 / (1.0 + e);
    slope = e * (y * y);
    return x < 0.0 ? e * y : y;
}

float tuff_sigmoid(float x)
{
    float slope;
    return tuff_sigmoid_slope(x, slope);
}

// Phi(x) by its smaller tail, 6 ulp; `density` becomes e^(-x*x/2)
float tuff_normal_cdf(float x, out float density)
{
    const float t = abs(x);
    density = tuff_exp_minus_square(t, 0.5);
    precise float tail = density * tuff_mills(t);
    precise float cdf = x < 0.0 ? tail : 1.0 - tail;
    return cdf;
}

// x*Phi(x), 7 ulp
float tuff_gelu(float x)
{
    float density;
    return x * tuff_normal_cdf(x, density);
}

// absolute error 4*2^-24
float tuff_gelu_gradient(float x)
{
    float density;
    const float cdf = tuff_normal_cdf(x, density);
    return cdf + x * density * 0.3989422804;
}

// x*sigmoid(2*sqrt(2/pi)*(x + 0.044715*x^3)); 3 ulp for x > 0, to the left within 10*2^-24 absolutely
float tuff_gelu_tanh(float x)
{
    precise float u = 1.595769122 * (x + 0.044715 * (x * x * x));
    return x * tuff_sigmoid(u);
}

// absolute error 6*2^-24
float tuff_gelu_tanh_gradient(float x)
{
    const float c = tuff_is_nan(x) ? x : clamp(x, -16.0, 16.0); // beyond, the sigmoid is 0 or 1 in f32
    precise float u = 1.595769122 * (c + 0.044715 * (c * c * c));
    float slope;
    const float s = tuff_sigmoid_slope(u, slope);
    return s + c * (1.595769122 * (1.0 + 0.134145 * (c * c))) * slope;
}

// x*sigmoid(x), 4 ulp
float tuff_silu(float x)
{
    return x * tuff_sigmoid(x);
}

// absolute error 4*2^-24
float tuff_silu_gradient(float x)
{
    const float c = tuff_is_nan(x) ? x : clamp(x, -100.0, 100.0);
    float slope;
    const float s = tuff_sigmoid_slope(c, slope);
    return s + c * slope;
}

#endif
