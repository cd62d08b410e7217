/* test_attention.c: cases of attention and its backward operators: head sizes around each kernel's chunks, query and
 * key counts around its tiles, every mask, dropout, and heads of real models. */
#include "../../runtime/ops/attention.h"
#include "../op_case.h"

/* clang-format off: it takes the braces of initialisers for blocks */
#define PARAMS(heads, ...)                                                                                             \
    .params = &(const tuff__attention_params){.num_attention_heads = heads, __VA_ARGS__},                              \
    .params_size = sizeof(tuff__attention_params)
#define ROWS(b, t, c)                                                                                                  \
    {                                                                                                                  \
        .shape = { 3, {b, t, c} }                                                                                      \
    }
#define I32_VALUES(count, ...)                                                                                         \
    {                                                                                                                  \
        .shape = {1, {count}}, .dtype = TUFF_I32, .fill = TUFF__FILL_VALUES, .values = (const int32_t[])               \
        {                                                                                                              \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }
#define LENGTHS(...) I32_VALUES(sizeof((int32_t[]){__VA_ARGS__}) / 4, __VA_ARGS__)
#define STEP I32_VALUES(8, 0x1234567, 42, 7, 0, 0, 0, 0, 0)
#define ABSENT                                                                                                         \
    {                                                                                                                  \
        .absent = true                                                                                                 \
    }
#define QKV(b, tq, tk, c) ROWS(b, tq, c), ROWS(b, tk, c), ROWS(b, tk, c)
/* do, lse, delta */
#define GRADIENTS(b, h, tq, c)                                                                                         \
    ROWS(b, tq, c), {.shape = {3, {b, h, tq}}, .scale = 0.3f, .mean = 3.5f},                                           \
    {                                                                                                                  \
        .shape = { 3, {b, h, tq} }                                                                                     \
    }
/* clang-format on */

/* Every head size with or without dropout is a pipeline of its own to compile, so most cases share one. */
TUFF_CASES(
    attention,
    /* head sizes */
    {.inputs = {QKV(1, 1, 1, 1)}, PARAMS(1, .scale = 1.0f)}, {.inputs = {QKV(1, 3, 5, 24)}, PARAMS(2, .scale = 0.5f)},
    {.inputs = {QKV(2, 33, 33, 40)}, PARAMS(2, .scale = 0.25f)},
    {.inputs = {QKV(1, 31, 65, 66)}, PARAMS(2, .scale = 0.2f)},
    {.inputs = {QKV(1, 40, 35, 160)}, PARAMS(2, .scale = 0.1f)},
    {.inputs = {QKV(1, 18, 33, 129)}, PARAMS(1, .scale = 0.1f)},
    {.inputs = {QKV(1, 20, 37, 256)}, PARAMS(1, .scale = 0.06f)},
    /* lengths around the tiles; more queries than keys and fewer */
    {.inputs = {QKV(1, 63, 64, 24)}, PARAMS(2, .scale = 0.35f)},
    {.inputs = {QKV(1, 65, 129, 24)}, PARAMS(2, .scale = 0.35f)},
    {.inputs = {QKV(1, 257, 31, 12)}, PARAMS(1, .scale = 0.5f)},
    {.inputs = {QKV(3, 1, 130, 24)}, PARAMS(2, .scale = 0.3f)},
    /* masks */
    {.inputs = {QKV(2, 65, 65, 24)}, PARAMS(2, .scale = 0.3f, .causal = true)},
    {.inputs = {QKV(1, 5, 40, 24)}, PARAMS(2, .scale = 0.3f, .causal = true)},
    {.inputs = {QKV(1, 40, 5, 24)}, PARAMS(2, .scale = 0.3f, .causal = true)}, /* the first 35 queries see no key */
    {.inputs = {QKV(4, 34, 34, 24), LENGTHS(34, 1, 33, 17)}, PARAMS(2, .scale = 0.3f)},
    {.inputs = {QKV(3, 10, 70, 24), LENGTHS(0, 100, 35)}, PARAMS(2, .scale = 0.3f)}, /* none, and more than there are */
    {.inputs = {QKV(3, 40, 40, 24), LENGTHS(0, 3, 39)}, PARAMS(2, .scale = 0.3f, .causal = true)},
    /* scores far from 0 */
    {.inputs = {{.shape = {3, {1, 20, 12}}, .scale = 8}, {.shape = {3, {1, 50, 12}}, .scale = 8}, ROWS(1, 50, 12)},
     PARAMS(1, .scale = 0.25f),
     .no_gradient = "a step is too wide where the softmax is a maximum"},
    /* dropout */
    {.inputs = {QKV(2, 33, 37, 24), ABSENT, STEP}, PARAMS(2, .scale = 0.3f, .dropout = 0.25f, .site = 3)},
    {.inputs = {QKV(2, 40, 66, 36), LENGTHS(66, 31), STEP},
     PARAMS(3, .scale = 0.3f, .causal = true, .dropout = 0.5f, .site = 9)},
    /* MiniLM and BERT, two heads of each */
    {.inputs = {QKV(2, 128, 128, 64), LENGTHS(128, 77)}, PARAMS(2, .scale = 0.1767767f), .no_gradient = "slow"},
    {.inputs = {QKV(1, 130, 130, 128)}, PARAMS(2, .scale = 0.125f), .no_gradient = "slow"},
    /* one batch that exceeds a small binding: windows of queries and keys */
    {.inputs = {QKV(2, 150, 210, 120), LENGTHS(209, 90)}, PARAMS(6, .scale = 0.14f), .no_gradient = "slow"},
    {.inputs = {QKV(1, 67, 131, 129), LENGTHS(127)}, PARAMS(1, .scale = 0.1f), .no_gradient = "slow"},
    {.inputs = {QKV(1, 210, 210, 120), ABSENT, STEP},
     PARAMS(10, .scale = 0.14f, .causal = true, .dropout = 0.1f),
     .no_gradient = "slow"});

TUFF_CASES(attention_delta, {.inputs = {ROWS(1, 1, 1), ROWS(1, 1, 1)}, PARAMS(1, .scale = 1.0f)},
           {.inputs = {ROWS(2, 33, 24), ROWS(2, 33, 24)}, PARAMS(3, .scale = 1.0f)},
           {.inputs = {ROWS(3, 65, 256), ROWS(3, 65, 256)}, PARAMS(1, .scale = 1.0f)},
           {.inputs = {ROWS(2, 257, 60), ROWS(2, 257, 60)}, PARAMS(5, .scale = 1.0f)},
           {.inputs = {ROWS(2, 128, 384), ROWS(2, 128, 384)}, PARAMS(12, .scale = 1.0f)});

#define BACKWARD_CASES                                                                                                 \
    {.inputs = {QKV(1, 1, 1, 1), GRADIENTS(1, 1, 1, 1)}, PARAMS(1, .scale = 1.0f)},                                    \
        {.inputs = {QKV(2, 9, 12, 36), GRADIENTS(2, 3, 9, 36)}, PARAMS(3, .scale = 0.3f)},                             \
        {.inputs = {QKV(1, 33, 31, 40), GRADIENTS(1, 2, 33, 40)}, PARAMS(2, .scale = 0.25f)},                          \
        {.inputs = {QKV(1, 31, 65, 66), GRADIENTS(1, 2, 31, 66)}, PARAMS(2, .scale = 0.2f)},                           \
        {.inputs = {QKV(1, 65, 33, 80), GRADIENTS(1, 1, 65, 80)}, PARAMS(1, .scale = 0.12f)},                          \
        {.inputs = {QKV(1, 17, 34, 129), GRADIENTS(1, 1, 17, 129)}, PARAMS(1, .scale = 0.1f)},                         \
        {.inputs = {QKV(1, 34, 20, 256), GRADIENTS(1, 1, 34, 256)}, PARAMS(1, .scale = 0.06f)},                        \
        {.inputs = {QKV(2, 65, 65, 24), GRADIENTS(2, 2, 65, 24)}, PARAMS(2, .scale = 0.3f, .causal = true)},           \
        {.inputs = {QKV(1, 5, 70, 24), GRADIENTS(1, 2, 5, 24)}, PARAMS(2, .scale = 0.3f, .causal = true)},             \
        {.inputs = {QKV(1, 70, 5, 24), GRADIENTS(1, 2, 70, 24)}, PARAMS(2, .scale = 0.3f, .causal = true)},            \
        {.inputs = {QKV(4, 34, 36, 24), GRADIENTS(4, 2, 34, 24), LENGTHS(36, 0, 33, 17)}, PARAMS(2, .scale = 0.3f)},   \
        {.inputs = {QKV(2, 33, 37, 24), GRADIENTS(2, 2, 33, 24), ABSENT, STEP},                                        \
         PARAMS(2, .scale = 0.3f, .dropout = 0.25f, .site = 3)},                                                       \
        {.inputs = {QKV(1, 21, 22, 80), GRADIENTS(1, 1, 21, 80), ABSENT, STEP},                                        \
         PARAMS(1, .scale = 0.1f, .dropout = 0.5f)},                                                                   \
        {.inputs = {QKV(1, 21, 22, 129), GRADIENTS(1, 1, 21, 129), ABSENT, STEP},                                      \
         PARAMS(1, .scale = 0.1f, .dropout = 0.5f)},                                                                   \
        {.inputs = {QKV(2, 40, 66, 36), GRADIENTS(2, 3, 40, 36), LENGTHS(66, 31), STEP},                               \
         PARAMS(3, .scale = 0.3f, .causal = true, .dropout = 0.5f, .site = 9)},                                        \
        {.inputs = {QKV(2, 128, 128, 40), GRADIENTS(2, 2, 128, 40), LENGTHS(128, 77)},                                 \
         PARAMS(2, .scale = 0.1767767f)},                                                                              \
        {.inputs = {QKV(2, 150, 210, 120), GRADIENTS(2, 6, 150, 120), LENGTHS(209, 90)}, PARAMS(6, .scale = 0.14f)},   \
        {.inputs = {QKV(1, 67, 131, 129), GRADIENTS(1, 1, 67, 129), LENGTHS(127)}, PARAMS(1, .scale = 0.1f)},          \
    {                                                                                                                  \
        .inputs = {QKV(1, 210, 210, 120), GRADIENTS(1, 10, 210, 120), ABSENT, STEP},                                   \
        PARAMS(10, .scale = 0.14f, .causal = true, .dropout = 0.1f)                                                    \
    }

TUFF_CASES(attention_backward_kv, BACKWARD_CASES);
TUFF_CASES(attention_backward_q, BACKWARD_CASES);
