/* bench_cases.c: owns the operators that `tuff bench` measures: MiniLM's shapes (hidden 384, 12 heads), 1,024 tokens. */
#include "bench.h"

#include "../ops/attention.h"
#include "../ops/cross_entropy.h"
#include "../ops/dropout.h"
#include "../ops/embedding.h"
#include "../ops/layer_norm.h"
#include "../ops/layout.h"
#include "../ops/matmul.h"
#include "../ops/optimizer.h"
#include "../ops/reduce.h"

/* clang-format off: it takes the braces of initialisers for blocks */
#define VECTOR(n)      {.shape = {1, {n}}}
#define MATRIX(m, n)   {.shape = {2, {m, n}}}
#define ROWS(b, t, c)  {.shape = {3, {b, t, c}}}
#define IDS(n, high_)  {.shape = {1, {n}}, .dtype = TUFF_I32, .high = high_}
#define STEP           {.shape = {1, {8}}, .dtype = TUFF_I32}
#define AROUND(n, m, s) {.shape = {1, {n}}, .mean = m, .scale = s}
#define ABSENT         {.absent = true}
#define PARAMS(type, ...) .params = &(const type){__VA_ARGS__}, .params_size = sizeof(type)
#define MATMUL(...)    .op = TUFF__OP_MATMUL, PARAMS(tuff__matmul_params, .alpha = 1, __VA_ARGS__)
#define HEADS          PARAMS(tuff__attention_params, .num_attention_heads = 12, .scale = 0.1767767F)
#define QKV            ROWS(8, 128, 384), ROWS(8, 128, 384), ROWS(8, 128, 384)
#define GRADIENTS      ROWS(8, 128, 384), {.shape = {3, {8, 12, 128}}, .mean = 5}, {.shape = {3, {8, 12, 128}}}

