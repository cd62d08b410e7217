/*
 * graph.c: owns the recording of operators and the life of a compiled graph: write, run, read. It places nothing
 * (plan.c), differentiates nothing (tape.c) and knows no device (backend.h).
 */
#include "graph.h"

#include "log.h"
#include "os.h"
#include "prove.h"
#include "walk.h"

#include <stdio.h>
#include <string.h>

tuff_status tuff_graph_create(tuff_device *device, tuff_graph **out_graph)
{
    *out_graph = NULL;
    TUFF_TRY(tuff__check_given(device, "graph: device"));
    tuff_graph *graph = tuff__calloc(1, sizeof *graph);
    if (!graph)
        return tuff__fail_memory("graph", sizeof *graph);
    graph->device = device;
    graph->value_count = 1; /* id 0 is "none" */
    const tuff_status status =
        tuff__grow((void **)&graph->values, &graph->value_capacity, 1, sizeof *graph->values, "graph");
    if (status != TUFF_SUCCESS) {
        tuff_graph_destroy(graph);
        return status;
    }
    graph->values[0] = (tuff__value){.producer = TUFF__NO_NODE};
    *out_graph = graph;
    return TUFF_SUCCESS;
}

void tuff_graph_destroy(tuff_graph *graph)
{
    if (!graph)
        return;
    tuff__device_lock(graph->device);
    if (graph->program)
        graph->device->backend->program_destroy(graph->program);
    tuff__graph_unplan(graph);
    tuff__device_unlock(graph->device);
    tuff__free(graph->values);
    tuff__free(graph->nodes);
    tuff__arena_destroy(&graph->arena);
    tuff__free(graph);
}

/* -- recording ---------------------------------------------------------------------------------------------------- */

void tuff__graph_set_error(tuff_graph *graph, tuff_status status)
{
    if (graph->error != TUFF_SUCCESS || status == TUFF_SUCCESS)
        return;
    graph->error = status;
    snprintf(graph->error_text, sizeof graph->error_text, "%s", tuff_last_error());
}

bool tuff__graph_given(tuff_graph *graph, const void *pointer, const char *what)
{
    tuff__graph_set_error(graph, tuff__check_given(pointer, what));
    return pointer != NULL;
}

tuff__value *tuff__graph_value(const tuff_graph *graph, tuff_tensor tensor)
{
    return tensor.id > 0 && tensor.id < graph->value_count ? &graph->values[tensor.id] : NULL;
}

tuff_shape tuff_tensor_shape(const tuff_graph *graph, tuff_tensor tensor)
{
    const tuff__value *value = tuff__graph_value(graph, tensor);
    return value ? value->shape : (tuff_shape){0};
}

tuff_dtype tuff_tensor_dtype(const tuff_graph *graph, tuff_tensor tensor)
{
    const tuff__value *value = tuff__graph_value(graph, tensor);
    return value ? value->dtype : TUFF_F32;
}

/* Whether `what` still comes in time: after an error nothing is recorded, and a compiled program takes in nothing more.
 */
static bool may_record(tuff_graph *graph, const char *what)
{
    if (graph->compiling)
        tuff__graph_set_error(
            graph, tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "graph: '%s' is recorded after it was compiled", what));
    return graph->error == TUFF_SUCCESS;
}

/* Returns the new value's id, 0 when memory is out. */
static uint32_t add_value(tuff_graph *graph, tuff__value value)
{
    if (tuff__grow((void **)&graph->values, &graph->value_capacity, graph->value_count, sizeof *graph->values,
                   "graph") != TUFF_SUCCESS)
        return 0;
    const uint32_t id = (uint32_t)graph->value_count++;
    if (!value.root)
        value.root = id;
    for (uint32_t i = value.shape.rank; i < TUFF_MAX_RANK; i++)
        value.shape.dims[i] = 0; /* whatever the caller left there */
    graph->values[id] = value;
    return id;
}

