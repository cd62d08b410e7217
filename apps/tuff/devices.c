/* devices.c: `tuff devices`: what this machine offers, what tuff will use, and why. */
#include "args.h"

#include "alloc.h"
#include "env.h"
#include "io/json.h"
#include "prove.h"
#include "tuff/device.h"

#include <stdio.h>
#include <string.h>

static const char *type_name(tuff_device_type type)
{
    static const char *const names[] = {
        [TUFF_DEVICE_TYPE_OTHER] = "other",
        [TUFF_DEVICE_TYPE_INTEGRATED_GPU] = "integrated GPU",
        [TUFF_DEVICE_TYPE_DISCRETE_GPU] = "discrete GPU",
        [TUFF_DEVICE_TYPE_VIRTUAL_GPU] = "virtual GPU",
        [TUFF_DEVICE_TYPE_CPU] = "software",
    };
    return names[type];
}

/* What --device takes: "vulkan:0", "cpu", "reference". */
static const char *device_option(const tuff_device_properties *device, char text[32])
{
    if (device->backend == TUFF_BACKEND_VULKAN)
        snprintf(text, 32, "vulkan:%u", device->vulkan_index);
    else
        snprintf(text, 32, "%s", device->backend == TUFF_BACKEND_CPU ? "cpu" : "reference");
    return text;
}

