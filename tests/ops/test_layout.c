/* test_layout.c: cases of the operators that move elements: every rank, every dimension, both ends. */
#include "../op_case.h"
#include "../../runtime/ops/layout.h"

#define S1(a) {.shape = {1, {a}}}
#define S2(a, b) {.shape = {2, {a, b}}}
#define S3(a, b, c) {.shape = {3, {a, b, c}}}
#define S4(a, b, c, d) {.shape = {4, {a, b, c, d}}}
#define INTEGERS(...) {.shape = __VA_ARGS__, .dtype = TUFF_I32, .fill = TUFF__FILL_INTEGERS, .low = -9, .high = 1000000}
#define HALVES(...) {.shape = __VA_ARGS__, .dtype = TUFF_F16}
#define BRAINS(...) {.shape = __VA_ARGS__, .dtype = TUFF_BF16}
#define SLOW .no_gradient = "slow"

#define FULL(value_, ...)                                                                                              \
    {.params = &(const tuff__full_params){.shape = __VA_ARGS__, .value = value_}, .params_size = sizeof(tuff__full_params)}
TUFF_CASES(full, FULL(0.0F, {1, {1}}), FULL(1.5F, {0}), FULL(-0.1F, {2, {31, 33}}), FULL(1e-30F, {4, {2, 3, 5, 7}}),
           FULL(3.0F, {2, {300, 101}}));

TUFF_CASES(copy, {.inputs = {S1(1)}}, {.inputs = {S2(31, 33)}}, {.inputs = {S4(2, 3, 5, 7)}},
           {.inputs = {S2(300, 101)}, SLOW}, {.inputs = {INTEGERS({2, {9, 129}})}}, {.inputs = {HALVES({1, {1}})}},
           {.inputs = {HALVES({2, {3, 257}})}}, {.inputs = {BRAINS({1, {33001}})}});

#define RESHAPE(...)                                                                                                   \
    .params = &(const tuff__reshape_params){.shape = __VA_ARGS__}, .params_size = sizeof(tuff__reshape_params)
TUFF_CASES(reshape, {.inputs = {S2(4, 6)}, RESHAPE({3, {2, 3, 4}})}, {.inputs = {S1(1)}, RESHAPE({4, {1, 1, 1, 1}})},
           {.inputs = {S3(31, 3, 11)}, RESHAPE({1, {1023}})}, {.inputs = {HALVES({2, {3, 5}})}, RESHAPE({1, {15}})});

#define PERMUTE(...)                                                                                                   \
    .params = &(const tuff__transpose_params){{__VA_ARGS__}}, .params_size = sizeof(tuff__transpose_params)
TUFF_CASES(transpose, {.inputs = {S1(5)}, PERMUTE(0)}, {.inputs = {S2(31, 33)}, PERMUTE(1, 0)},
           {.inputs = {S2(3, 5)}, PERMUTE(0, 1)}, {.inputs = {S3(3, 5, 7)}, PERMUTE(0, 2, 1)},
           {.inputs = {S3(3, 5, 7)}, PERMUTE(1, 0, 2)}, {.inputs = {S3(3, 5, 7)}, PERMUTE(1, 2, 0)},
           {.inputs = {S3(3, 5, 7)}, PERMUTE(2, 1, 0)}, {.inputs = {S4(2, 3, 5, 7)}, PERMUTE(0, 2, 1, 3)},
           {.inputs = {S4(2, 3, 5, 7)}, PERMUTE(3, 1, 0, 2)}, {.inputs = {S4(2, 3, 5, 7)}, PERMUTE(2, 3, 0, 1)},
           {.inputs = {INTEGERS({2, {17, 129}})}, PERMUTE(1, 0)}, {.inputs = {S2(257, 129)}, PERMUTE(1, 0), SLOW},
           {.inputs = {S4(2, 32, 12, 32)}, PERMUTE(0, 2, 1, 3), SLOW});

#define CUT(dim, start, length)                                                                                        \
    .params = &(const tuff__slice_params){dim, start, length}, .params_size = sizeof(tuff__slice_params)