static tuff_status check_named(const char *name, const tuff__value *value)
{
    char text[TUFF__SHAPE_TEXT];
    if ((unsigned)value->dtype > TUFF_I32)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "graph: '%s' has the dtype %d, wanted 0 to %d", name,
                          (int)value->dtype, TUFF_I32);
    if (!tuff__shape_valid(&value->shape))
        return tuff__fail(TUFF_ERROR_SHAPE_MISMATCH, "graph: '%s' is %s, wanted at most %d dimensions of at least 1",
                          name, tuff__shape_text(&value->shape, text), TUFF_MAX_RANK);
    return TUFF_SUCCESS;
}

static tuff_tensor add_named(tuff_graph *graph, const char *name, tuff__value value)
{
    name = name ? name : "";
    if (may_record(graph, name))
        tuff__graph_set_error(graph, check_named(name, &value));
    if (graph->error)
        return (tuff_tensor){0};
    value.name = tuff__arena_strdup(&graph->arena, name);
    value.producer = TUFF__NO_NODE;
    const uint32_t id = value.name ? add_value(graph, value) : 0;
    if (!id)
        tuff__graph_set_error(graph, tuff__fail_memory("graph", sizeof value));
    return (tuff_tensor){id};
}

tuff_tensor tuff_graph_input(tuff_graph *graph, const char *name, tuff_dtype dtype, tuff_shape shape)
{
    return add_named(graph, name, (tuff__value){.dtype = dtype, .shape = shape, .kind = TUFF__VALUE_INPUT});
}

/* Whether `size` bytes from `offset` lie aligned within a buffer of the graph's device; reports when not. */
static bool check_range(tuff_graph *graph, const char *name, const tuff_buffer *buffer, uint64_t offset, uint64_t size)
{
    if (buffer && buffer->device != graph->device) {
        tuff__graph_set_error(
            graph, tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "graph: '%s' is in a buffer of '%s', the graph is for '%s'",
                              name ? name : "", buffer->device->properties.name, graph->device->properties.name));
        return false;
    }
    if (buffer && offset % TUFF__ALIGNMENT == 0 && offset <= buffer->size && size <= buffer->size - offset)
        return true;
    tuff__graph_set_error(graph, tuff__fail(TUFF_ERROR_INVALID_ARGUMENT,
                                            "graph: '%s' spans %llu bytes from offset %llu, wanted an offset that is a "
                                            "multiple of %d, within the buffer's %llu bytes",
                                            name ? name : "", (unsigned long long)size, (unsigned long long)offset,
                                            TUFF__ALIGNMENT, (unsigned long long)(buffer ? buffer->size : 0)));
    return false;
}

tuff_tensor tuff_graph_external(tuff_graph *graph, const char *name, tuff_dtype dtype, tuff_shape shape,
                                tuff_buffer *buffer, uint64_t offset)
{
    tuff__value value = {.dtype = dtype, .shape = shape, .kind = TUFF__VALUE_EXTERNAL};
    const uint64_t size = tuff__shape_valid(&shape) ? tuff__value_size(&value) : 0;
    if (!check_range(graph, name, buffer, offset, size))
        return (tuff_tensor){0};
    value.slice = (tuff__slice){.buffer = buffer, .offset = offset, .size = size};
    return add_named(graph, name, value);
}

tuff_tensor tuff_graph_bind(tuff_graph *graph, tuff_tensor tensor, tuff_buffer *buffer, uint64_t offset)
{
    const tuff__value *value = tuff__graph_value(graph, tensor);
    if (!may_record(graph, "bind"))
        return (tuff_tensor){0};
    if (!value)
        tuff__graph_set_error(graph, tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "graph: the tensor to bind is none"));
    if (!value || !check_range(graph, "bound tensor", buffer, offset, tuff__value_size(value)))
        return (tuff_tensor){0};
    tuff__value *root = &graph->values[value->root];
    const tuff__slice slice = {.buffer = buffer, .offset = offset, .size = tuff__value_size(value)};
    /* Only memory that nobody else has claimed, and that this tensor fills, can be moved. */
    if (root->kind != TUFF__VALUE_INTERMEDIATE || tuff__value_size(root) != slice.size ||
        tuff__graph_collides(graph, value->root, &slice)) {
        tensor = tuff_copy(graph, tensor);
        return tensor.id ? tuff_graph_bind(graph, tensor, buffer, offset) : tensor;
    }
    root->kind = TUFF__VALUE_EXTERNAL;
    root->slice = slice;
    return tensor;
}