/* "1.5 GiB", without a fraction where there is none. */
static const char *size_text(uint64_t bytes, char text[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1024 && unit < 4; unit++)
        value /= 1024;
    const bool whole = value == (double)(uint64_t)value;
    snprintf(text, 32, whole ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

static const char *yes_no(bool value)
{
    return value ? "yes" : "no";
}

static void print_vulkan_facts(const tuff_device_properties *d)
{
    char memory[32], range[32], allocation[32], shared[32];
    const uint32_t v = d->api_version;
    printf("    type            %s, %s of %s memory\n", type_name(d->type), size_text(d->memory_size, memory),
           d->unified_memory ? "unified" : "its own");
    printf("    api             Vulkan %u.%u.%u\n", v >> 22 & 0x7f, v >> 12 & 0x3ff, v & 0xfff);
    printf("    storage buffer  %s at once, %s in one allocation\n", size_text(d->max_storage_buffer_range, range),
           size_text(d->max_memory_allocation_size, allocation));
    printf("    workgroup       %u invocations, %s of shared memory, subgroups of %u\n", d->max_workgroup_invocations,
           size_text(d->max_shared_memory_size, shared), d->subgroup_size);
    printf("    features        16-bit arithmetic %s, 16-bit storage %s, buffer addresses %s\n",
           yes_no(d->shader_float16), yes_no(d->storage_buffer_16bit), yes_no(d->buffer_device_address));
}

static void print_device(const tuff_device_properties *d)
{
    char option[32], memory[32];
    printf("%c %-12s %s\n", d->is_default ? '*' : ' ', device_option(d, option),
           d->backend == TUFF_BACKEND_VULKAN ? d->name : d->driver);
    if (d->backend == TUFF_BACKEND_VULKAN) {
        printf("    driver          %s\n", d->driver);
        print_vulkan_facts(d);
    } else {
        printf("    threads         %u\n", d->thread_count);
        printf("    memory          %s\n", size_text(d->memory_size, memory));
    }
    printf("    use             %s\n", d->reason);
}

static void print_list(const tuff_device_properties *devices, size_t count, const char *problem)
{
    for (size_t i = 0; i < count; i++)
        print_device(&devices[i]);
    if (problem[0])
        printf("\nno Vulkan device: %s\n", problem);
    bool marked = false;
    for (size_t i = 0; i < count; i++)
        marked = marked || devices[i].is_default;
    if (marked)
        puts("\n* is what tuff uses when --device is not given.");
    else
        printf("\nTUFF_DEVICE=%s names no device here that tuff could use when --device is not given.\n",
               tuff__env()->device);
}

/* -- json --------------------------------------------------------------------------------------------------------- */

static void write_vulkan(tuff__json_writer *writer, const tuff_device_properties *d)
{
    tuff__json_put_count(writer, "api_version", d->api_version);
    tuff__json_put_count(writer, "vendor_id", d->vendor_id);
    tuff__json_put_count(writer, "device_id", d->device_id);
    tuff__json_put_count(writer, "driver_version", d->driver_version);
    tuff__json_put_count(writer, "max_storage_buffer_range", d->max_storage_buffer_range);
    tuff__json_put_count(writer, "max_memory_allocation_size", d->max_memory_allocation_size);
    tuff__json_put_count(writer, "max_shared_memory_size", d->max_shared_memory_size);
    tuff__json_put_count(writer, "max_workgroup_invocations", d->max_workgroup_invocations);
    tuff__json_put_count(writer, "subgroup_size", d->subgroup_size);
    tuff__json_put_bool(writer, "shader_float16", d->shader_float16);
    tuff__json_put_bool(writer, "storage_buffer_16bit", d->storage_buffer_16bit);
    tuff__json_put_bool(writer, "buffer_device_address", d->buffer_device_address);
    tuff__json_put_bool(writer, "unified_memory", d->unified_memory);
}

static void write_device(tuff__json_writer *writer, const tuff_device_properties *d)
{
    char option[32];
    tuff__json_begin_object(writer);
    tuff__json_put_string(writer, "device", device_option(d, option));
    tuff__json_put_string(writer, "name", d->name);
    tuff__json_put_string(writer, "driver", d->driver);
    tuff__json_put_string(writer, "type", type_name(d->type));
    tuff__json_put_bool(writer, "usable", d->usable);
    tuff__json_put_bool(writer, "default", d->is_default);
    tuff__json_put_string(writer, "reason", d->reason);
    tuff__json_put_count(writer, "memory_size", d->memory_size);
    if (d->backend == TUFF_BACKEND_VULKAN)
        write_vulkan(writer, d);
    else
        tuff__json_put_count(writer, "thread_count", d->thread_count);
    tuff__json_end_object(writer);
}

static tuff_status print_json(const tuff_device_properties *devices, size_t count, const char *problem)
{
    tuff__json_writer writer = {0};
    tuff__json_begin_object(&writer);
    tuff__json_key(&writer, "devices");
    tuff__json_begin_array(&writer);
    for (size_t i = 0; i < count; i++)
        write_device(&writer, &devices[i]);
    tuff__json_end_array(&writer);
    tuff__json_put_string(&writer, "vulkan_problem", problem);
    tuff__json_end_object(&writer);
    return tuff__json_finish_line(&writer, stdout, "standard output");
}

/* -- kernel verdicts ---------------------------------------------------------------------------------------------- */

static void print_verdicts(const tuff_device *device, const tuff__prover_row *rows, size_t count)
{
    printf("kernels on %s, each held against the CPU reference:\n", tuff_device_get_properties(device)->name);
    for (size_t i = 0; i < count; i++) {
        printf("  %-24s %-6s %-12s", rows[i].op, rows[i].variant, tuff__verdict_name(rows[i].verdict));
        if (rows[i].seconds > 0)
            printf(" %.3f ms", rows[i].seconds * 1e3);
        printf("%s%s\n", rows[i].reason[0] ? " " : "", rows[i].reason);
    }
    if (count == 0)
        puts("  one kernel for every operator: there is nothing to choose");
}

static tuff_status print_verdicts_json(const tuff_device *device, const tuff__prover_row *rows, size_t count)
{
    char option[32];
    tuff__json_writer writer = {0};
    const tuff_device_properties *d = tuff_device_get_properties(device);
    tuff__json_begin_object(&writer);
    tuff__json_put_string(&writer, "device", device_option(d, option));
    tuff__json_put_string(&writer, "name", d->name);
    tuff__json_put_string(&writer, "driver", d->driver);
    tuff__json_key(&writer, "kernels");
    tuff__json_begin_array(&writer);
    for (size_t i = 0; i < count; i++) {
        tuff__json_begin_object(&writer);
        tuff__json_put_string(&writer, "op", rows[i].op);
        tuff__json_put_string(&writer, "variant", rows[i].variant);
        tuff__json_put_string(&writer, "verdict", tuff__verdict_name(rows[i].verdict));
        tuff__json_put_double(&writer, "seconds", rows[i].seconds);
        tuff__json_put_string(&writer, "reason", rows[i].reason);
        tuff__json_end_object(&writer);
    }
    tuff__json_end_array(&writer);
    tuff__json_end_object(&writer);
    return tuff__json_finish_line(&writer, stdout, "standard output");
}

static tuff_status prove(const char *name, bool json)
{
    const tuff_device_create_info info = {.device = name};
    tuff_device *device = NULL;
    tuff__prover_row *rows = NULL;
    size_t count = 0;
    tuff_status status = tuff_device_create(&info, &device);
    if (status == TUFF_SUCCESS)
        status = tuff__prove_all(device, &rows, &count);
    if (status == TUFF_SUCCESS && json)
        status = print_verdicts_json(device, rows, count);
    else if (status == TUFF_SUCCESS)
        print_verdicts(device, rows, count);
    tuff__free(rows);
    tuff_device_destroy(device);
    return status;
}

static tuff_status list(bool json)
{
    tuff_device_properties *devices = NULL;
    size_t count = 0;
    char problem[256] = "";
    tuff_status status = tuff_device_list(&devices, &count, problem);
    if (status == TUFF_SUCCESS && json)
        status = print_json(devices, count, problem);
    else if (status == TUFF_SUCCESS)
        print_list(devices, count, problem);
    tuff_free(devices);
    return status;
}

int tuff__cmd_devices(int argc, char **argv)
{
    const char *device = NULL;
    bool json = false, proves = false;
    const tuff__arg options[] = {
        {.name = "prove",
         .kind = TUFF__ARG_FLAG,
         .value = &proves,
         .help = "instead of the list, say which kernels one device has proven, proving those that are new to it"},
        {.name = "device",
         .kind = TUFF__ARG_STRING,
         .value = &device,
         .metavar = "DEVICE",
         .help = "with --prove: cpu, reference, vulkan, vulkan:N or part of a name (default: the one marked *)"},
        {.name = "json",
         .kind = TUFF__ARG_FLAG,
         .value = &json,
         .help = "print the list, or the verdicts, as one line of JSON"},
        {0},
    };
    tuff__args args = {
        .command = "devices",
        .usage = "",
        .summary = "Lists the Vulkan devices and the CPUs of this machine, their limits and features, and says which "
                   "one tuff takes and why.",
        .options = options,
    };
    const int code = tuff__args_parse(&args, argc, argv);
    if (code >= 0)
        return code;
    if (device && !proves) {
        fputs("tuff: devices: --device goes with --prove; without it all devices are listed\n", stderr);
        return 2;
    }
    return (proves ? prove(device, json) : list(json)) == TUFF_SUCCESS ? 0 : tuff__report_failure();
}
