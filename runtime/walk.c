/* walk.c: owns the comparison of a compiled graph with the reference, operator by operator and as a whole, and what
 * TUFF_CHECK makes of it. */
#include "walk.h"

#include <string.h>

/* Memory that a run changes and the caller owns: saved before the walk, put back before the replay. */
typedef struct saved_slice {
    tuff__slice slice;
    void *data;
} saved_slice;

typedef struct walk {
    tuff_graph *graph;
    tuff__walk_fn visit;
    void *user;
    bool stopped;
    saved_slice *before; /* external memory that operators write */
    saved_slice *after;  /* the same and the outputs, as the walk left them */
    size_t before_count, after_count;
} walk;

static size_t operand_size(const tuff__operand *operand)
{
    return (size_t)tuff_shape_count(&operand->shape) * tuff__dtype_size(operand->dtype);
}

static tuff_status read_slice(const tuff__slice *slice, void **out_data)
{
    *out_data = tuff__malloc((size_t)slice->size);
    if (!*out_data)
        return tuff__fail_memory("verify", (size_t)slice->size);
    return tuff_buffer_read(slice->buffer, slice->offset, *out_data, (size_t)slice->size);
}

/* -- one operator ------------------------------------------------------------------------------------------------- */

/* A call whose data is the host's: inputs as the device had them, outputs for the reference to fill. */
static tuff_status gather_inputs(const tuff_op_call *call, tuff_op_call *host)
{
    *host = *call;
    host->workspace = NULL;
    host->pool = NULL;
    for (uint32_t i = 0; i < call->input_count; i++)
        host->inputs[i].data = NULL;
    for (uint32_t i = 0; i < call->output_count; i++)
        host->outputs[i].data = NULL;
    for (uint32_t i = 0; i < call->input_count; i++)
        if (call->inputs[i].present)
            TUFF_TRY(read_slice(&call->inputs[i].slice, &host->inputs[i].data));
    return TUFF_SUCCESS;
}

/* Runs the reference. An operator that updates in place works on copies, so that its inputs stay as they were. */
static tuff_status run_reference(tuff_op_call *host)
{
    tuff_op_call work = *host;
    for (uint32_t i = 0; i < host->output_count; i++) {
        const size_t size = operand_size(&host->outputs[i]);
        host->outputs[i].data = tuff__calloc(1, size + 4);
        if (!host->outputs[i].data)
            return tuff__fail_memory("verify", size);
        work.outputs[i].data = host->outputs[i].data;
        const uint8_t alias = host->op->alias[i];
        if (alias) {
            memcpy(host->outputs[i].data, host->inputs[alias - 1].data, size);
            work.inputs[alias - 1].data = host->outputs[i].data;
        }
    }
    host->op->compute(&work);
    return TUFF_SUCCESS;
}

static tuff_status judge_outputs(walk *w, const tuff_op_call *call, const tuff_op_call *host, double seconds)
{
    for (uint32_t i = 0; i < call->output_count && !w->stopped; i++) {
        void *got = NULL;
        tuff__walk_record record = {
            .op = call->op->name,
            .variant = tuff__call_variant(w->graph->device, call),
            .label = call->label,
            .output = i,
            .dtype = call->outputs[i].dtype,
            .shape = call->outputs[i].shape,
            .seconds = seconds,
        };
        tuff_status status = read_slice(&call->outputs[i].slice, &got);
        if (status == TUFF_SUCCESS)
            status = tuff__compare_output(host, i, got, &record.comparison);
        if (status == TUFF_SUCCESS)
            w->stopped = !w->visit(w->user, &record);
        tuff__free(got);
        TUFF_TRY(status);
    }
    return TUFF_SUCCESS;
}

static void free_host(tuff_op_call *host)
{
    for (uint32_t i = 0; i < host->input_count; i++)
        tuff__free(host->inputs[i].data);
    for (uint32_t i = 0; i < host->output_count; i++)
        tuff__free(host->outputs[i].data);
}

static tuff_status run_one(tuff_graph *graph, size_t index, double *out_seconds)
{
    tuff__device_lock(graph->device);
    const tuff_status status = graph->device->backend->program_run_call(graph->program, index, out_seconds);
    tuff__device_unlock(graph->device);
    return status;
}

static tuff_status walk_call(walk *w, size_t index)
{
    const tuff_op_call *call = &w->graph->calls[index];
    tuff_op_call host;
    tuff_status status = gather_inputs(call, &host);
    double seconds = 0;
    if (status == TUFF_SUCCESS)
        status = run_one(w->graph, index, &seconds);
    if (status == TUFF_SUCCESS)
        status = run_reference(&host);
    if (status == TUFF_SUCCESS)
        status = judge_outputs(w, call, &host, seconds);
    free_host(&host);
    return status;
}

/* -- the whole ---------------------------------------------------------------------------------------------------- */

/* Saves every root that operators write and that outlives a run: external memory and, where asked, outputs. */
static tuff_status save(const walk *w, bool outputs, saved_slice **out_saved, size_t *out_count)
{
    const tuff_graph *graph = w->graph;
    *out_saved = tuff__calloc(graph->value_count, sizeof **out_saved);
    if (!*out_saved)
        return tuff__fail_memory("verify", graph->value_count * sizeof **out_saved);
    for (size_t c = 0; c < graph->call_count; c++) {
        for (uint32_t i = 0; i < graph->calls[c].output_count; i++) {
            const uint32_t id = graph->nodes[graph->call_nodes[c]].outputs[i];
            const tuff__value *root = &graph->values[graph->values[id].root];
            const bool external = root->kind == TUFF__VALUE_EXTERNAL || root->kind == TUFF__VALUE_INPUT;
            if (!root->slice.buffer || !(external || (outputs && root->is_output)))
                continue;
            saved_slice *saved = &(*out_saved)[(*out_count)++];
            saved->slice = graph->calls[c].outputs[i].slice;
            TUFF_TRY(read_slice(&saved->slice, &saved->data));
        }
    }
    return TUFF_SUCCESS;
}

