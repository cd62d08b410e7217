/* test_reduce.c: cases of the reductions: each dimension of each rank; short, long and very long rows; many and few
 * columns, so that every way of cutting the reduced dimension is taken; equal values, where the first one counts. */
#include "../op_case.h"
#include "../../runtime/ops/reduce.h"

#define S1(a) {.shape = {1, {a}}}
#define S2(a, b) {.shape = {2, {a, b}}}
#define S3(a, b, c) {.shape = {3, {a, b, c}}}
#define S4(a, b, c, d) {.shape = {4, {a, b, c, d}}}
#define DIM(d) .params = &(const tuff__reduce_params){d}, .params_size = sizeof(tuff__reduce_params)
#define SLOW .no_gradient = "slow"

#define SUM_CASES                                                                                                      \
    {.inputs = {S1(1)}, DIM(0)}, {.inputs = {S1(33)}, DIM(0)}, {.inputs = {S2(31, 33)}, DIM(0)},                       \
        {.inputs = {S2(31, 33)}, DIM(1)}, {.inputs = {S2(3, 64)}, DIM(1)}, {.inputs = {S2(3, 65)}, DIM(1)},            \
        {.inputs = {S2(5, 257)}, DIM(1)}, {.inputs = {S3(5, 7, 9)}, DIM(0)}, {.inputs = {S3(5, 7, 9)}, DIM(1)},        \
        {.inputs = {S3(5, 7, 9)}, DIM(2)}, {.inputs = {S4(2, 3, 5, 7)}, DIM(1)},                                       \
        {.inputs = {S4(2, 3, 5, 7)}, DIM(2)}, {.inputs = {S4(2, 3, 1, 7)}, DIM(2)},                                    \
        {.inputs = {S2(1031, 3)}, DIM(0), SLOW},                                                                       \
        {.inputs = {S2(2051, 129)}, DIM(0), SLOW, .too_large_when_split = true},                                       \
        {.inputs = {S1(100003)}, DIM(0), SLOW}, {.inputs = {S2(3, 20011)}, DIM(1), SLOW},                              \
        {.inputs = {S3(2, 10007, 5)}, DIM(1), SLOW}, {.inputs = {S3(4, 32, 384)}, DIM(1), SLOW},                       \
        {.inputs = {S2(300, 384)}, DIM(0), SLOW}, {.inputs = {S2(700, 100)}, DIM(1), SLOW},                            \
        {.inputs = {{.shape = {2, {700, 100}}, .mean = 10}}, DIM(0), SLOW}
TUFF_CASES(sum, SUM_CASES);
TUFF_CASES(mean, SUM_CASES);

/* Small integers as floats: many equal maxima, of which the first one counts. */
static const float ties[] = {1, 3, 3, 2, 2, 1, 2, 2, 0, 0, 0, 0, -1, -5, -1, -2, 7, 1, 1, 7, 3, 3, 3, 3};
#define TIES {.shape = {3, {2, 4, 3}}, .fill = TUFF__FILL_VALUES, .values = ties}
#define KINK .no_gradient = "a difference across two maxima"
#define MAX_CASES                                                                                                      \
    {.inputs = {S1(1)}, DIM(0)}, {.inputs = {S1(33)}, DIM(0), KINK}, {.inputs = {TIES}, DIM(0), KINK},                 \
        {.inputs = {TIES}, DIM(1), KINK}, {.inputs = {TIES}, DIM(2), KINK}, {.inputs = {S2(31, 33)}, DIM(0), KINK},    \
        {.inputs = {S2(31, 33)}, DIM(1), KINK}, {.inputs = {S2(3, 65)}, DIM(1), KINK},                                 \
        {.inputs = {S2(5, 257)}, DIM(1), KINK}, {.inputs = {S4(2, 3, 5, 7)}, DIM(2), KINK},                            \
        {.inputs = {S4(2, 3, 5, 7)}, DIM(0), KINK},                                                                    \
        {.inputs = {S2(2051, 129)}, DIM(0), KINK, .too_large_when_split = true},                                       \
        {.inputs = {S1(100003)}, DIM(0), KINK}, {.inputs = {S2(3, 20011)}, DIM(1), KINK},                              \
        {.inputs = {S3(2, 10007, 5)}, DIM(1), KINK}, {.inputs = {S3(4, 32, 384)}, DIM(1), KINK},                       \
        {.inputs = {{.shape = {2, {5, 300}}, .fill = TUFF__FILL_POSITIVE, .mean = -9}}, DIM(1), KINK}
TUFF_CASES(max, MAX_CASES);
TUFF_CASES(argmax, MAX_CASES);

#define BACK(dim_, ...)                                                                                                \
    .params = &(const tuff__max_backward_params){.shape = __VA_ARGS__, .dim = dim_},                                   \
    .params_size = sizeof(tuff__max_backward_params)
#define INDICES(n, ...) {.shape = __VA_ARGS__, .dtype = TUFF_I32, .fill = TUFF__FILL_INTEGERS, .low = 0, .high = n}
TUFF_CASES(max_backward, {.inputs = {S1(1), INDICES(1, {1, {1}})}, BACK(0, {1, {1}})},
           {.inputs = {S2(1, 33), INDICES(31, {2, {1, 33}})}, BACK(0, {2, {31, 33}})},
           {.inputs = {S2(31, 1), INDICES(33, {2, {31, 1}})}, BACK(1, {2, {31, 33}})},
           {.inputs = {S4(2, 3, 1, 7), INDICES(5, {4, {2, 3, 1, 7}})}, BACK(2, {4, {2, 3, 5, 7}})},
           {.inputs = {S3(4, 1, 384), INDICES(32, {3, {4, 1, 384}})}, BACK(1, {3, {4, 32, 384}})},
           {.inputs = {S2(3, 1), INDICES(20011, {2, {3, 1}})}, BACK(1, {2, {3, 20011}})});
