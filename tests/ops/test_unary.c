/* test_unary.c: cases of the operators that map each element alone: sizes around a workgroup, tails and extremes. */
#include "../op_case.h"
#include "../../runtime/ops/unary.h"

/* Zero, both tails, where the formulas switch, and where e^x leaves the normal numbers. */
static const float extremes[] = {0.0F,   -0.0F,  1e-30F, -1e-30F, 1e-6F, -1e-6F, 0.5F,   -0.5F,   0.624F,  0.626F,
                                 0.999F, -1.0F,  1.001F, 3.0F,    -3.0F, 5.5F,   -5.5F,  9.0F,    -9.0F,   12.9F,
                                 -12.9F, 16.1F,  -16.1F, 40.0F,   -40.0F, 88.0F, -88.0F, 104.5F,  -104.5F, 1000.0F,
                                 1e10F,  -1e10F, 1e18F,  -1e18F,  2.0F,   -2.0F};
enum { EXTREMES = sizeof extremes / sizeof extremes[0] };

#define X1(n) {.shape = {1, {n}}}
#define EXTREME {.shape = {1, {EXTREMES}}, .fill = TUFF__FILL_VALUES, .values = extremes}
#define SIZES                                                                                                          \
    {.inputs = {X1(1)}}, {.inputs = {X1(31)}}, {.inputs = {X1(33)}}, {.inputs = {X1(127)}}, {.inputs = {X1(129)}},     \
        {.inputs = {{.shape = {2, {3, 257}}}}}, {.inputs = {{.shape = {3, {2, 5, 997}}, .scale = 3}}},                 \
        {.inputs = {{.shape = {4, {2, 3, 5, 7}}, .scale = 10}}},                                                       \
        {.inputs = {{.shape = {3, {2, 32, 1536}}}}, .no_gradient = "slow; smaller shapes are differentiated"}
#define PAIR(...) {.inputs = {{__VA_ARGS__}, {__VA_ARGS__}}}
#define PAIRS                                                                                                          \
    PAIR(.shape = {1, {1}}), PAIR(.shape = {1, {32}}), PAIR(.shape = {1, {33}}), PAIR(.shape = {1, {255}}),            \
        PAIR(.shape = {2, {3, 257}}), PAIR(.shape = {3, {2, 5, 997}}, .scale = 3),                                     \
        PAIR(.shape = {3, {2, 32, 1536}}), PAIR(.shape = {2, {16, 31}}, .scale = 10),                                  \
        {.inputs = {EXTREME, {.shape = {1, {EXTREMES}}}}}

#define FAR_OUT {.inputs = {EXTREME}, .no_gradient = "a difference over 1e18 sees nothing"}
TUFF_CASES(gelu, SIZES, FAR_OUT);
TUFF_CASES(gelu_backward, PAIRS);
TUFF_CASES(gelu_tanh, SIZES, FAR_OUT);
TUFF_CASES(gelu_tanh_backward, PAIRS);
TUFF_CASES(silu, SIZES, FAR_OUT);
TUFF_CASES(silu_backward, PAIRS);
TUFF_CASES(tanh, SIZES, FAR_OUT);
TUFF_CASES(relu_backward, PAIRS);

/* tanh's gradient is made from the result, between -1 and 1. */
#define RESULT(n) {.shape = {1, {n}}, .scale = 0.25F}
TUFF_CASES(tanh_backward, {.inputs = {RESULT(1), X1(1)}}, {.inputs = {RESULT(33), X1(33)}},
           {.inputs = {RESULT(1025), X1(1025)}}, {.inputs = {{.shape = {2, {64, 384}}, .scale = 0.2F},
                                                             {.shape = {2, {64, 384}}}}});

#define KINK .no_gradient = "a difference across the kink"
TUFF_CASES(relu, {.inputs = {X1(1)}, KINK}, {.inputs = {X1(33)}, KINK}, {.inputs = {{.shape = {2, {3, 257}}}}, KINK},
           {.inputs = {{.shape = {3, {2, 32, 1536}}}}, KINK}, {.inputs = {EXTREME}, KINK},
           {.inputs = {{.shape = {1, {40}}, .fill = TUFF__FILL_POSITIVE, .mean = 0.5F}}});

#define SCALE(x) .params = &(const tuff__scale_params){x}, .params_size = sizeof(tuff__scale_params)
TUFF_CASES(scale, {.inputs = {X1(1)}, SCALE(2.5F)}, {.inputs = {X1(129)}, SCALE(-0.125F)},
           {.inputs = {{.shape = {2, {3, 257}}}}, SCALE(0.3F)}, {.inputs = {{.shape = {3, {2, 32, 1536}}}}, SCALE(1.1F),
                                                                 .no_gradient = "slow"},
           {.inputs = {{.shape = {4, {2, 3, 5, 7}}}}, SCALE(0.0F)});
