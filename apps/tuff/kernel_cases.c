/*
 * kernel_cases.c: owns the list of graphs that `tuff kernels` compiles. Each operator is recorded, forward and
 * backward, with every value of what its pipelines are specialized by: transposes, epilogues, activations, alignment,
 * head size, dtypes, and sizes on both sides of each choice of a kernel. The graphs are never run, so they may be
 * small.
 */
#include "kernel_cases.h"

#include <stdio.h>

static tuff_tensor input(const tuff__kernel_case *c, tuff_shape shape)
{
    return tuff_graph_input(c->graph, "x", TUFF_F32, shape);
}

static tuff_tensor integers(const tuff__kernel_case *c, tuff_shape shape)
{
    return tuff_graph_input(c->graph, "ids", TUFF_I32, shape);
}

static void add_output(tuff__kernel_case *c, tuff_tensor tensor)
{
    c->outputs[c->output_count++] = tensor;
}

/* The gradients of the sum of all of y with respect to `wrt` become outputs, besides y. */
static void add_gradients(tuff__kernel_case *c, tuff_tensor y, const tuff_tensor *wrt, uint32_t count)
{
    const tuff_shape shape = tuff_tensor_shape(c->graph, y);
    const tuff_tensor flat = tuff_reshape(c->graph, y, TUFF_SHAPE(tuff_shape_count(&shape)));
    add_output(c, y);
    tuff_graph_backward(c->graph, tuff_sum(c->graph, flat, 0), wrt, count, c->outputs + c->output_count);
    c->output_count += count;
}

/* -- matrix product ----------------------------------------------------------------------------------------------- */

typedef enum epilogues { NONE_OR_BOTH = 2, PLAIN = 4, ALL = 9 } epilogues;

/* Sizes: a few tiles; many tiles; a k so long that it is split; each read in fours and one by one. What an element goes
 * through at the end does not depend on how it was read, so the odd sizes have fewer epilogues. */
static const struct {
    const char *name;
    int64_t batch, m, n, k;
    epilogues epilogues;
} matmul_sizes[] = {
    {"few tiles", 1, 8, 8, 8, ALL},    {"few tiles, odd", 1, 5, 7, 3, NONE_OR_BOTH},
    {"many tiles", 128, 4, 4, 4, ALL}, {"many tiles, odd", 128, 3, 5, 7, NONE_OR_BOTH},
    {"long k", 1, 8, 8, 4096, ALL},    {"long k, odd", 1, 5, 7, 4099, NONE_OR_BOTH},
};

/* Epilogue number i of a size. */
typedef struct epilogue {
    bool bias, residual;
    tuff_activation activation;
} epilogue;

static epilogue epilogue_of(epilogues kind, uint32_t i)
{
    if (kind == NONE_OR_BOTH)
        return (epilogue){.bias = i == 1, .residual = i == 1};
    if (i < PLAIN)
        return (epilogue){.bias = i & 1, .residual = i & 2};
    return (epilogue){.bias = true, .activation = (tuff_activation)(i - PLAIN + 1)};
}

static void add_product(tuff__kernel_case *c, uint32_t size, uint32_t transposes, epilogue e)
{
    static const char *const activations[] = {"", " gelu", " gelu_tanh", " silu", " tanh", " relu"};
    const int64_t batch = matmul_sizes[size].batch, m = matmul_sizes[size].m, n = matmul_sizes[size].n;
    const int64_t k = matmul_sizes[size].k;
    const tuff_matmul_info info = {
        .transpose_a = transposes == 1,
        .transpose_b = transposes == 2,
        .bias = e.bias ? input(c, TUFF_SHAPE(n)) : (tuff_tensor){0},
        .activation = e.activation,
        .residual = e.residual ? input(c, TUFF_SHAPE(batch, m, n)) : (tuff_tensor){0},
    };
    const tuff_tensor a = input(c, info.transpose_a ? TUFF_SHAPE(batch, k, m) : TUFF_SHAPE(batch, m, k));
    const tuff_tensor b = input(c, info.transpose_b ? TUFF_SHAPE(batch, n, k) : TUFF_SHAPE(batch, k, n));
    add_output(c, tuff_matmul(c->graph, a, b, &info));
    snprintf(c->name, sizeof c->name, "%c%c%s%s%s, %s", info.transpose_a ? 't' : 'n', info.transpose_b ? 't' : 'n',
             e.bias ? " bias" : "", activations[e.activation], e.residual ? " residual" : "", matmul_sizes[size].name);
}

