/* bench.c: `tuff bench`: prints what runtime/bench measures. */
#include "args.h"

#include "bench/bench.h"
#include "io/json.h"
#include "tuff/model.h"

#include "alloc.h"

#include <stdio.h>

/* "1.234 ms" in a width that lines up. */
static const char *time_text(double seconds, char text[32])
{
    if (seconds >= 1)
        snprintf(text, 32, "%.3f s", seconds);
    else if (seconds >= 1e-3)
        snprintf(text, 32, "%.3f ms", seconds * 1e3);
    else
        snprintf(text, 32, "%.1f us", seconds * 1e6);
    return text;
}

/* Where results go: to the table or the JSON as they come, and into the timeline. */
typedef struct sink {
    bool json, profile, in_steps;
    const char *trace_path; /* NULL: no timeline */
    tuff__json_writer writer, trace;
    int64_t threads; /* of the timeline */
} sink;

/* -- table -------------------------------------------------------------------------------------------------------- */

static double mebibytes(uint64_t bytes)
{
    return (double)bytes / 1048576;
}

static void print_step(sink *to, const tuff__bench_result *r)
{
    char time[32], host[32];
    if (!to->in_steps || to->profile)
        printf("\n%-28s %-26s %12s %9s %6s %12s %6s %10s  %s\n", "step", "batch, model", "time", "GFLOP/s", "peak",
               "host", "share", "dispatches", "activations planned / live");
    to->in_steps = true;
    printf("%-28s %-26s %12s %9.2f %5.0f%% %12s %5.2f%% %10u  %.1f / %.1f MiB, %.3fx\n", r->name, r->shape,
           time_text(r->seconds, time), r->flops / r->seconds / 1e9, 100 * r->flops_share,
           time_text(r->host_seconds, host), 100 * r->host_seconds / r->seconds, r->dispatch_count,
           mebibytes(r->activation_size), mebibytes(r->activation_live),
           r->activation_live ? (double)r->activation_size / (double)r->activation_live : 1.0);
}

static void print_kind(const tuff__bench_kind *kind, double all, const tuff__bench_peak *peak)
{
    char time[32], name[48], shape[TUFF__SHAPE_TEXT];
    const tuff_graph_profile_row *row = kind->row;
    const double seconds = kind->seconds / (double)kind->count;
    snprintf(name, sizeof name, "%zu x %s %s", kind->count, row->op, row->variant);
    printf("  %-32s %-20s %12s %5.1f%% %9.2f %9.2f %8.0f%%\n", name, tuff__shape_text(&row->shape, shape),
           time_text(kind->seconds, time), 100 * kind->seconds / all, row->flops / seconds / 1e9,
           row->bytes / seconds / 1e9, 100 * tuff__bench_roofline(peak, row->flops, row->bytes, seconds));
}

static tuff_status print_profile(const tuff__bench_result *r)
{
    char time[32];
    tuff__bench_kind *kinds = NULL;
    size_t count = 0;
    double all = 0;
    TUFF_TRY(tuff__bench_kinds(r, &kinds, &count));
    for (size_t i = 0; i < count; i++)
        all += kinds[i].seconds;
    printf("\n  %-32s %-20s %12s %6s %9s %9s %9s\n", "its operators, each alone", "result", "time", "share", "GFLOP/s",
           "GB/s", "roofline");
    for (size_t i = 0; i < count; i++)
        print_kind(&kinds[i], all, r->peak);
    printf("  %-32s %-20s %12s\n", "all", "", time_text(all, time));
    tuff__free(kinds);
    return TUFF_SUCCESS;
}

static tuff_status print_result(sink *to, const tuff__bench_result *r)
{
    char time[32];
    if (r->step)
        print_step(to, r);
    else
        printf("%-28s %-26s %12s %9.2f %5.0f%% %9.2f %5.0f%%\n", r->name, r->shape, time_text(r->seconds, time),
               r->flops / r->seconds / 1e9, 100 * r->flops_share, r->bytes / r->seconds / 1e9, 100 * r->bytes_share);
    if (to->profile && r->step)
        TUFF_TRY(print_profile(r));
    fflush(stdout);
    return TUFF_SUCCESS;
}

