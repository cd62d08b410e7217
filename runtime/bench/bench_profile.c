/* bench_profile.c: owns what becomes of a profile: rows of one kind added up, and the timeline file. */
#include "bench.h"

#include "../io/file.h"

#include <stdlib.h>
#include <string.h>

double tuff__bench_roofline(const tuff__bench_peak *peak, double flops, double bytes, double seconds)
{
    const double arithmetic = flops / peak->flops_per_second, memory = bytes / peak->bytes_per_second;
    return seconds > 0 ? (arithmetic > memory ? arithmetic : memory) / seconds : 0;
}

/* -- kinds -------------------------------------------------------------------------------------------------------- */

static bool same_kind(const tuff_graph_profile_row *a, const tuff_graph_profile_row *b)
{
    return !strcmp(a->op, b->op) && !strcmp(a->variant, b->variant) && a->dtype == b->dtype && a->flops == b->flops &&
           a->bytes == b->bytes && tuff__shape_equal(&a->shape, &b->shape);
}

static int by_falling_time(const void *a, const void *b)
{
    const double one = ((const tuff__bench_kind *)a)->seconds, two = ((const tuff__bench_kind *)b)->seconds;
    return (one < two) - (one > two);
}

tuff_status tuff__bench_kinds(const tuff__bench_result *result, tuff__bench_kind **out_kinds, size_t *out_count)
{
    const tuff_graph_profile_row *rows = result->rows;
    const size_t count = result->row_count;
    tuff__bench_kind *kinds = tuff__calloc(count + 1, sizeof *kinds);
    size_t found = 0;
    if (!kinds)
        return tuff__fail_memory("a profile", count * sizeof *kinds);
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;
        while (k < found && !same_kind(kinds[k].row, &rows[i]))
            k++;
        if (k == found)
            kinds[found++].row = &rows[i];
        kinds[k].count++;
        kinds[k].seconds += rows[i].seconds;
    }
    qsort(kinds, found, sizeof *kinds, by_falling_time);
    *out_kinds = kinds;
    *out_count = found;
    return TUFF_SUCCESS;
}

/* -- timeline: the trace event format of Chrome, which Perfetto opens --------------------------------------------- */

enum { PROCESS = 1 };

static void put_name(tuff__json_writer *writer, const char *what, int64_t thread, const char *name)
{
    tuff__json_begin_object(writer);
    tuff__json_put_string(writer, "name", what);
    tuff__json_put_string(writer, "ph", "M");
    tuff__json_put_int(writer, "pid", PROCESS);
    tuff__json_put_int(writer, "tid", thread);
    tuff__json_key(writer, "args");
    tuff__json_begin_object(writer);
    tuff__json_put_string(writer, "name", name);
    tuff__json_end_object(writer);
    tuff__json_end_object(writer);
}

static void put_row(tuff__json_writer *writer, const tuff_graph_profile_row *row, int64_t thread, double begin,
                    const tuff__bench_peak *peak)
{
    tuff__json_begin_object(writer);
    tuff__json_put_string(writer, "name", row->op);
    tuff__json_put_string(writer, "ph", "X");
    tuff__json_put_int(writer, "pid", PROCESS);
    tuff__json_put_int(writer, "tid", thread);
    tuff__json_put_double(writer, "ts", begin * 1e6);
    tuff__json_put_double(writer, "dur", row->seconds * 1e6);
    tuff__json_key(writer, "args");
    tuff__json_begin_object(writer);
    tuff__json_put_string(writer, "label", row->label);
    tuff__json_put_string(writer, "kernel", row->variant);
    tuff__json_put_string(writer, "dtype", tuff__dtype_name(row->dtype));
    tuff__json_put_shape(writer, "shape", &row->shape);
    tuff__json_put_count(writer, "level", row->level);
    tuff__json_put_double(writer, "GFLOP/s", row->seconds > 0 ? row->flops / row->seconds * 1e-9 : 0);
    tuff__json_put_double(writer, "GB/s", row->seconds > 0 ? row->bytes / row->seconds * 1e-9 : 0);
    tuff__json_put_double(writer, "roofline", tuff__bench_roofline(peak, row->flops, row->bytes, row->seconds));
    tuff__json_end_object(writer);
    tuff__json_end_object(writer);
}

void tuff__bench_trace_begin(tuff__json_writer *trace, const tuff_device_properties *device)
{
    tuff__json_begin_object(trace);
    tuff__json_put_string(trace, "displayTimeUnit", "ms");
    tuff__json_key(trace, "traceEvents");
    tuff__json_begin_array(trace);
    put_name(trace, "process_name", 0, device->name);
}

void tuff__bench_trace_add(tuff__json_writer *trace, int64_t thread, const tuff__bench_result *result)
{
    double begin = 0;
    put_name(trace, "thread_name", thread, result->name);
    for (size_t i = 0; i < result->row_count; i++) {
        put_row(trace, &result->rows[i], thread, begin, result->peak);
        begin += result->rows[i].seconds;
    }
}

tuff_status tuff__bench_trace_finish(tuff__json_writer *trace, const char *path)
{
    char *text = NULL;
    size_t length = 0;
    tuff__json_end_array(trace);
    tuff__json_end_object(trace);
    TUFF_TRY(tuff__json_finish_text(trace, &text, &length));
    const tuff_status status = tuff__file_write(path, text, length);
    tuff__free(text);
    return status;
}
