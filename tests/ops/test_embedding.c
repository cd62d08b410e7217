/* test_embedding.c: cases of embedding and its gradient: each id once, two ids thousands of times, ids out of range. */
#include "../op_case.h"
#include "../../runtime/ops/embedding.h"

#define IDS1(n, high_) {.shape = {1, {n}}, .dtype = TUFF_I32, .fill = TUFF__FILL_INTEGERS, .low = 0, .high = high_}
#define TABLE(rows, columns) {.shape = {2, {rows, columns}}}
static const int32_t stray[] = {0, -1, 6, 7, 2, 2, INT32_MIN, INT32_MAX, 6, 3};
#define STRAY {.shape = {1, {10}}, .dtype = TUFF_I32, .fill = TUFF__FILL_VALUES, .values = stray}

TUFF_CASES(embedding, {.inputs = {TABLE(1, 1), IDS1(1, 1)}}, {.inputs = {TABLE(7, 5), STRAY}},
           {.inputs = {TABLE(31, 33), IDS1(65, 31)}},
           {.inputs = {TABLE(257, 32), {.shape = {2, {5, 13}}, .dtype = TUFF_I32, .fill = TUFF__FILL_INTEGERS,
                                        .high = 257}}},
           {.inputs = {TABLE(3001, 96), {.shape = {2, {8, 32}}, .dtype = TUFF_I32, .fill = TUFF__FILL_INTEGERS,
                                         .high = 3001}}, .no_gradient = "slow"},
           {.inputs = {TABLE(2, 384), IDS1(200, 2)}, .no_gradient = "slow"});

#define ROWS(v)                                                                                                        \
    .params = &(const tuff__embedding_backward_params){v}, .params_size = sizeof(tuff__embedding_backward_params)
TUFF_CASES(embedding_backward, {.inputs = {IDS1(1, 1), TABLE(1, 1)}, ROWS(1)},
           {.inputs = {STRAY, TABLE(10, 5)}, ROWS(7)}, {.inputs = {IDS1(65, 31), TABLE(65, 33)}, ROWS(31)},
           {.inputs = {IDS1(129, 1000), TABLE(129, 31)}, ROWS(1000)},
           {.inputs = {{.shape = {2, {8, 32}}, .dtype = TUFF_I32, .fill = TUFF__FILL_INTEGERS, .high = 3001},
                       {.shape = {3, {8, 32, 96}}}}, ROWS(3001)},
           {.inputs = {IDS1(1000, 2), TABLE(1000, 40)}, ROWS(2)}, {.inputs = {IDS1(300, 5), TABLE(300, 256)}, ROWS(5)},
           /* more than the kernels take at a time */
           {.inputs = {IDS1(4500, 700), TABLE(4500, 5)}, ROWS(700)});