static void print_heading(const tuff_device_properties *device)
{
    printf("%s with %s\n\n%-28s %-26s %12s %9s %6s %9s %6s\n", device->name, device->driver, "operator", "shape",
           "time", "GFLOP/s", "peak", "GB/s", "peak");
}

static void print_legend(const sink *to, const tuff__bench_peak *peak)
{
    printf("\ntime: median of at least 5 runs, host included. peak: of %.2f GFLOP/s, a matrix product of\n"
           "1024x1024x1024, and of %.2f GB/s, a copy of 32 MiB, both measured here; what fits into caches goes above "
           "it.\n",
           peak->flops_per_second / 1e9, peak->bytes_per_second / 1e9);
    if (to->profile)
        printf("roofline: the time that these two peaks leave an operator at the least, over the time it takes.\n");
}

/* -- JSON --------------------------------------------------------------------------------------------------------- */

static void put_rows(tuff__json_writer *writer, const tuff__bench_result *r)
{
    tuff__json_key(writer, "operators");
    tuff__json_begin_array(writer);
    for (size_t i = 0; i < r->row_count; i++) {
        const tuff_graph_profile_row *row = &r->rows[i];
        tuff__json_begin_object(writer);
        tuff__json_put_string(writer, "op", row->op);
        tuff__json_put_string(writer, "kernel", row->variant);
        tuff__json_put_string(writer, "label", row->label);
        tuff__json_put_shape(writer, "shape", &row->shape);
        tuff__json_put_count(writer, "level", row->level);
        tuff__json_put_double(writer, "seconds", row->seconds);
        tuff__json_put_double(writer, "flops", row->flops);
        tuff__json_put_double(writer, "bytes", row->bytes);
        tuff__json_put_double(writer, "roofline", tuff__bench_roofline(r->peak, row->flops, row->bytes, row->seconds));
        tuff__json_end_object(writer);
    }
    tuff__json_end_array(writer);
}

static void put_result(sink *to, const tuff__bench_result *r)
{
    tuff__json_writer *writer = &to->writer;
    tuff__json_begin_object(writer);
    tuff__json_put_string(writer, "kind", r->step ? "step" : "operator");
    tuff__json_put_string(writer, "name", r->name);
    tuff__json_put_string(writer, "shape", r->shape);
    tuff__json_put_count(writer, "runs", r->runs);
    tuff__json_put_double(writer, "seconds", r->seconds);
    tuff__json_put_double(writer, "fastest_seconds", r->fastest);
    tuff__json_put_double(writer, "host_seconds", r->host_seconds);
    tuff__json_put_double(writer, "flops", r->flops);
    tuff__json_put_double(writer, "bytes", r->bytes);
    tuff__json_put_double(writer, "flops_per_second", r->flops / r->seconds);
    tuff__json_put_double(writer, "bytes_per_second", r->bytes / r->seconds);
    tuff__json_put_double(writer, "flops_share", r->flops_share);
    tuff__json_put_double(writer, "bytes_share", r->bytes_share);
    tuff__json_put_count(writer, "dispatch_count", r->dispatch_count);
    tuff__json_put_count(writer, "submit_count", r->submit_count);
    if (r->step) {
        tuff__json_put_count(writer, "activation_size", r->activation_size);
        tuff__json_put_count(writer, "activation_live", r->activation_live);
        if (to->profile)
            put_rows(writer, r);
    }
    tuff__json_end_object(writer);
}

static void begin_json(sink *to, const tuff_device_properties *device)
{
    tuff__json_begin_object(&to->writer);
    tuff__json_put_string(&to->writer, "tuff", tuff_version());
    tuff__json_put_string(&to->writer, "device", device->name);
    tuff__json_put_string(&to->writer, "driver", device->driver);
    tuff__json_key(&to->writer, "results");
    tuff__json_begin_array(&to->writer);
}

