/* test_dropout.c: cases of dropout: blocks of four cut anywhere, extreme probabilities, other seeds, steps and sites. */
#include "../op_case.h"
#include "../../runtime/ops/dropout.h"

static const tuff_step_parameters first_step = {.seed = {42, 0}};
static const tuff_step_parameters later_step = {.seed = {0x9E3779B9u, 0xFFFFFFFFu}, .step = 12345};

#define STEP(s) {.shape = {1, {8}}, .dtype = TUFF_I32, .fill = TUFF__FILL_VALUES, .values = &(s)}
#define PARAMS(...) .params = &(const tuff__dropout_params){__VA_ARGS__}, .params_size = sizeof(tuff__dropout_params)
#define X1(n) {.shape = {1, {n}}}

TUFF_CASES(dropout, {.inputs = {X1(1), STEP(first_step)}, PARAMS(0.5F, 0)},
           {.inputs = {X1(3), STEP(first_step)}, PARAMS(0.1F, 1)},
           {.inputs = {X1(5), STEP(later_step)}, PARAMS(0.9F, 2)},
           {.inputs = {X1(513), STEP(later_step)}, PARAMS(0.1F, 4000000000u)},
           {.inputs = {{.shape = {2, {31, 33}}}, STEP(first_step)}, PARAMS(0.0F, 7)},
           {.inputs = {{.shape = {3, {3, 7, 257}}}, STEP(first_step)}, PARAMS(0.99999994F, 7)},
           {.inputs = {{.shape = {3, {4, 32, 384}}}, STEP(later_step)}, PARAMS(0.1F, 11), .no_gradient = "slow"});
