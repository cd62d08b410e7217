/* dump.c: owns the written form of a compiled graph: an operator a line, or Graphviz. */
#include "graph.h"
#include "os.h"

#include <stdio.h>
#include <string.h>

static void print_operand(FILE *to, const tuff_graph *graph, uint32_t id)
{
    char text[TUFF__SHAPE_TEXT];
    const tuff__value *value = &graph->values[id];
    const tuff__value *root = &graph->values[value->root];
    fprintf(to, "%%%u:%s%s", id, tuff__dtype_name(value->dtype), tuff__shape_text(&value->shape, text));
    if (root->name && root->name[0])
        fprintf(to, "(%s)", root->name);
    else if (root->slice.buffer)
        fprintf(to, "@%llu", (unsigned long long)root->slice.offset);
}

static void print_call(FILE *to, const tuff_graph *graph, size_t index)
{
    const tuff__node *node = &graph->nodes[graph->call_nodes[index]];
    const tuff_op_call *call = &graph->calls[index];
    fprintf(to, "%4zu level %4u  ", index, node->level);
    for (uint32_t i = 0; i < node->output_count; i++) {
        fputs(i ? ", " : "", to);
        print_operand(to, graph, node->outputs[i]);
    }
    fprintf(to, " = %s", call->op->name);
    if (call->op->variant_count)
        fprintf(to, ".%s", call->op->variants[call->variant].name);
    for (uint32_t i = 0; i < node->input_count; i++) {
        fputc(' ', to);
        if (node->inputs[i])
            print_operand(to, graph, node->inputs[i]);
        else
            fputs("none", to);
    }
    fprintf(to, "  # %s\n", node->label);
}

static void dump_lines(FILE *to, const tuff_graph *graph)
{
    const tuff_graph_statistics *s = &graph->statistics;
    fprintf(to, "# %u operators in %u levels; %llu bytes of activations planned, %llu alive at most; %.4g GFLOP\n",
            s->node_count, s->level_count, (unsigned long long)s->activation_size,
            (unsigned long long)s->activation_live, s->flops * 1e-9);
    for (size_t i = 0; i < graph->call_count; i++)
        print_call(to, graph, i);
}

static void dump_dot(FILE *to, const tuff_graph *graph)
{
    char text[TUFF__SHAPE_TEXT];
    fprintf(to, "digraph tuff {\n  rankdir=TB;\n  node [shape=box, fontname=\"monospace\"];\n");
    for (size_t c = 0; c < graph->call_count; c++) {
        const tuff__node *node = &graph->nodes[graph->call_nodes[c]];
        fprintf(to, "  n%u [label=\"%s\\n%s\"];\n", graph->call_nodes[c], graph->calls[c].op->name, node->label);
        for (uint32_t i = 0; i < node->input_count; i++) {
            /* Views run nothing: draw the edge from what made the memory. */
            const uint32_t root = graph->values[node->inputs[i]].root;
            const uint32_t producer = graph->values[root].producer;
            if (node->inputs[i] && producer != TUFF__NO_NODE)
                fprintf(to, "  n%u -> n%u [label=\"%s\"];\n", producer, graph->call_nodes[c],
                        tuff__shape_text(&graph->values[node->inputs[i]].shape, text));
        }
    }
    fprintf(to, "}\n");
}

tuff_status tuff_graph_dump(const tuff_graph *graph, const char *path, bool dot)
{
    if (!graph->compiled)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "graph: not compiled yet");
    FILE *file = tuff__file_open(path, "w");
    if (!file)
        return tuff__fail(TUFF_ERROR_IO, "%s: cannot be opened for writing", path);
    void *locale = tuff__c_locale_begin();
    (dot ? dump_dot : dump_lines)(file, graph);
    tuff__c_locale_end(locale);
    const bool failed = ferror(file) != 0;
    if (fclose(file) != 0 || failed)
        return tuff__fail(TUFF_ERROR_IO, "%s: could not be written", path);
    return TUFF_SUCCESS;
}

tuff_status tuff__graph_dump_into(const tuff_graph *graph, const char *dir)
{
    TUFF_TRY(tuff__directory_create(dir));
    for (unsigned number = 1;; number++) {
        char *text = tuff__asprintf("%s/graph-%u.txt", dir, number);
        char *dot = tuff__asprintf("%s/graph-%u.dot", dir, number);
        tuff_status status = text && dot ? TUFF_SUCCESS : tuff__fail_memory("path", strlen(dir));
        const bool taken = status == TUFF_SUCCESS && tuff__file_exists(text);
        if (status == TUFF_SUCCESS && !taken)
            status = tuff_graph_dump(graph, text, false);
        if (status == TUFF_SUCCESS && !taken)
            status = tuff_graph_dump(graph, dot, true);
        tuff__free(text);
        tuff__free(dot);
        if (!taken)
            return status;
    }
}