static tuff_status finish_json(sink *to, const tuff__bench_peak *peak)
{
    tuff__json_end_array(&to->writer);
    tuff__json_put_double(&to->writer, "peak_flops_per_second", peak->flops_per_second);
    tuff__json_put_double(&to->writer, "peak_bytes_per_second", peak->bytes_per_second);
    tuff__json_end_object(&to->writer);
    return tuff__json_finish_line(&to->writer, stdout, "standard output");
}

/* -- the command -------------------------------------------------------------------------------------------------- */

static tuff_status take_result(void *user, const tuff__bench_result *r)
{
    sink *to = user;
    if (to->trace_path && r->step)
        tuff__bench_trace_add(&to->trace, ++to->threads, r);
    if (!to->json)
        return print_result(to, r);
    put_result(to, r);
    return TUFF_SUCCESS;
}

static tuff_status measure(tuff_device *device, const tuff__bench_info *info, sink *to)
{
    const tuff_device_properties *properties = tuff_device_get_properties(device);
    tuff__bench_peak peak;
    if (to->json)
        begin_json(to, properties);
    else
        print_heading(properties);
    if (to->trace_path)
        tuff__bench_trace_begin(&to->trace, properties);
    TUFF_TRY(tuff__bench_run(device, info, take_result, to, &peak));
    if (to->trace_path)
        TUFF_TRY(tuff__bench_trace_finish(&to->trace, to->trace_path));
    if (to->json)
        return finish_json(to, &peak);
    print_legend(to, &peak);
    return TUFF_SUCCESS;
}

static tuff_status bench(const char *device_name, tuff__bench_info *info, sink *to)
{
    tuff_device *device = NULL;
    char *dir = NULL;
    tuff_status status = info->model ? tuff_model_find(info->model, &dir) : TUFF_SUCCESS;
    if (status == TUFF_SUCCESS)
        status = tuff_device_create(&(tuff_device_create_info){.device = device_name}, &device);
    info->model = dir;
    if (status == TUFF_SUCCESS)
        status = measure(device, info, to);
    tuff__json_writer_discard(&to->writer);
    tuff__json_writer_discard(&to->trace);
    tuff_device_destroy(device);
    tuff_free(dir);
    return status;
}

int tuff__cmd_bench(int argc, char **argv)
{
    tuff__bench_info info = {0};
    const char *device = NULL;
    sink to = {0};
    const tuff__arg options[] = {
        {"device", TUFF__ARG_STRING, &device, NULL, 0, 0, "DEVICE",
         "cpu, reference, vulkan, vulkan:N or part of a name (default: the one that tuff devices marks)", NULL},
        {"filter", TUFF__ARG_STRING, &info.filter, NULL, 0, 0, "NAME",
         "measure only what has NAME in its name; the two peaks are measured in any case", NULL},
        {"model", TUFF__ARG_STRING, &info.model, NULL, 0, 0, "DIR",
         "folder whose model runs the whole steps (default: random weights in two usual shapes)", NULL},
        {"profile", TUFF__ARG_FLAG, &to.profile, NULL, 0, 0, NULL,
         "of the whole steps, time each operator alone, by the device's clock", NULL},
        {"trace", TUFF__ARG_STRING, &to.trace_path, NULL, 0, 0, "FILE",
         "write these times as a timeline that Perfetto and chrome://tracing open", NULL},
        {"json", TUFF__ARG_FLAG, &to.json, NULL, 0, 0, NULL, "print one line of JSON", NULL},
        {0},
    };
    tuff__args args = {
        .command = "bench",
        .usage = "",
        .summary =
            "Measures operators and whole steps on a device: time, GFLOP/s, GB/s and their share of what the "
            "device reached in a large matrix product and a large copy; for steps the host's time and the memory of "
            "activations.",
        .epilogue = "Examples:\n  tuff bench --device vulkan:0 --filter matmul\n"
                    "  tuff bench --filter 'training step' --profile --trace step.json",
        .options = options,
    };
    const int code = tuff__args_parse(&args, argc, argv);
    if (code >= 0)
        return code;
    info.profile = to.profile || to.trace_path;
    return bench(device, &info, &to) == TUFF_SUCCESS ? 0 : tuff__report_failure();
}