const tuff__bench_case tuff__bench_cases[] = {
    {"matmul nn", "1024x1024 · 1024x1024", MATMUL(.transpose_a = false), {MATRIX(1024, 1024), MATRIX(1024, 1024)}, 2},
    {"copy", "8388608", .op = TUFF__OP_COPY, .inputs = {VECTOR(8388608)}, .input_count = 1},
    {"matmul nt", "1024x1024 · 1024x1024", MATMUL(.transpose_b = true), {MATRIX(1024, 1024), MATRIX(1024, 1024)}, 2},
    {"matmul tn", "1024x1024 · 1024x1024", MATMUL(.transpose_a = true), {MATRIX(1024, 1024), MATRIX(1024, 1024)}, 2},
    {"matmul nt bias", "1024x384 · 384x384", MATMUL(.transpose_b = true),
     {MATRIX(1024, 384), MATRIX(384, 384), VECTOR(384)}, 3},
    {"matmul nt bias gelu", "1024x384 · 384x1536", MATMUL(.transpose_b = true, .activation = TUFF_ACTIVATION_GELU),
     {MATRIX(1024, 384), MATRIX(1536, 384), VECTOR(1536)}, 3},
    {"matmul nt bias residual", "1024x1536 · 1536x384", MATMUL(.transpose_b = true),
     {MATRIX(1024, 1536), MATRIX(384, 1536), VECTOR(384), MATRIX(1024, 384)}, 4},
    {"matmul nn", "1024x1536 · 1536x384", MATMUL(.transpose_b = false), {MATRIX(1024, 1536), MATRIX(1536, 384)}, 2},
    {"matmul tn", "1536x1024 · 1024x384", MATMUL(.transpose_a = true), {MATRIX(1024, 1536), MATRIX(1024, 384)}, 2},
    {"attention", "8x128, 12 heads of 32", .op = TUFF__OP_ATTENTION, HEADS, {QKV}, 3},
    {"attention_delta", "8x128, 12 heads of 32", .op = TUFF__OP_ATTENTION_DELTA, HEADS,
     {ROWS(8, 128, 384), ROWS(8, 128, 384)}, 2},
    {"attention_backward_kv", "8x128, 12 heads of 32", .op = TUFF__OP_ATTENTION_BACKWARD_KV, HEADS,
     {QKV, GRADIENTS}, 6},
    {"attention_backward_q", "8x128, 12 heads of 32", .op = TUFF__OP_ATTENTION_BACKWARD_Q, HEADS, {QKV, GRADIENTS}, 6},
    {"layer_norm residual", "1024x384", .op = TUFF__OP_LAYER_NORM, PARAMS(tuff__layer_norm_params, 1e-12F),
     {MATRIX(1024, 384), VECTOR(384), VECTOR(384), MATRIX(1024, 384)}, 4},
    {"layer_norm_backward", "1024x384", .op = TUFF__OP_LAYER_NORM_BACKWARD,
     .inputs = {MATRIX(1024, 384), VECTOR(384), VECTOR(1024), AROUND(1024, 1, 0.1F), MATRIX(1024, 384)},
     .input_count = 5},
    {"layer_norm_backward_affine", "1024x384", .op = TUFF__OP_LAYER_NORM_BACKWARD_AFFINE,
     .inputs = {MATRIX(1024, 384), VECTOR(1024), AROUND(1024, 1, 0.1F), MATRIX(1024, 384)}, .input_count = 4},
    {"gelu", "1024x1536", .op = TUFF__OP_GELU, .inputs = {MATRIX(1024, 1536)}, .input_count = 1},
    {"gelu_backward", "1024x1536", .op = TUFF__OP_GELU_BACKWARD,
     .inputs = {MATRIX(1024, 1536), MATRIX(1024, 1536)}, .input_count = 2},
    {"add", "1024x1536", .op = TUFF__OP_ADD, .inputs = {MATRIX(1024, 1536), MATRIX(1024, 1536)}, .input_count = 2},
    {"dropout", "1024x1536", .op = TUFF__OP_DROPOUT, PARAMS(tuff__dropout_params, .p = 0.1F),
     {MATRIX(1024, 1536), STEP}, 2},
    {"sum", "1024x1536, rows", .op = TUFF__OP_SUM, PARAMS(tuff__reduce_params, .dim = 0), {MATRIX(1024, 1536)}, 1},
    {"transpose", "8x12x128x32", .op = TUFF__OP_TRANSPOSE, PARAMS(tuff__transpose_params, .permutation = {0, 2, 1, 3}),
     {{.shape = {4, {8, 12, 128, 32}}}}, 1},
    {"embedding", "1024 of 30522x384", .op = TUFF__OP_EMBEDDING, .inputs = {MATRIX(30522, 384), IDS(1024, 30522)},
     .input_count = 2},
    {"embedding_backward", "1024 of 30522x384", .op = TUFF__OP_EMBEDDING_BACKWARD,
     PARAMS(tuff__embedding_backward_params, 30522), {IDS(1024, 30522), MATRIX(1024, 384)}, 2},
    {"cross_entropy", "256x30522", .op = TUFF__OP_CROSS_ENTROPY,
     PARAMS(tuff__cross_entropy_params, .ignore_index = -100), {MATRIX(256, 30522), IDS(256, 30522)}, 2},
    {"cross_entropy_backward", "256x30522", .op = TUFF__OP_CROSS_ENTROPY_BACKWARD,
     PARAMS(tuff__cross_entropy_params, .ignore_index = -100),
     {MATRIX(256, 30522), IDS(256, 30522), AROUND(256, 10.5F, 0.1F), AROUND(1, 256, 0.001F), VECTOR(1)}, 5},
    {"norm", "4194304", .op = TUFF__OP_NORM, .inputs = {VECTOR(4194304)}, .input_count = 1},
    {"adamw", "4194304", .op = TUFF__OP_ADAMW,
     PARAMS(tuff__adamw_params, .beta1 = 0.9F, .beta2 = 0.999F, .rest1 = 0.1F, .rest2 = 0.001F, .eps = 1e-8F,
            .weight_decay = 0.01F, .decay_count = 4000000),
     {VECTOR(4194304), VECTOR(4194304), VECTOR(4194304), AROUND(4194304, 1, 0.5F), ABSENT,
      STEP}, 6},
    {0},
};
