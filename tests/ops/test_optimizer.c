/* test_optimizer.c: cases of norm and adamw: blocks cut anywhere, with and without decay and clipping, the first step and a
 * late one. */
#include "../op_case.h"
#include "../../runtime/ops/optimizer.h"

#define X1(n) {.shape = {1, {n}}}
TUFF_CASES(norm, {.inputs = {X1(1)}}, {.inputs = {X1(33)}}, {.inputs = {X1(127)}}, {.inputs = {X1(4095)}},
           {.inputs = {X1(4096)}}, {.inputs = {X1(4097)}}, {.inputs = {{.shape = {1, {100003}}, .scale = 1e-3F}}},
           {.inputs = {{.shape = {2, {301, 257}}, .scale = 1e4F}}}, {.inputs = {X1(600011)}});

static const tuff_step_parameters first_step = {
    .learning_rate = 5e-5F, .bias_correction1 = 0.1F, .bias_correction2_sqrt = 0.0316227766F};
static const tuff_step_parameters late_step = {
    .step = 999, .learning_rate = 1e-3F, .bias_correction1 = 1.0F, .bias_correction2_sqrt = 0.795190499F};
#define STEP(s) {.shape = {1, {8}}, .dtype = TUFF_I32, .fill = TUFF__FILL_VALUES, .values = &(s)}
#define ADAMW(decay_, count_, clip_)                                                                                   \
    .params = &(const tuff__adamw_params){.beta1 = 0.9F, .beta2 = 0.999F, .rest1 = 0.1F, .rest2 = 0.001F,              \
                                          .eps = 1e-8F, .weight_decay = decay_, .decay_count = count_,                 \
                                          .max_grad_norm = clip_},                                                     \
    .params_size = sizeof(tuff__adamw_params)
#define STATE(n) X1(n), X1(n), {.shape = {1, {n}}, .scale = 0.1F}, {.shape = {1, {n}}, .fill = TUFF__FILL_POSITIVE,     \
                                                                    .mean = 1e-3F, .scale = 0.01F}
#define NORM_OF(x) {.shape = {1, {1}}, .mean = x, .scale = 0.01F}
#define ABSENT {.absent = true}
TUFF_CASES(adamw, {.inputs = {STATE(1), ABSENT, STEP(first_step)}, ADAMW(0, 0, 0)},
           {.inputs = {STATE(33), ABSENT, STEP(first_step)}, ADAMW(0.01F, 33, 0)},
           {.inputs = {STATE(257), NORM_OF(3), STEP(first_step)}, ADAMW(0.01F, 100, 1)},
           {.inputs = {STATE(257), NORM_OF(0.3F), STEP(late_step)}, ADAMW(0.1F, 1, 1)},
           {.inputs = {STATE(1025), NORM_OF(3), STEP(late_step)}, ADAMW(0.01F, 1000, 0)},
           {.inputs = {STATE(40009), NORM_OF(30), STEP(late_step)}, ADAMW(0.01F, 20000, 1)});
