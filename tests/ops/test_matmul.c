/* test_matmul.c: cases of matmul: each layout, batches, epilogues, sizes around the tiles, long k (which is split), and
 * shapes of real models. */
#include "../../runtime/ops/matmul.h"
#include "../op_case.h"

/* clang-format off: it takes the braces of initialisers for blocks */
#define PARAMS(...) .params = &(const tuff__matmul_params){__VA_ARGS__}, .params_size = sizeof(tuff__matmul_params)
#define NN PARAMS(.alpha = 1)
#define NT PARAMS(.transpose_b = true, .alpha = 1)
#define TN PARAMS(.transpose_a = true, .alpha = 1)
#define MATRIX(rows, columns)                                                                                          \
    {                                                                                                                  \
        .shape = { 2, {rows, columns} }                                                                                \
    }
#define BATCH(count, rows, columns)                                                                                    \
    {                                                                                                                  \
        .shape = { 3, {count, rows, columns} }                                                                         \
    }
#define ROW(columns)                                                                                                   \
    {                                                                                                                  \
        .shape = { 1, {columns} }                                                                                      \
    }
#define ABSENT                                                                                                         \
    {                                                                                                                  \
        .absent = true                                                                                                 \
    }
/* clang-format on */

TUFF_CASES(
    matmul,
    /* sizes around every tile, in every layout */
    {.inputs = {MATRIX(1, 1), MATRIX(1, 1)}, NN}, {.inputs = {MATRIX(3, 5), MATRIX(5, 2)}, NN},
    {.inputs = {MATRIX(31, 33), MATRIX(33, 32)}, NN}, {.inputs = {MATRIX(32, 16), MATRIX(32, 16)}, NT},
    {.inputs = {MATRIX(33, 31), MATRIX(65, 31)}, NT}, {.inputs = {MATRIX(17, 64), MATRIX(17, 63)}, TN},
    {.inputs = {MATRIX(36, 12), MATRIX(36, 20)}, TN}, {.inputs = {MATRIX(127, 129), MATRIX(129, 131)}, NN},
    {.inputs = {MATRIX(129, 65), MATRIX(97, 65)}, NT}, {.inputs = {MATRIX(257, 64), MATRIX(257, 129)}, TN},
    {.inputs = {MATRIX(128, 128), MATRIX(128, 128)}, NN}, {.inputs = {MATRIX(1, 257), MATRIX(257, 255)}, NN},
    {.inputs = {MATRIX(255, 1), MATRIX(1, 256)}, NN}, {.inputs = {MATRIX(5, 1023), MATRIX(1, 1023)}, NT},
    {.inputs = {MATRIX(20, 30), MATRIX(30, 18)}, PARAMS(.alpha = -0.375f)},
    /* enough tiles for the largest of them, with tails */
    {.inputs = {MATRIX(1409, 20), MATRIX(1411, 20)}, NT, .no_gradient = "1409·1411 outputs a difference take long"},
    {.inputs = {BATCH(128, 5, 7), BATCH(128, 7, 9)}, NN}, {.inputs = {BATCH(128, 20, 36), BATCH(128, 36, 24)}, NN},
    {.inputs = {BATCH(128, 9, 35), BATCH(128, 35, 13)}, NN}, {.inputs = {BATCH(128, 5, 33), BATCH(128, 9, 33)}, NT},
    {.inputs = {BATCH(128, 36, 20), BATCH(128, 36, 24)}, TN}, {.inputs = {BATCH(128, 33, 5), BATCH(128, 33, 9)}, TN},
    {.inputs = {BATCH(128, 20, 36), BATCH(128, 24, 36), ROW(24), BATCH(128, 20, 24)},
     PARAMS(.transpose_b = true, .alpha = 0.5f, .activation = TUFF_ACTIVATION_GELU)},
    /* few results and a long sum: k is split */
    {.inputs = {MATRIX(1030, 48), MATRIX(1030, 36)}, TN}, {.inputs = {MATRIX(33, 2049), MATRIX(2049, 17)}, NN},
    {.inputs = {MATRIX(16, 1024), MATRIX(24, 1024), ROW(24), MATRIX(16, 24)},
     PARAMS(.transpose_b = true, .alpha = 0.5f, .activation = TUFF_ACTIVATION_GELU)},
    {.inputs = {BATCH(3, 515, 12), BATCH(3, 515, 20)}, TN},
    /* batches */
    {.inputs = {BATCH(3, 7, 9), BATCH(3, 9, 5)}, NN}, {.inputs = {BATCH(2, 33, 20), BATCH(2, 40, 20)}, NT},
    {.inputs = {BATCH(5, 12, 33), BATCH(5, 12, 8)}, TN}, {.inputs = {BATCH(4, 9, 16), MATRIX(16, 12)}, NN},
    {.inputs = {BATCH(4, 9, 15), MATRIX(13, 15), ROW(13)}, NT}, {.inputs = {BATCH(4, 15, 9), MATRIX(15, 13)}, TN},
    {.inputs = {{.shape = {4, {2, 3, 17, 8}}}, {.shape = {4, {2, 3, 19, 8}}}}, NT},
    {.inputs = {{.shape = {4, {2, 3, 5, 8}}}, MATRIX(8, 6)}, NN},
    {.inputs = {{.shape = {4, {2, 3, 8, 5}}}, MATRIX(8, 6)}, TN},
    /* epilogues */
    {.inputs = {MATRIX(33, 20), MATRIX(20, 37), ROW(37)}, NN},
    {.inputs = {MATRIX(33, 20), MATRIX(20, 37), ABSENT, MATRIX(33, 37)}, NN},
    {.inputs = {BATCH(2, 17, 20), MATRIX(36, 20), ROW(36), BATCH(2, 17, 36)}, NT},
    {.inputs = {BATCH(2, 17, 20), BATCH(2, 20, 36), ROW(36), BATCH(2, 17, 36)}, NN},
    {.inputs = {MATRIX(40, 24), MATRIX(24, 70), ROW(70)}, PARAMS(.alpha = 0.25f, .activation = TUFF_ACTIVATION_GELU)},
    {.inputs = {MATRIX(40, 24), MATRIX(24, 70), ROW(70)},
     PARAMS(.alpha = 0.25f, .activation = TUFF_ACTIVATION_GELU_TANH)},
    {.inputs = {MATRIX(40, 24), MATRIX(24, 70), ROW(70), MATRIX(40, 70)},
     PARAMS(.alpha = 0.25f, .activation = TUFF_ACTIVATION_SILU)},
    {.inputs = {MATRIX(40, 24), MATRIX(24, 70), ROW(70)}, PARAMS(.alpha = 0.25f, .activation = TUFF_ACTIVATION_TANH)},
    {.inputs = {MATRIX(40, 24), MATRIX(24, 70), ROW(70), MATRIX(40, 70)},
     PARAMS(.alpha = 0.25f, .activation = TUFF_ACTIVATION_TANH)},
    {.inputs = {MATRIX(40, 24), MATRIX(24, 70), ROW(70)},
     PARAMS(.alpha = 0.25f, .activation = TUFF_ACTIVATION_RELU),
     .no_gradient = "a difference across the kink"},
    /* sums whose terms all have one sign */
    {.inputs = {{.shape = {2, {32, 512}}, .fill = TUFF__FILL_POSITIVE},
                {.shape = {2, {512, 40}}, .fill = TUFF__FILL_POSITIVE}},
     NN},
    /* MiniLM: one projection of 64 tokens; its intermediate layer */
    {.inputs = {BATCH(2, 32, 384), MATRIX(384, 384), ROW(384), BATCH(2, 32, 384)}, NT, .no_gradient = "slow"},
    {.inputs = {MATRIX(48, 384), MATRIX(1536, 384), ROW(1536)},
     PARAMS(.transpose_b = true, .alpha = 1, .activation = TUFF_ACTIVATION_GELU),
     .no_gradient = "slow"});