tuff_tensor tuff_graph_step_parameters(tuff_graph *graph)
{
    if (!graph->step_parameters)
        graph->step_parameters =
            tuff_graph_input(graph, "step_parameters", TUFF_I32, TUFF_SHAPE(sizeof(tuff_step_parameters) / 4)).id;
    return (tuff_tensor){graph->step_parameters};
}

uint32_t tuff__graph_next_site(tuff_graph *graph)
{
    return graph->next_site++;
}

void tuff_graph_scope_push(tuff_graph *graph, const char *name)
{
    const size_t used = strlen(graph->scope);
    if (graph->scope_depth < sizeof graph->scope_starts / sizeof graph->scope_starts[0])
        graph->scope_starts[graph->scope_depth] = (uint16_t)used;
    graph->scope_depth++;
    snprintf(graph->scope + used, sizeof graph->scope - used, used ? ".%s" : "%s", name);
}

void tuff_graph_scope_pop(tuff_graph *graph)
{
    if (graph->scope_depth == 0)
        return;
    graph->scope_depth--;
    if (graph->scope_depth < sizeof graph->scope_starts / sizeof graph->scope_starts[0])
        graph->scope[graph->scope_starts[graph->scope_depth]] = '\0';
}

void tuff__graph_describe(const tuff_graph *graph, const tuff__node *node, tuff_op_call *out_call)
{
    *out_call = (tuff_op_call){
        .op = tuff__op_desc(node->op),
        .params = node->params,
        .input_count = node->input_count,
        .output_count = node->output_count,
        .target = &graph->device->target,
        .label = node->label,
        .level = node->level,
        .variant = node->variant,
    };
    for (uint32_t i = 0; i < node->input_count; i++) {
        const tuff__value *value = &graph->values[node->inputs[i]];
        out_call->inputs[i] =
            (tuff__operand){.dtype = value->dtype, .shape = value->shape, .present = node->inputs[i] != 0};
    }
    for (uint32_t i = 0; i < node->output_count; i++) {
        const tuff__value *value = &graph->values[node->outputs[i]];
        out_call->outputs[i] = (tuff__operand){.dtype = value->dtype, .shape = value->shape, .present = true};
    }
}

/* Fills `node` from the arguments and lets the operator infer its outputs into `call`. */
static tuff_status prepare_node(tuff_graph *graph, tuff__node *node, const void *params, size_t params_size,
                                tuff_op_call *call)
{
    char *label = tuff__arena_strdup(&graph->arena, graph->scope);
    void *copy = params_size ? tuff__arena_alloc(&graph->arena, params_size) : NULL;
    if (!label || (params_size && !copy))
        return tuff__fail_memory("graph", params_size);
    if (params_size)
        memcpy(copy, params, params_size);
    node->label = label;
    node->params = copy;
    node->output_count = tuff__op_desc(node->op)->output_count;
    tuff__graph_describe(graph, node, call);
    call->target = NULL;
    for (uint32_t i = 0; i < call->output_count; i++)
        call->outputs[i] = (tuff__operand){.present = true};
    TUFF_TRY(call->op->infer(call));
    node->output_count = call->output_count;
    char text[TUFF__SHAPE_TEXT];
    for (uint32_t i = 0; i < call->output_count; i++)
        if (!tuff__shape_valid(&call->outputs[i].shape))
            return tuff__fail_shape(call, "the result would be %s", tuff__shape_text(&call->outputs[i].shape, text));
    return TUFF_SUCCESS;
}

/* Appends the prepared node and its output values. */
static tuff_status append_node(tuff_graph *graph, tuff__node *node, const tuff_op_call *call)
{
    TUFF_TRY(
        tuff__grow((void **)&graph->nodes, &graph->node_capacity, graph->node_count, sizeof *graph->nodes, "graph"));
    const uint32_t index = (uint32_t)graph->node_count;
    for (uint32_t i = 0; i < node->output_count; i++) {
        const uint32_t alias = call->op->view && i == 0 ? 1 : call->op->alias[i];
        tuff__value value = {
            .dtype = call->outputs[i].dtype, .shape = call->outputs[i].shape, .producer = index, .producer_output = i};
        if (alias)
            value.root = graph->values[node->inputs[alias - 1]].root;
        node->outputs[i] = add_value(graph, value);
        if (!node->outputs[i])
            return tuff__fail_memory("graph", sizeof value);
    }
    graph->nodes[graph->node_count++] = *node;
    return TUFF_SUCCESS;
}