static void build_matmul(tuff__kernel_case *c)
{
    enum { SIZES = sizeof matmul_sizes / sizeof matmul_sizes[0], TRANSPOSES = 3 }; /* none, a, b; both is refused */
    uint32_t left = c->step;
    for (uint32_t size = 0; size < SIZES; size++) {
        const uint32_t count = TRANSPOSES * (uint32_t)matmul_sizes[size].epilogues;
        if (left < count) {
            add_product(c, size, left % TRANSPOSES, epilogue_of(matmul_sizes[size].epilogues, left / TRANSPOSES));
            c->last = size + 1 == SIZES && left + 1 == count;
            return;
        }
        left -= count;
    }
}

/* -- attention ---------------------------------------------------------------------------------------------------- */

static void add_attention(tuff__kernel_case *c, int64_t head_size, uint32_t masks)
{
    const bool causal = masks & 1, lengths = masks & 2, dropout = masks & 4;
    const int64_t batch = 2, tokens = 70, hidden = 2 * head_size;
    const tuff_tensor q = input(c, TUFF_SHAPE(batch, tokens, hidden)), k = input(c, TUFF_SHAPE(batch, tokens, hidden)),
                      v = input(c, TUFF_SHAPE(batch, tokens, hidden));
    const tuff_attention_info info = {
        .num_attention_heads = 2,
        .causal = causal,
        .key_lengths = lengths ? integers(c, TUFF_SHAPE(batch)) : (tuff_tensor){0},
        .dropout = dropout ? 0.1F : 0,
        .step_parameters = dropout ? tuff_graph_step_parameters(c->graph) : (tuff_tensor){0},
    };
    add_gradients(c, tuff_attention(c->graph, q, k, v, &info), (const tuff_tensor[]){q, k, v}, 3);
    snprintf(c->name, sizeof c->name, "head size %d%s%s%s", (int)head_size, causal ? " causal" : "",
             lengths ? " key lengths" : "", dropout ? " dropout" : "");
}

/* Every mask at one head size; the emptiest and the fullest at the others, whose tensors need not be cut again. */
static void build_attention(tuff__kernel_case *c)
{
    static const int64_t head_sizes[] = {1, 20, 32, 96, 128, 256};
    enum { HEAD_SIZES = sizeof head_sizes / sizeof head_sizes[0], MASKS = 8 };
    if (c->step < MASKS)
        add_attention(c, 64, c->step);
    else
        add_attention(c, head_sizes[(c->step - MASKS) / 2], c->step % 2 ? MASKS - 1 : 0);
    c->last = c->step + 1 == (c->split ? MASKS : MASKS + 2 * HEAD_SIZES);
}

/* -- rows: norms and losses --------------------------------------------------------------------------------------- */

/* A row gets more invocations the longer it is; these lengths meet each choice. */
static const int64_t row_lengths[] = {3, 16, 33, 64, 100, 130, 200, 260, 400, 520, 1000, 1030, 5000};
enum { ROW_LENGTHS = sizeof row_lengths / sizeof row_lengths[0] };

static void build_layer_norm(tuff__kernel_case *c)
{
    const int64_t columns = row_lengths[c->step / 2];
    const bool fused = c->step & 1;
    const tuff_tensor x = input(c, TUFF_SHAPE(9, columns)), weight = input(c, TUFF_SHAPE(columns)),
                      bias = input(c, TUFF_SHAPE(columns));
    const tuff_tensor residual = fused ? input(c, TUFF_SHAPE(9, columns)) : (tuff_tensor){0};
    add_gradients(c, tuff_layer_norm(c->graph, x, residual, weight, bias, 1e-5F),
                  (const tuff_tensor[]){x, weight, bias, residual}, fused ? 4 : 3);
    snprintf(c->name, sizeof c->name, "%d columns%s", (int)columns, fused ? " residual" : "");
    c->last = c->step + 1 == ROW_LENGTHS * 2;
}