static void free_saved(saved_slice *saved, size_t count)
{
    for (size_t i = 0; saved && i < count; i++)
        tuff__free(saved[i].data);
    tuff__free(saved);
}

static bool holds_input(const tuff_graph *graph, const tuff_buffer *buffer)
{
    for (size_t i = 0; i < graph->value_count; i++)
        if (graph->values[i].kind == TUFF__VALUE_INPUT && graph->values[i].slice.buffer == buffer)
            return true;
    return false;
}

/* Overwrites what operators left with NaN: an operator that a missing barrier lets run too early must not find the
 * walk's results, which are right, in its inputs. */
static tuff_status scramble(const tuff_graph *graph)
{
    enum { CHUNK = 1 << 20 };
    unsigned char *pattern = tuff__malloc(CHUNK);
    if (!pattern)
        return tuff__fail_memory("verify", CHUNK);
    memset(pattern, 0xFF, CHUNK);
    tuff_status status = TUFF_SUCCESS;
    for (size_t i = 0; i < graph->buffer_count; i++) {
        tuff_buffer *buffer = graph->buffers[i];
        for (uint64_t at = 0; at < buffer->size && status == TUFF_SUCCESS && !holds_input(graph, buffer); at += CHUNK)
            status = tuff_buffer_write(buffer, at, pattern,
                                       buffer->size - at < CHUNK ? (size_t)(buffer->size - at) : (size_t)CHUNK);
    }
    tuff__free(pattern);
    return status;
}

/* Replays from the state before the walk; what comes out must equal what the walk left, to the bit. */
static tuff_status replay(walk *w)
{
    for (size_t i = 0; i < w->before_count; i++)
        TUFF_TRY(tuff_buffer_write(w->before[i].slice.buffer, w->before[i].slice.offset, w->before[i].data,
                                   (size_t)w->before[i].slice.size));
    TUFF_TRY(scramble(w->graph));
    TUFF_TRY(tuff__graph_replay(w->graph));
    tuff__walk_record record = {.op = "replay",
                                .variant = "",
                                .label = "the whole graph in one submit",
                                .dtype = TUFF_I32,
                                .seconds = w->graph->statistics.last_run_seconds};
    for (size_t i = 0; i < w->after_count && !w->stopped; i++) {
        void *got = NULL;
        const tuff_status status = read_slice(&w->after[i].slice, &got);
        if (status == TUFF_SUCCESS) {
            const int64_t words = (int64_t)(w->after[i].slice.size / 4);
            static const tuff_op_desc exact = {.name = "replay"}; /* allowance 0: bitwise */
            tuff_op_call call = {.op = &exact, .output_count = 1};
            call.outputs[0] = (tuff__operand){.dtype = TUFF_I32, .shape = TUFF_SHAPE(words), .data = w->after[i].data};
            record.shape = call.outputs[0].shape;
            record.output = (uint32_t)i;
            (void)tuff__compare_output(&call, 0, got, &record.comparison); /* bitwise: no memory */
            w->stopped = !w->visit(w->user, &record);
        }
        tuff__free(got);
        TUFF_TRY(status);
    }
    return TUFF_SUCCESS;
}

static tuff_status run_walk(walk *w)
{
    TUFF_TRY(save(w, false, &w->before, &w->before_count));
    for (size_t i = 0; i < w->graph->call_count && !w->stopped; i++)
        TUFF_TRY(walk_call(w, i));
    if (w->stopped)
        return TUFF_SUCCESS;
    TUFF_TRY(save(w, true, &w->after, &w->after_count));
    return replay(w);
}

tuff_status tuff__walk_graph(tuff_graph *graph, tuff__walk_fn visit, void *user)
{
    walk w = {.graph = graph, .visit = visit, .user = user};
    const tuff_status status = run_walk(&w);
    free_saved(w.before, w.before_count);
    free_saved(w.after, w.after_count);
    return status;
}

/* -- TUFF_CHECK --------------------------------------------------------------------------------------------------- */

typedef struct check {
    const tuff_graph *graph;
    tuff_status status;
} check;

static bool stop_at_wrong(void *user, const tuff__walk_record *record)
{
    check *c = user;
    char words[256], shape[TUFF__SHAPE_TEXT];
    if (record->comparison.bad == 0)
        return true;
    tuff__comparison_text(&record->comparison, &record->shape, words);
    c->status =
        tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT, "check: %s%s%s at %s, result %u, %s %s, on %s: %s", record->op,
                   record->variant[0] ? " " : "", record->variant, record->label[0] ? record->label : "the top level",
                   record->output, tuff__dtype_name(record->dtype), tuff__shape_text(&record->shape, shape),
                   c->graph->device->properties.name, words);
    return false;
}

tuff_status tuff__walk_check(tuff_graph *graph)
{
    check c = {.graph = graph, .status = TUFF_SUCCESS};
    const tuff_status status = tuff__walk_graph(graph, stop_at_wrong, &c);
    return status == TUFF_SUCCESS ? c.status : status;
}
