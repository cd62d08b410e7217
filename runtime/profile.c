/* profile.c: owns timing a compiled graph operator by operator. */
#include "graph.h"

#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    const double one = *(const double *)a, two = *(const double *)b;
    return (one > two) - (one < two);
}

double tuff__median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return count % 2 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

/* seconds[call * runs + run], the calls of a run one after the other as in a replay. */
static tuff_status time_calls(tuff_graph *graph, size_t runs, double *seconds)
{
    const tuff__backend *backend = graph->device->backend;
    for (size_t c = 0; c < graph->call_count; c++) /* caches and clocks are warm */
        TUFF_TRY(backend->program_run_call(graph->program, c, NULL));
    for (size_t run = 0; run < runs; run++)
        for (size_t c = 0; c < graph->call_count; c++)
            TUFF_TRY(backend->program_run_call(graph->program, c, &seconds[c * runs + run]));
    return TUFF_SUCCESS;
}

static tuff_graph_profile_row describe(const tuff_graph *graph, const tuff_op_call *call, double seconds)
{
    return (tuff_graph_profile_row){
        .op = call->op->name,
        .variant = tuff__call_variant(graph->device, call),
        .label = call->label,
        .dtype = call->outputs[0].dtype,
        .shape = call->outputs[0].shape,
        .level = call->level,
        .seconds = seconds,
        .flops = tuff__op_flops(call),
        .bytes = tuff__op_bytes(call),
    };
}

tuff_status tuff_graph_profile(tuff_graph *graph, uint32_t runs, tuff_graph_profile_row **out_rows, size_t *out_count)
{
    *out_rows = NULL;
    *out_count = 0;
    if (!graph->compiled)
        return tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "graph: not compiled yet");
    const size_t count = graph->call_count, each = runs ? runs : 5;
    double *seconds = tuff__calloc(count * each + 1, sizeof *seconds);
    tuff_graph_profile_row *rows = tuff__calloc(count + 1, sizeof *rows);
    tuff__device_lock(graph->device); /* throughout: another thread's work would be timed too */
    tuff_status status = seconds && rows ? time_calls(graph, each, seconds)
                                         : tuff__fail_memory("a profile", count * (each + 1) * sizeof *rows);
    tuff__device_unlock(graph->device);
    for (size_t c = 0; c < count && status == TUFF_SUCCESS; c++)
        rows[c] = describe(graph, &graph->calls[c], tuff__median(&seconds[c * each], each));
    tuff__free(seconds);
    if (status != TUFF_SUCCESS) {
        tuff__free(rows);
        return status;
    }
    *out_rows = rows;
    *out_count = count;
    return TUFF_SUCCESS;
}
