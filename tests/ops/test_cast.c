/* test_cast.c: cases of cast: every pair of dtypes, odd counts (the last 16-bit word is half used), and the numbers where
 * rounding is hard: ties, subnormals, the edges of overflow, infinities. */
#include "../op_case.h"
#include "../../runtime/ops/cast.h"

static const float hard[] = {
    0.0F,      -0.0F,        1.0F,         -1.0F,        0x1p-14F,       0x1p-24F,  0x1p-25F,    0x1.000002p-25F,
    0x1p-26F,  0x1.8p-24F,   0x1.8p-23F,   0x1.4p-22F,   0x1.ffcp-15F,   65504.0F,  65519.0F,    65520.0F,
    65536.0F,  -65519.996F,  -65520.0F,    1e30F,        -1e30F,         3.4e38F,   2048.5F,     2049.0F,
    2049.5F,   2051.0F,      0x1.002p0F,   0x1.006p0F,   0x1.001p0F,     0x1.00ap0F, 0x1.01p0F,  0x1.03p0F,
    0x1.02p0F, 0x1.fffffep0F, 0x1.fffffep127F, 0x1.fep127F, 0x1.ff8p14F, -0x1.5p-16F, 0x1.554p-14F};
static const uint16_t halves[] = {0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x3C00, 0x7BFF,
                                  0xFBFF, 0x7C00, 0xFC00, 0x3555, 0x0200, 0x0155, 0x83FF};
static const int32_t integers[] = {0,         1,         -1,        16777215,  16777216,  16777217, 16777219,
                                   -16777217, 33554435,  INT32_MAX, INT32_MIN, 2147483583, 2147483584, 2147483585,
                                   123456789, -987654321, 255};
#define COUNT(x) (sizeof(x) / sizeof(x)[0])
#define VALUES(type, x) {.shape = {1, {COUNT(x)}}, .dtype = type, .fill = TUFF__FILL_VALUES, .values = x}
#define TO(d) .params = &(const tuff__cast_params){d}, .params_size = sizeof(tuff__cast_params)
#define OF(type, ...) {.shape = __VA_ARGS__, .dtype = type, .scale = 100}
#define ROUNDS .no_gradient = "rounding to 16 bits swamps a difference"

TUFF_CASES(cast, {.inputs = {VALUES(TUFF_F32, hard)}, TO(TUFF_F16), ROUNDS},
           {.inputs = {VALUES(TUFF_F32, hard)}, TO(TUFF_BF16), ROUNDS},
           {.inputs = {VALUES(TUFF_F16, halves)}, TO(TUFF_F32)}, {.inputs = {VALUES(TUFF_F16, halves)}, TO(TUFF_BF16)},
           {.inputs = {VALUES(TUFF_BF16, halves)}, TO(TUFF_F32)}, {.inputs = {VALUES(TUFF_BF16, halves)}, TO(TUFF_F16)},
           {.inputs = {VALUES(TUFF_I32, integers)}, TO(TUFF_F32)},
           {.inputs = {OF(TUFF_F32, {1, {1}})}, TO(TUFF_F16), ROUNDS},
           {.inputs = {OF(TUFF_F32, {3, {3, 5, 257}})}, TO(TUFF_F16), ROUNDS},
           {.inputs = {OF(TUFF_F32, {2, {129, 131}})}, TO(TUFF_BF16), ROUNDS},
           {.inputs = {OF(TUFF_F16, {2, {31, 33}})}, TO(TUFF_F32)}, {.inputs = {OF(TUFF_F16, {1, {20001}})}, TO(TUFF_F32)},
           {.inputs = {OF(TUFF_BF16, {2, {255, 129}})}, TO(TUFF_F32)},
           {.inputs = {OF(TUFF_BF16, {1, {513}})}, TO(TUFF_F16)}, {.inputs = {OF(TUFF_F16, {1, {513}})}, TO(TUFF_F16)},
           {.inputs = {OF(TUFF_F32, {1, {77}})}, TO(TUFF_F32)},
           {.inputs = {{.shape = {2, {100, 101}}, .dtype = TUFF_I32, .fill = TUFF__FILL_INTEGERS, .low = INT32_MIN,
                        .high = INT32_MAX}}, TO(TUFF_F32)});