static void build_cross_entropy(tuff__kernel_case *c)
{
    const int64_t columns = row_lengths[c->step / 2];
    const bool smoothed = c->step & 1;
    const tuff_tensor logits = input(c, TUFF_SHAPE(9, columns));
    const tuff_tensor loss = tuff_cross_entropy(c->graph, logits, integers(c, TUFF_SHAPE(9)), smoothed ? 0.1F : 0.0F);
    add_gradients(c, loss, &logits, 1);
    snprintf(c->name, sizeof c->name, "%d classes%s", (int)columns, smoothed ? " smoothed" : "");
    c->last = c->step + 1 == ROW_LENGTHS * 2;
}

static void build_reduction(tuff__kernel_case *c)
{
    const int64_t columns = row_lengths[c->step / 3];
    const uint32_t dim = c->step % 3;
    tuff_shape shape = TUFF_SHAPE(7, 8, 9);
    shape.dims[dim] = columns;
    const tuff_tensor x = input(c, shape);
    const tuff_tensor sum = tuff_sum(c->graph, x, dim), mean = tuff_mean(c->graph, x, dim);
    add_output(c, sum);
    add_output(c, tuff_argmax(c->graph, x, dim));
    add_gradients(c, mean, &x, 1);
    add_gradients(c, tuff_max(c->graph, x, dim), &x, 1);
    snprintf(c->name, sizeof c->name, "%d over dimension %u", (int)columns, dim);
    c->last = c->step + 1 == ROW_LENGTHS * 3;
}

/* -- element by element ------------------------------------------------------------------------------------------- */

static void build_unary(tuff__kernel_case *c)
{
    const tuff_tensor x = input(c, TUFF_SHAPE(5, 33));
    if (c->step == 5) {
        add_gradients(c, tuff_scale(c->graph, x, 3.0F), &x, 1);
        snprintf(c->name, sizeof c->name, "scale");
        c->last = true;
        return;
    }
    static const char *const names[] = {"gelu", "gelu_tanh", "silu", "tanh", "relu"};
    add_gradients(c, tuff_activate(c->graph, x, (tuff_activation)(c->step + 1)), &x, 1);
    snprintf(c->name, sizeof c->name, "%s", names[c->step]);
}

static void build_binary(tuff__kernel_case *c)
{
    const tuff_shape shapes[] = {TUFF_SHAPE(5, 33), TUFF_SHAPE(33), TUFF_SHAPE(5, 1), TUFF_SHAPE(1)};
    const tuff_tensor a = input(c, TUFF_SHAPE(5, 33)), b = input(c, shapes[c->step / 2]);
    const bool multiplies = c->step & 1;
    const tuff_tensor y = multiplies ? tuff_mul(c->graph, a, b) : tuff_add(c->graph, a, b);
    add_gradients(c, y, (const tuff_tensor[]){a, b}, 2);
    snprintf(c->name, sizeof c->name, "%s, shape %u of b", multiplies ? "mul" : "add", c->step / 2);
    c->last = c->step == 7;
}

static void build_cast(tuff__kernel_case *c)
{
    static const struct {
        tuff_dtype from, to;
    } pairs[] = {{TUFF_F32, TUFF_F16},  {TUFF_F32, TUFF_BF16}, {TUFF_F16, TUFF_F32}, {TUFF_BF16, TUFF_F32},
                 {TUFF_F16, TUFF_BF16}, {TUFF_BF16, TUFF_F16}, {TUFF_I32, TUFF_F32}};
    const tuff_tensor x = tuff_graph_input(c->graph, "x", pairs[c->step].from, TUFF_SHAPE(5, 33));
    add_output(c, tuff_cast(c->graph, x, pairs[c->step].to));
    snprintf(c->name, sizeof c->name, "dtype %d to %d", (int)pairs[c->step].from, (int)pairs[c->step].to);
    c->last = c->step + 1 == sizeof pairs / sizeof pairs[0];
}