TUFF_CASES(slice, {.inputs = {S1(1)}, CUT(0, 0, 1)}, {.inputs = {S1(33)}, CUT(0, 5, 20)},
           {.inputs = {S2(31, 33)}, CUT(0, 30, 1)}, {.inputs = {S2(31, 33)}, CUT(1, 1, 32)},
           {.inputs = {S3(5, 7, 9)}, CUT(1, 2, 3)}, {.inputs = {S4(2, 3, 5, 7)}, CUT(2, 0, 4)},
           {.inputs = {S4(2, 3, 5, 7)}, CUT(0, 1, 1)}, {.inputs = {S4(2, 3, 5, 7)}, CUT(3, 6, 1)},
           {.inputs = {INTEGERS({2, {9, 129}})}, CUT(1, 100, 29)}, {.inputs = {S3(8, 64, 96)}, CUT(1, 0, 1), SLOW},
           {.inputs = {S3(3, 101, 97)}, CUT(1, 1, 99), SLOW});

#define FILL(dim_, start_, ...)                                                                                        \
    .params = &(const tuff__slice_backward_params){.shape = __VA_ARGS__, .dim = dim_, .start = start_},                \
    .params_size = sizeof(tuff__slice_backward_params)
TUFF_CASES(slice_backward, {.inputs = {S1(1)}, FILL(0, 0, {1, {1}})}, {.inputs = {S1(20)}, FILL(0, 5, {1, {33}})},
           {.inputs = {S2(31, 32)}, FILL(1, 1, {2, {31, 33}})}, {.inputs = {S3(5, 3, 9)}, FILL(1, 2, {3, {5, 7, 9}})},
           {.inputs = {S4(2, 3, 5, 1)}, FILL(3, 6, {4, {2, 3, 5, 7}})},
           {.inputs = {S3(8, 1, 96)}, FILL(1, 0, {3, {8, 64, 96}})},
           {.inputs = {S3(3, 99, 97)}, FILL(1, 1, {3, {3, 101, 97}})});

#define JOIN(d) .params = &(const tuff__concat_params){d}, .params_size = sizeof(tuff__concat_params)
TUFF_CASES(concat, {.inputs = {S1(1)}, JOIN(0)}, {.inputs = {S1(3), S1(30)}, JOIN(0)},
           {.inputs = {S2(3, 5), S2(3, 31), S2(3, 1)}, JOIN(1)}, {.inputs = {S2(5, 33), S2(1, 33)}, JOIN(0)},
           {.inputs = {S4(2, 3, 5, 7), S4(2, 2, 5, 7)}, JOIN(1)}, {.inputs = {S4(2, 3, 5, 7), S4(2, 3, 5, 1)}, JOIN(3)},
           {.inputs = {S3(1, 2, 3), S3(1, 1, 3), S3(1, 4, 3), S3(1, 1, 3), S3(1, 2, 3), S3(1, 7, 3)}, JOIN(1)},
           {.inputs = {INTEGERS({2, {9, 12}}), INTEGERS({2, {9, 1}})}, JOIN(1)},
           {.inputs = {S3(3, 50, 97), S3(3, 51, 97)}, JOIN(1), SLOW});

#define REPEAT(d, n) .params = &(const tuff__expand_params){d, n}, .params_size = sizeof(tuff__expand_params)
TUFF_CASES(expand, {.inputs = {S1(1)}, REPEAT(0, 1)}, {.inputs = {S1(1)}, REPEAT(0, 257)},
           {.inputs = {S2(1, 33)}, REPEAT(0, 5)}, {.inputs = {S2(31, 1)}, REPEAT(1, 33)},
           {.inputs = {S3(3, 1, 5)}, REPEAT(1, 7)}, {.inputs = {S4(2, 3, 1, 5)}, REPEAT(2, 4)},
           {.inputs = {INTEGERS({2, {1, 9}})}, REPEAT(0, 3)}, {.inputs = {S3(3, 1, 97)}, REPEAT(1, 101), SLOW});
