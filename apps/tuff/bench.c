/* bench.c: `tuff bench`: prints what runtime/bench measures. */
#include "args.h"

#include "bench/bench.h"
#include "io/json.h"
#include "tuff/model.h"

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

static void print_result(void *user, const tuff__bench_result *r)
{
    char time[32], host[32];
    bool *in_steps = user;
    if (r->step && !*in_steps) {
        printf("\n%-28s %-26s %12s %9s %6s %12s %6s %10s  %s\n", "step", "batch, model", "time", "GFLOP/s", "peak",
               "host", "share", "dispatches", "activations planned / live");
        *in_steps = true;
    }
    printf("%-28s %-26s %12s %9.2f %5.0f%%", r->name, r->shape, time_text(r->seconds, time),
           r->flops / r->seconds / 1e9, 100 * r->flops_share);
    if (!r->step)
        printf(" %9.2f %5.0f%%\n", r->bytes / r->seconds / 1e9, 100 * r->bytes_share);
    else
        printf(" %12s %5.2f%% %10u  %.1f / %.1f MiB, %.3fx\n", time_text(r->host_seconds, host),
               100 * r->host_seconds / r->seconds, r->dispatch_count, (double)r->activation_size / 1048576,
               (double)r->activation_live / 1048576,
               r->activation_live ? (double)r->activation_size / (double)r->activation_live : 1.0);
    fflush(stdout);
}

/* -- JSON --------------------------------------------------------------------------------------------------------- */

static void put_result(void *user, const tuff__bench_result *r)
{
    tuff__json_writer *writer = user;
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
    }
    tuff__json_end_object(writer);
}

static tuff_status bench_json(tuff_device *device, const tuff__bench_info *info)
{
    const tuff_device_properties *properties = tuff_device_get_properties(device);
    tuff__json_writer writer = {0};
    tuff__bench_peak peak;
    tuff__json_begin_object(&writer);
    tuff__json_put_string(&writer, "tuff", tuff_version());
    tuff__json_put_string(&writer, "device", properties->name);
    tuff__json_put_string(&writer, "driver", properties->driver);
    tuff__json_key(&writer, "results");
    tuff__json_begin_array(&writer);
    const tuff_status status = tuff__bench_run(device, info, put_result, &writer, &peak);
    if (status != TUFF_SUCCESS) {
        tuff__json_writer_discard(&writer);
        return status;
    }
    tuff__json_end_array(&writer);
    tuff__json_put_double(&writer, "peak_flops_per_second", peak.flops_per_second);
    tuff__json_put_double(&writer, "peak_bytes_per_second", peak.bytes_per_second);
    tuff__json_end_object(&writer);
    return tuff__json_finish_line(&writer, stdout, "standard output");
}

static tuff_status bench_table(tuff_device *device, const tuff__bench_info *info)
{
    const tuff_device_properties *properties = tuff_device_get_properties(device);
    tuff__bench_peak peak;
    bool in_steps = false;
    printf("%s with %s\n\n%-28s %-26s %12s %9s %6s %9s %6s\n", properties->name, properties->driver, "operator",
           "shape", "time", "GFLOP/s", "peak", "GB/s", "peak");
    TUFF_TRY(tuff__bench_run(device, info, print_result, &in_steps, &peak));
    printf("\ntime: median of at least 5 runs, host included. peak: of %.2f GFLOP/s, a matrix product of\n"
           "1024x1024x1024, and of %.2f GB/s, a copy of 32 MiB, both measured here; what fits into caches goes above it.\n",
           peak.flops_per_second / 1e9, peak.bytes_per_second / 1e9);
    return TUFF_SUCCESS;
}

static tuff_status bench(const char *device_name, tuff__bench_info *info, bool json)
{
    tuff_device *device = NULL;
    char *dir = NULL;
    tuff_status status = info->model ? tuff_model_find(info->model, &dir) : TUFF_SUCCESS;
    if (status == TUFF_SUCCESS)
        status = tuff_device_create(&(tuff_device_create_info){.device = device_name}, &device);
    info->model = dir;
    if (status == TUFF_SUCCESS)
        status = json ? bench_json(device, info) : bench_table(device, info);
    tuff_device_destroy(device);
    tuff_free(dir);
    return status;
}

int tuff__cmd_bench(int argc, char **argv)
{
    tuff__bench_info info = {0};
    const char *device = NULL;
    bool json = false;
    const tuff__arg options[] = {
        {"device", TUFF__ARG_STRING, &device, NULL, 0, 0, "DEVICE",
         "cpu, reference, vulkan, vulkan:N or part of a name (default: the one that tuff devices marks)", NULL},
        {"filter", TUFF__ARG_STRING, &info.filter, NULL, 0, 0, "NAME",
         "measure only what has NAME in its name; the two peaks are measured in any case", NULL},
        {"model", TUFF__ARG_STRING, &info.model, NULL, 0, 0, "DIR",
         "folder whose model runs the whole steps (default: random weights in two usual shapes)", NULL},
        {"json", TUFF__ARG_FLAG, &json, NULL, 0, 0, NULL, "print one line of JSON", NULL},
        {0},
    };
    tuff__args args = {
        .command = "bench",
        .usage = "",
        .summary = "Measures operators and whole steps on a device: time, GFLOP/s, GB/s and their share of what the "
                   "device reached in a large matrix product and a large copy; for steps the host's time and the memory of "
                   "activations.",
        .epilogue = "Examples:\n  tuff bench --device vulkan:0 --filter matmul",
        .options = options,
    };
    const int code = tuff__args_parse(&args, argc, argv);
    if (code >= 0)
        return code;
    return bench(device, &info, json) == TUFF_SUCCESS ? 0 : tuff__report_failure();
}