tuff_tensor tuff__graph_add(tuff_graph *graph, tuff__op_id op, const void *params, size_t params_size,
                            const tuff_tensor *inputs, uint32_t input_count, tuff_tensor *out_outputs)
{
    const tuff_op_desc *desc = tuff__op_desc(op);
    const uint32_t required = (uint32_t)(desc->input_count - desc->optional_inputs);
    tuff__node node = {.op = op, .input_count = input_count};
    if (out_outputs)
        memset(out_outputs, 0, sizeof *out_outputs * desc->output_count);
    if (!may_record(graph, desc->name))
        return (tuff_tensor){0};
    for (uint32_t i = 0; i < input_count; i++) {
        node.inputs[i] = inputs[i].id;
        if (inputs[i].id >= graph->value_count || (i < required && !inputs[i].id))
            tuff__graph_set_error(
                graph, tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "%s: input %u is none", tuff__op_desc(op)->name, i));
    }
    tuff_op_call call;
    tuff_status status = graph->error;
    if (status == TUFF_SUCCESS)
        status = prepare_node(graph, &node, params, params_size, &call);
    if (status == TUFF_SUCCESS)
        status = append_node(graph, &node, &call);
    tuff__graph_set_error(graph, status);
    if (status != TUFF_SUCCESS)
        return (tuff_tensor){0};
    for (uint32_t i = 0; out_outputs && i < node.output_count; i++)
        out_outputs[i] = (tuff_tensor){node.outputs[i]};
    return (tuff_tensor){node.outputs[0]};
}

/* -- compile, run ------------------------------------------------------------------------------------------------- */

tuff__slice tuff__value_slice(const tuff_graph *graph, uint32_t id)
{
    const tuff__value *value = &graph->values[id];
    tuff__slice slice = graph->values[value->root].slice;
    slice.size = (tuff__value_size(value) + 3) / 4 * 4;
    return slice;
}

static tuff_status choose_variants(tuff_graph *graph)
{
    for (size_t n = 0; n < graph->node_count; n++) {
        tuff_op_call call;
        if (graph->nodes[n].dropped)
            continue;
        tuff__graph_describe(graph, &graph->nodes[n], &call);
        TUFF_TRY(tuff__prove_variant(graph->device, &call));
        graph->nodes[n].variant = call.variant;
    }
    return TUFF_SUCCESS;
}

/* A driver may refuse for a graph's own sizes a kernel that proved itself at others: its operator then takes another of
 * its rungs, wherever the graph has it. */
static tuff_status make_program(tuff_graph *graph)
{
    uint32_t refused_rungs[TUFF__OP_COUNT] = {0}; /* a bit each */
    for (;;) {
        size_t refused = 0;
        TUFF_TRY(tuff__graph_plan(graph));
        const tuff_status status = graph->device->backend->program_create(graph->device, graph->calls,
                                                                          graph->call_count, &refused, &graph->program);
        if (status != TUFF_ERROR_FEATURE_NOT_PRESENT || refused == graph->call_count || graph->is_proof)
            return status;
        const tuff__op_id op = graph->nodes[graph->call_nodes[refused]].op;
        uint32_t variant = graph->calls[refused].variant;
        refused_rungs[op] |= 1u << variant;
        TUFF_TRY(tuff__prove_other(graph->device, tuff__op_desc(op), refused_rungs[op], &variant));
        for (size_t n = 0; n < graph->node_count; n++)
            if (graph->nodes[n].op == op)
                graph->nodes[n].variant = variant;
        tuff__graph_unplan(graph);
    }
}

