/*
 * overlap.c: owns the question which values lie in one memory, which caller's buffers make possible, and what a write
 * there would change. plan.c puts such accesses in order; what order alone cannot make right is found here.
 */
#include "graph.h"

bool tuff__slices_overlap(const tuff__slice *a, const tuff__slice *b)
{
    return a->buffer == b->buffer && a->offset < b->offset + b->size && b->offset < a->offset + a->size;
}

static const tuff__value *root_of(const tuff_graph *graph, uint32_t id)
{
    return &graph->values[graph->values[id].root];
}

static bool share_memory(const tuff_graph *graph, uint32_t a, uint32_t b)
{
    const tuff__value *one = root_of(graph, a), *other = root_of(graph, b);
    return one == other || (one->kind == TUFF__VALUE_EXTERNAL && other->kind == TUFF__VALUE_EXTERNAL &&
                            tuff__slices_overlap(&one->slice, &other->slice));
}

bool tuff__graph_changes(const tuff_graph *graph, size_t first, size_t last, uint32_t value)
{
    for (size_t n = first; n <= last; n++) {
        const tuff__node *node = &graph->nodes[n];
        if (node->dropped || tuff__op_desc(node->op)->view)
            continue;
        for (uint32_t i = 0; i < node->output_count; i++)
            if (node->outputs[i] != value && share_memory(graph, node->outputs[i], value))
                return true;
    }
    return false;
}

static bool lies_in(const tuff_graph *graph, uint32_t id, const tuff__slice *slice)
{
    const tuff__value *root = root_of(graph, id);
    return root->kind == TUFF__VALUE_EXTERNAL && tuff__slices_overlap(&root->slice, slice);
}

static bool any_lies_in(const tuff_graph *graph, const uint32_t *ids, uint32_t count, const tuff__slice *slice)
{
    for (uint32_t i = 0; i < count; i++)
        if (ids[i] && lies_in(graph, ids[i], slice))
            return true;
    return false;
}

bool tuff__graph_collides(const tuff_graph *graph, uint32_t root, const tuff__slice *slice)
{
    const tuff__node *producer = &graph->nodes[graph->values[root].producer];
    if (any_lies_in(graph, producer->inputs, producer->input_count, slice) ||
        any_lies_in(graph, producer->outputs, producer->output_count, slice))
        return true;
    for (size_t n = 0; n < graph->node_count; n++) {
        const tuff__node *node = &graph->nodes[n];
        for (uint32_t i = 0; i < node->input_count; i++)
            if (node->inputs[i] && graph->values[node->inputs[i]].root == root &&
                any_lies_in(graph, node->outputs, node->output_count, slice))
                return true;
    }
    return false;
}
