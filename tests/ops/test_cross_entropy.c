/* test_cross_entropy.c: cases of cross_entropy and its gradient: ignored and out-of-range labels, label smoothing, large
 * logits, no counted row, a vocabulary longer than a workgroup. */
#include "../op_case.h"
#include "../../runtime/ops/cross_entropy.h"

#define PARAMS(smoothing)                                                                                              \
    .params = &(const tuff__cross_entropy_params){smoothing, -100}, .params_size = sizeof(tuff__cross_entropy_params)
#define LOGITS(rows, columns) {.shape = {2, {rows, columns}}}
#define LABELS(n, low_, high_)                                                                                         \
    {.shape = {1, {n}}, .dtype = TUFF_I32, .fill = TUFF__FILL_INTEGERS, .low = low_, .high = high_}
static const int32_t some_ignored[] = {3, -100, 0, 5, -1, 6, 7, -100, INT32_MAX};
static const int32_t all_ignored[] = {-100, -100, -7};
#define SOME {.shape = {1, {9}}, .dtype = TUFF_I32, .fill = TUFF__FILL_VALUES, .values = some_ignored}
#define NONE {.shape = {1, {3}}, .dtype = TUFF_I32, .fill = TUFF__FILL_VALUES, .values = all_ignored}

TUFF_CASES(cross_entropy, {.inputs = {LOGITS(1, 1), LABELS(1, 0, 1)}, PARAMS(0)},
           {.inputs = {LOGITS(5, 2), LABELS(5, 0, 2)}, PARAMS(0)}, {.inputs = {LOGITS(9, 7), SOME}, PARAMS(0)},
           {.inputs = {LOGITS(9, 7), SOME}, PARAMS(0.1F)}, {.inputs = {LOGITS(3, 4), NONE}, PARAMS(0.1F)},
           {.inputs = {LOGITS(33, 31), LABELS(33, 0, 31)}, PARAMS(0.25F)},
           {.inputs = {LOGITS(4, 257), LABELS(4, -1, 257)}, PARAMS(0)},
           {.inputs = {{.shape = {2, {6, 40}}, .scale = 30, .mean = 1000}, LABELS(6, 0, 40)}, PARAMS(0),
            .no_gradient = "the reference writes f32, whose rounding of 1000 swamps a difference"},
           {.inputs = {LOGITS(17, 5003), LABELS(17, 0, 5003)}, PARAMS(0), .no_gradient = "slow"},
           {.inputs = {LOGITS(1000, 7), LABELS(1000, 0, 7)}, PARAMS(0), .no_gradient = "slow"},
           {.inputs = {LOGITS(9000, 2), LABELS(9000, -1, 2)}, PARAMS(0), .no_gradient = "slow"});

#define VECTOR(n) {.shape = {1, {n}}}
#define LSE(n, mean_) {.shape = {1, {n}}, .mean = mean_, .scale = 0.1F}
#define COUNT(n) {.shape = {1, {1}}, .mean = n, .scale = 1e-30F}
TUFF_CASES(cross_entropy_backward,
           {.inputs = {LOGITS(1, 1), LABELS(1, 0, 1), LSE(1, 1), COUNT(1), VECTOR(1)}, PARAMS(0)},
           {.inputs = {LOGITS(9, 7), SOME, LSE(9, 2.4F), COUNT(4), VECTOR(1)}, PARAMS(0)},
           {.inputs = {LOGITS(9, 7), SOME, LSE(9, 2.4F), COUNT(4), VECTOR(1)}, PARAMS(0.1F)},
           {.inputs = {LOGITS(3, 4), NONE, LSE(3, 2), COUNT(0), VECTOR(1)}, PARAMS(0)},
           {.inputs = {LOGITS(33, 31), LABELS(33, 0, 31), LSE(33, 4), COUNT(33), VECTOR(1)}, PARAMS(0.25F)},
           {.inputs = {LOGITS(17, 5003), LABELS(17, 0, 5003), LSE(17, 9), COUNT(17), VECTOR(1)}, PARAMS(0)},
           {.inputs = {LOGITS(1000, 7), LABELS(1000, 0, 7), LSE(1000, 2.5F), COUNT(1000), VECTOR(1)}, PARAMS(0)});
