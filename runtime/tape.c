/*
 * tape.c: owns reverse-mode differentiation: walks the nodes backwards and lets each operator append the operators of
 * its gradient to the same graph. Which operators those are is each operator's own affair.
 */
#include "graph.h"

#include <string.h>

typedef struct tape {
    tuff_graph *graph;
    size_t value_count, node_count; /* of the forward graph; what comes after is ours */
    bool *reached;                  /* [value]: depends on something in wrt */
    tuff_tensor *gradients;         /* [value]: sum of what has flowed in so far */
} tape;

static void mark_reached(tape *t, const tuff_tensor *wrt, size_t count)
{
    for (size_t i = 0; i < count; i++)
        t->reached[wrt[i].id] = true;
    for (size_t n = 0; n < t->node_count; n++) {
        const tuff__node *node = &t->graph->nodes[n];
        bool reached = false;
        for (uint32_t i = 0; i < node->input_count; i++)
            reached = reached || (node->inputs[i] && t->reached[node->inputs[i]]);
        for (uint32_t i = 0; i < node->output_count; i++)
            t->reached[node->outputs[i]] = t->reached[node->outputs[i]] || reached;
    }
}

/* Adds one contribution to a value's gradient. */
static void accumulate(tape *t, uint32_t value, tuff_tensor gradient)
{
    tuff_tensor *sum = &t->gradients[value];
    *sum = sum->id && gradient.id ? tuff_add(t->graph, *sum, gradient) : gradient.id ? gradient : *sum;
}

/* A copy, because appending operators may move the graph's nodes. */
static tuff__gradient describe(const tape *t, const tuff__node *node)
{
    tuff__gradient g = {
        .graph = t->graph,
        .params = node->params,
        .input_count = node->input_count,
        .output_count = node->output_count,
    };
    for (uint32_t i = 0; i < node->input_count; i++) {
        g.inputs[i] = (tuff_tensor){node->inputs[i]};
        g.wanted[i] =
            node->inputs[i] && t->reached[node->inputs[i]] && t->graph->values[node->inputs[i]].dtype != TUFF_I32;
    }
    for (uint32_t i = 0; i < node->output_count; i++) {
        g.outputs[i] = (tuff_tensor){node->outputs[i]};
        g.output_grads[i] = t->gradients[node->outputs[i]];
    }
    return g;
}

/* Where the node was recorded, for a sentence. */
static const char *place_of(const tuff__node *node)
{
    return node->label[0] ? node->label : "at the top level";
}

/* What the gradient of a node reads must be what the node has read or written: a write into a caller's buffer in
 * between has changed it, and the gradient would be taken at another point. */
static void check_unchanged(tape *t, size_t index, size_t first_new)
{
    tuff_graph *graph = t->graph;
    for (size_t n = first_new; n < graph->node_count && !graph->error; n++)
        for (uint32_t i = 0; i < graph->nodes[n].input_count; i++) {
            const uint32_t id = graph->nodes[n].inputs[i];
            if (!id || id >= t->value_count || !tuff__graph_changes(graph, index + 1, t->node_count - 1, id))
                continue;
            tuff__graph_set_error(
                graph, tuff__fail(TUFF_ERROR_INVALID_ARGUMENT,
                                  "%s (%s): its gradient needs a tensor that was overwritten since, in "
                                  "a buffer that a later result is bound to",
                                  tuff__op_desc(graph->nodes[index].op)->name, place_of(&graph->nodes[index])));
            return;
        }
}

static void differentiate(tape *t, size_t index)
{
    const tuff__node node = t->graph->nodes[index];
    tuff__gradient g = describe(t, &node);
    bool flows = false, wanted = false;
    for (uint32_t i = 0; i < g.output_count; i++)
        flows = flows || g.output_grads[i].id;
    for (uint32_t i = 0; i < g.input_count; i++)
        wanted = wanted || g.wanted[i];
    if (!flows || !wanted)
        return;
    const tuff_op_desc *op = tuff__op_desc(node.op);
    if (!op->backward) {
        tuff__graph_set_error(t->graph, tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "%s (%s): has no gradient", op->name,
                                                   place_of(&node)));
        return;
    }
    const size_t first_new = t->graph->node_count;
    tuff_graph_scope_push(t->graph, "backward");
    op->backward(&g);
    tuff_graph_scope_pop(t->graph);
    check_unchanged(t, index, first_new);
    for (uint32_t i = 0; i < g.input_count; i++)
        if (g.wanted[i])
            accumulate(t, node.inputs[i], g.input_grads[i]);
}

static void run_tape(tape *t, tuff_tensor loss, const tuff_tensor *wrt, size_t count, tuff_tensor *out_gradients)
{
    mark_reached(t, wrt, count);
    t->gradients[loss.id] = tuff_full(t->graph, t->graph->values[loss.id].shape, 1.0F);
    char scope[sizeof t->graph->scope];
    memcpy(scope, t->graph->scope, sizeof scope);
    for (size_t n = t->node_count; n-- > 0;) {
        /* The gradient of an operator carries its operator's scope. */
        memcpy(t->graph->scope, t->graph->nodes[n].label, strlen(t->graph->nodes[n].label) + 1);
        differentiate(t, n);
    }
    memcpy(t->graph->scope, scope, sizeof scope);
    for (size_t i = 0; i < count; i++) {
        const tuff_tensor gradient = t->gradients[wrt[i].id];
        out_gradients[i] = gradient.id ? gradient : tuff_full(t->graph, tuff_tensor_shape(t->graph, wrt[i]), 0.0F);
    }
}

void tuff_graph_backward(tuff_graph *graph, tuff_tensor loss, const tuff_tensor *wrt, size_t count,
                         tuff_tensor *out_gradients)
{
    memset(out_gradients, 0, count * sizeof *out_gradients);
    const tuff__value *value = tuff__graph_value(graph, loss);
    if (graph->error || !value || tuff_shape_count(&value->shape) != 1 || value->dtype != TUFF_F32) {
        tuff__graph_set_error(
            graph, tuff__fail(TUFF_ERROR_SHAPE_MISMATCH, "graph: backward wants a scalar f32 loss of shape [1]"));
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (!tuff__graph_value(graph, wrt[i])) {
            tuff__graph_set_error(
                graph, tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "graph: backward: tensor %zu of wrt is none", i));
            return;
        }
    tape t = {
        .graph = graph,
        .value_count = graph->value_count,
        .node_count = graph->node_count,
        .reached = tuff__calloc(graph->value_count, sizeof *t.reached),
        .gradients = tuff__calloc(graph->value_count, sizeof *t.gradients),
    };
    if (t.reached && t.gradients)
        run_tape(&t, loss, wrt, count, out_gradients);
    else
        tuff__graph_set_error(graph, tuff__fail_memory("tape", graph->value_count * sizeof *t.gradients));
    tuff__free(t.reached);
    tuff__free(t.gradients);
}