tuff_status tuff_graph_compile(tuff_graph *graph, const tuff_tensor *outputs, size_t count)
{
    if (graph->error)
        return tuff__fail(graph->error, "%s", graph->error_text);
    if (graph->compiling)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "graph: %s",
                          graph->compiled ? "compiled already" : "compiling it failed before, record a new one");
    graph->compiling = true;
    if (count)
        TUFF_TRY(tuff__check_given(outputs, "graph: outputs"));
    for (size_t i = 0; i < count; i++) {
        const tuff__value *value = tuff__graph_value(graph, outputs[i]);
        if (!value)
            return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "graph: output %zu is none", i);
        graph->values[value->root].is_output = true;
    }
    TUFF_TRY(tuff__graph_drop_unneeded(graph));
    tuff__graph_fuse(graph);
    tuff__device_lock(graph->device);
    tuff_status status = choose_variants(graph);
    if (status == TUFF_SUCCESS)
        status = make_program(graph);
    tuff__device_unlock(graph->device);
    TUFF_TRY(status);
    graph->compiled = true;
    tuff__log(TUFF_LOG_DEBUG, "graph: %u operators in %u levels, %llu bytes of activations",
              graph->statistics.node_count, graph->statistics.level_count,
              (unsigned long long)graph->statistics.activation_size);
    return graph->device->dump_dir && !graph->is_proof ? tuff__graph_dump_into(graph, graph->device->dump_dir)
                                                       : TUFF_SUCCESS;
}

/* The slice of a readable or writable tensor, or the reason why not. */
static tuff_status find_slice(const tuff_graph *graph, tuff_tensor tensor, size_t size, bool write, tuff__slice *out)
{
    const tuff__value *value = tuff__graph_value(graph, tensor);
    if (!graph->compiled || !value)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "graph: %s", value ? "not compiled yet" : "no such tensor");
    const tuff__value *root = &graph->values[value->root];
    if (size != tuff__value_size(value))
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "graph: tensor %u has %llu bytes, the caller's buffer %zu",
                          tensor.id, (unsigned long long)tuff__value_size(value), size);
    if (write && root->kind != TUFF__VALUE_INPUT)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "graph: tensor %u is no input", tensor.id);
    if (!write && root->kind == TUFF__VALUE_INTERMEDIATE && !root->is_output)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "graph: tensor %u is no output", tensor.id);
    *out = tuff__value_slice(graph, tensor.id);
    return TUFF_SUCCESS;
}

tuff_status tuff_graph_write(tuff_graph *graph, tuff_tensor input, const void *data, size_t size)
{
    tuff__slice slice = {0};
    TUFF_TRY(find_slice(graph, input, size, true, &slice));
    if (!slice.buffer) /* an input that no operator reads */
        return TUFF_SUCCESS;
    return tuff_buffer_write(slice.buffer, slice.offset, data, size);
}

tuff_status tuff_graph_read(tuff_graph *graph, tuff_tensor tensor, void *data, size_t size)
{
    tuff__slice slice = {0};
    TUFF_TRY(find_slice(graph, tensor, size, false, &slice));
    if (!slice.buffer)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "graph: tensor %u has no memory, because no operator reads it",
                          tensor.id);
    return tuff_buffer_read(slice.buffer, slice.offset, data, size);
}

tuff_status tuff__graph_replay(tuff_graph *graph)
{
    const double begin = tuff__clock_seconds();
    tuff__device_lock(graph->device);
    const tuff_status status = graph->device->backend->program_run(graph->program);
    tuff__device_unlock(graph->device);
    TUFF_TRY(status);
    graph->statistics.last_run_seconds = tuff__clock_seconds() - begin;
    return TUFF_SUCCESS;
}

tuff_status tuff_graph_run(tuff_graph *graph)
{
    if (graph->error)
        return tuff__fail(graph->error, "%s", graph->error_text);
    if (!graph->compiled)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "graph: not compiled yet");
    return graph->device->checks && !graph->is_proof ? tuff__walk_check(graph) : tuff__graph_replay(graph);
}

void tuff_graph_get_statistics(const tuff_graph *graph, tuff_graph_statistics *out_statistics)
{
    *out_statistics = graph->statistics;
    if (!graph->program)
        return;
    tuff__program_statistics program = {0};
    graph->device->backend->program_statistics(graph->program, &program);
    out_statistics->dispatch_count = program.dispatch_count;
    out_statistics->barrier_count = program.barrier_count;
    out_statistics->submit_count = program.submit_count;
    out_statistics->last_host_seconds = program.last_host_seconds;
}
