/*
 * fuse.c: owns the rewriting of a recorded graph before it is planned: an activation or an addition that alone reads a
 * matrix product becomes that product's epilogue, which saves a pass over memory. In a training graph the value before
 * an activation has a second reader, the gradient, and stays.
 */
#include "graph.h"
#include "ops/matmul.h"

#include <string.h>

static tuff_activation activation_of(tuff__op_id op)
{
    switch (op) {
    case TUFF__OP_GELU:
        return TUFF_ACTIVATION_GELU;
    case TUFF__OP_GELU_TANH:
        return TUFF_ACTIVATION_GELU_TANH;
    case TUFF__OP_SILU:
        return TUFF_ACTIVATION_SILU;
    case TUFF__OP_TANH:
        return TUFF_ACTIVATION_TANH;
    case TUFF__OP_RELU:
        return TUFF_ACTIVATION_RELU;
    default:
        return TUFF_ACTIVATION_NONE;
    }
}

/* The matmul node that makes `value`, if nothing but one node may see its result; else NULL. */
static tuff__node *sole_product(const tuff_graph *graph, const uint32_t *readers, uint32_t value)
{
    const tuff__value *v = &graph->values[value];
    if (!value || v->root != value || v->producer == TUFF__NO_NODE || readers[value] != 1 || v->is_output ||
        v->kind != TUFF__VALUE_INTERMEDIATE)
        return NULL;
    tuff__node *node = &graph->nodes[v->producer];
    const bool has_residual = node->input_count > TUFF__MATMUL_RESIDUAL && node->inputs[TUFF__MATMUL_RESIDUAL] != 0;
    return node->op == TUFF__OP_MATMUL && !node->dropped && !has_residual ? node : NULL;
}

/* Whether the product may read its inputs as late as `node` runs, and while `node` writes. */
static bool may_move(const tuff_graph *graph, const tuff__node *product, const tuff__node *node)
{
    for (uint32_t i = 0; i < product->input_count; i++)
        if (product->inputs[i] && tuff__graph_changes(graph, (size_t)(product - graph->nodes) + 1,
                                                      (size_t)(node - graph->nodes), product->inputs[i]))
            return false;
    return true;
}

/* Turns `node` into `product` with another epilogue: it runs where the node ran, so that all it reads is there. */
static bool absorb(tuff_graph *graph, tuff__node *node, tuff__node *product, tuff_activation activation,
                   uint32_t residual)
{
    tuff__matmul_params *params = tuff__arena_alloc(&graph->arena, sizeof *params);
    if (!params)
        return false; /* unfused is right too */
    *params = *(const tuff__matmul_params *)product->params;
    if (activation != TUFF_ACTIVATION_NONE)
        params->activation = activation;
    node->op = TUFF__OP_MATMUL;
    node->params = params;
    node->input_count = residual ? TUFF__MATMUL_RESIDUAL + 1 : product->input_count;
    memcpy(node->inputs, product->inputs, sizeof node->inputs);
    for (uint32_t i = product->input_count; i < TUFF__MAX_INPUTS; i++)
        node->inputs[i] = 0;
    if (residual)
        node->inputs[TUFF__MATMUL_RESIDUAL] = residual;
    product->dropped = true;
    return true;
}

static void fuse_activation(tuff_graph *graph, const uint32_t *readers, tuff__node *node)
{
    tuff__node *product = sole_product(graph, readers, node->inputs[0]);
    if (product && ((const tuff__matmul_params *)product->params)->activation == TUFF_ACTIVATION_NONE &&
        may_move(graph, product, node))
        absorb(graph, node, product, activation_of(node->op), 0);
}

static void fuse_residual(tuff_graph *graph, const uint32_t *readers, tuff__node *node)
{
    const tuff_shape *shape = &graph->values[node->outputs[0]].shape;
    for (uint32_t i = 0; i < 2; i++) {
        const uint32_t other = node->inputs[1 - i];
        tuff__node *product = sole_product(graph, readers, node->inputs[i]);
        if (product && other != node->inputs[i] && tuff__shape_equal(shape, &graph->values[other].shape) &&
            tuff__shape_equal(shape, &graph->values[node->inputs[i]].shape) && may_move(graph, product, node) &&
            absorb(graph, node, product, TUFF_ACTIVATION_NONE, other))
            return;
    }
}

void tuff__graph_fuse(tuff_graph *graph)
{
    uint32_t *readers = tuff__calloc(graph->value_count, sizeof *readers);
    if (!readers)
        return; /* unfused is right too */
    for (size_t n = 0; n < graph->node_count; n++)
        for (uint32_t i = 0; i < graph->nodes[n].input_count && !graph->nodes[n].dropped; i++)
            readers[graph->nodes[n].inputs[i]]++;
    for (size_t n = 0; n < graph->node_count; n++) {
        tuff__node *node = &graph->nodes[n];
        if (node->dropped)
            continue;
        if (activation_of(node->op) != TUFF_ACTIVATION_NONE)
            fuse_activation(graph, readers, node);
        else if (node->op == TUFF__OP_ADD)
            fuse_residual(graph, readers, node);
    }
    tuff__free(readers);
}