static void build_dropout(tuff__kernel_case *c)
{
    const tuff_tensor x = input(c, TUFF_SHAPE(5, 33));
    add_gradients(c, tuff_dropout(c->graph, x, 0.1F, tuff_graph_step_parameters(c->graph)), &x, 1);
    snprintf(c->name, sizeof c->name, "p 0.1");
    c->last = true;
}

/* -- layout, embedding, optimizer --------------------------------------------------------------------------------- */

static void build_layout(tuff__kernel_case *c)
{
    const uint32_t permutation[] = {2, 0, 1};
    const tuff_tensor x = input(c, TUFF_SHAPE(5, 6, 33)), one = input(c, TUFF_SHAPE(5, 1, 33));
    const tuff_tensor both[] = {x, one};
    add_output(c, tuff_full(c->graph, TUFF_SHAPE(7, 3), 2.0F));
    add_gradients(c, tuff_copy(c->graph, x), &x, 1);
    add_gradients(c, tuff_transpose(c->graph, x, permutation), &x, 1);
    add_gradients(c, tuff_slice(c->graph, x, 1, 2, 3), &x, 1);
    add_gradients(c, tuff_concat(c->graph, both, 2, 1), both, 2);
    add_gradients(c, tuff_expand(c->graph, one, 1, 4), &one, 1);
    snprintf(c->name, sizeof c->name, "all");
    c->last = true;
}

static void build_embedding(tuff__kernel_case *c)
{
    static const int64_t columns[] = {1, 7, 64, 300};
    const tuff_tensor table = input(c, TUFF_SHAPE(50, columns[c->step]));
    add_gradients(c, tuff_embedding(c->graph, table, integers(c, TUFF_SHAPE(3, 11))), &table, 1);
    snprintf(c->name, sizeof c->name, "%d columns", (int)columns[c->step]);
    c->last = c->step + 1 == sizeof columns / sizeof columns[0];
}

static void build_optimizer(tuff__kernel_case *c)
{
    const bool clips = c->step & 1;
    const tuff_tensor gradient = input(c, TUFF_SHAPE(5000));
    const tuff_tensor param = input(c, TUFF_SHAPE(5000)), m = input(c, TUFF_SHAPE(5000)),
                      v = input(c, TUFF_SHAPE(5000));
    const tuff_adamw_info info = {
        .weight_decay = 0.01F,
        .decay_count = 4000,
        .max_grad_norm = clips ? 1.0F : 0,
        .norm = clips ? tuff_norm(c->graph, gradient) : (tuff_tensor){0},
        .step_parameters = tuff_graph_step_parameters(c->graph),
    };
    add_output(c, tuff_adamw(c->graph, param, gradient, m, v, &info));
    snprintf(c->name, sizeof c->name, "adamw%s", clips ? " clipping" : "");
    c->last = clips;
}

const tuff__kernel_family tuff__kernel_families[] = {
    {"matmul", TUFF__OP_MATMUL, build_matmul},
    {"attention", TUFF__OP_ATTENTION, build_attention},
    {"layer_norm", TUFF__OP_NONE, build_layer_norm},
    {"cross_entropy", TUFF__OP_NONE, build_cross_entropy},
    {"reduction", TUFF__OP_NONE, build_reduction},
    {"unary", TUFF__OP_NONE, build_unary},
    {"binary", TUFF__OP_NONE, build_binary},
    {"cast", TUFF__OP_NONE, build_cast},
    {"dropout", TUFF__OP_NONE, build_dropout},
    {"layout", TUFF__OP_NONE, build_layout},
    {"embedding", TUFF__OP_NONE, build_embedding},
    {"optimizer", TUFF__OP_NONE, build_optimizer},
    {NULL, TUFF__OP_NONE, NULL},
};
