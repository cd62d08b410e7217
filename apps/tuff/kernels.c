/* kernels.c: `tuff kernels`: makes every pipeline a device could use and prints what its compiler says of them. */
#include "args.h"

#include "alloc.h"
#include "io/file.h"
#include "kernel_cases.h"
#include "op.h"
#include "os.h"
#if TUFF_WITH_VULKAN
#include "vk/vk_device.h"
#endif

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#if TUFF_WITH_VULKAN

/* A range so small that products are cut into parts, which have pipelines of their own. */
enum { SPLIT_RANGE = 16384, MAX_VARIANTS = 16 };

/* -- making ------------------------------------------------------------------------------------------------------- */

typedef struct sweep {
    tuff_device *device;
    const char *filter; /* NULL: all */
    size_t graphs, failed_graphs;
    tuff__kernel_case step;
} sweep;

/* Compiles the family's steps from `first`, `count` of them at most, as one graph, so that their pipelines are made on
 * all processors. */
static tuff_status compile_steps(sweep *s, const tuff__kernel_family *family, tuff__kernel_case *c, uint32_t first,
                                 uint32_t count, bool split)
{
    *c = (tuff__kernel_case){.step = first, .split = split};
    tuff_status status = tuff_graph_create(s->device, &c->graph);
    c->last = status != TUFF_SUCCESS; /* out of memory: there is no going on */
    if (c->last)
        return status;
    for (family->build(c); !c->last && c->step + 1 < first + count; family->build(c))
        c->step++;
    status = tuff_graph_compile(c->graph, c->outputs, c->output_count);
    tuff_graph_destroy(c->graph);
    s->graphs++;
    return status;
}

/* One step alone, after a graph of several has failed: which of them was it? Where tensors are cut on purpose, a graph
 * that cannot be is no failure. */
static void compile_alone(sweep *s, const tuff__kernel_family *family, tuff__kernel_case *c, uint32_t step, bool split)
{
    const tuff_status status = compile_steps(s, family, c, step, 1, split);
    if (status == TUFF_SUCCESS || (split && status == TUFF_ERROR_FEATURE_NOT_PRESENT))
        return;
    s->failed_graphs++;
    printf("FAILED %s (%s), %s: %s\n", family->name, s->device->target.kernel_variant, c->name, tuff_last_error());
}

static void compile_family(sweep *s, const tuff__kernel_family *family, bool split)
{
    tuff__kernel_case *c = &s->step;
    uint32_t end = 0;
    for (bool last = false; !last;) {
        const uint32_t first = end;
        const tuff_status status = compile_steps(s, family, c, first, TUFF__KERNEL_STEPS, split);
        last = c->last;
        end = c->step + 1;
        for (uint32_t step = first; status != TUFF_SUCCESS && step < end; step++)
            compile_alone(s, family, c, step, split);
    }
}

/* Whether the variant is one of the family's, and meant for this device. */
static bool has_variant(const tuff__kernel_family *family, const tuff__target *target)
{
    const tuff_op_desc *op = tuff__op_desc(family->op);
    for (uint32_t v = 0; v < op->variant_count; v++)
        if (!strcmp(op->variants[v].name, target->kernel_variant))
            return op->variants[v].supported(target);
    return false;
}

/* Whether "matmul t1" or "matmul_t1", or "cast" of a family without variants, contains the filter. */
static bool is_wanted(const sweep *s, const tuff__kernel_family *family)
{
    if (family->op && !has_variant(family, &s->device->target))
        return false;
    const char *variant = family->op ? s->device->target.kernel_variant : "";
    bool wanted = !s->filter;
    for (const char *separator = " _"; *separator && !wanted; separator++) {
        char label[64];
        snprintf(label, sizeof label, "%s%.*s%s", family->name, family->op ? 1 : 0, separator, variant);
        wanted = strstr(label, s->filter) != NULL;
    }
    return wanted;
}

/* The names of all kernel variants meant for this device. */
static size_t list_variants(const tuff_device *device, const char *names[MAX_VARIANTS])
{
    size_t count = 0;
    for (uint32_t id = 1; id < TUFF__OP_COUNT; id++) {
        const tuff_op_desc *op = tuff__op_desc((tuff__op_id)id);
        for (uint32_t v = 0; v < op->variant_count; v++) {
            bool known = !op->variants[v].supported(&device->target);
            for (size_t i = 0; i < count && !known; i++)
                known = !strcmp(names[i], op->variants[v].name);
            if (!known && count < MAX_VARIANTS)
                names[count++] = op->variants[v].name;
        }
    }
    return count;
}

static void compile_all(sweep *s)
{
    const char *names[MAX_VARIANTS];
    const size_t count = list_variants(s->device, names);
    tuff__target *target = &s->device->target;
    const uint64_t range = target->max_storage_buffer_range;
    for (size_t i = 0; i < count || i == 0; i++) {
        target->kernel_variant = count > 0 ? names[i] : "t0"; /* insisted on: nothing is run to prove it */
        for (const tuff__kernel_family *family = tuff__kernel_families; family->name; family++) {
            if ((!family->op && i > 0) || !is_wanted(s, family))
                continue;
            target->max_storage_buffer_range = range;
            compile_family(s, family, false);
            target->max_storage_buffer_range = SPLIT_RANGE;
            if (family->op)
                compile_family(s, family, true);
        }
    }
    target->max_storage_buffer_range = range;
}

/* -- what the compiler says --------------------------------------------------------------------------------------- */

/* `word` in lower case; in any case in `text`. */
static bool contains(const char *text, const char *word)
{
    const size_t length = strlen(word);
    for (; *text; text++) {
        size_t i = 0;
        while (i < length && tolower((unsigned char)text[i]) == word[i])
            i++;
        if (i == length)
            return true;
    }
    return false;
}

typedef enum meaning { OTHER, REGISTERS, SPILLS, SHARED, OCCUPANCY } meaning;

/* Drivers name one thing in many ways; the first row that fits counts. */
static meaning meaning_of(const char *name)
{
    static const struct {
        const char *word;
        meaning meaning;
    } rows[] = {
        {"spills to reg", OTHER}, /* NVK: into other registers, not into memory */
        {"spilled sgprs", OTHER}, /* RADV: into lanes of vector registers, not into memory */
        {"pre-sched", OTHER},     /* RADV: an estimate before the last pass */
        {"spill", SPILLS},        /* RADV "Spilled VGPRs", ANV "Spill count", NVK "Spills to memory", Honeykrisp */
        {"stp count", SPILLS},    /* Turnip: stores to private memory */
        {"sgprs", OTHER},         /* RADV: for scalars, and never short */
        {"vgprs", REGISTERS},
        {"gprs", REGISTERS},
        {"half-registers", OTHER},
        {"registers", REGISTERS},
        {"lds", SHARED},
        {"shared", SHARED},
        {"subgroups per simd", OCCUPANCY},
        {"max waves", OCCUPANCY},
        {"max warps", OCCUPANCY},
        {"occupancy", OCCUPANCY},
        {"threads", OCCUPANCY}, /* Honeykrisp */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (contains(name, rows[i].word))
            return rows[i].meaning;
    return OTHER;
}

/* The sum of the statistics of one meaning; false where the driver tells none. */
static bool find_statistic(const tuff__vk_pipeline_report *report, meaning wanted, double *out_value)
{
    bool found = false;
    *out_value = 0;
    for (uint32_t i = 0; i < report->statistic_count; i++)
        if (meaning_of(report->statistics[i].name) == wanted) {
            *out_value += report->statistics[i].value;
            found = true;
        }
    return found;
}

static void print_statistic(const tuff__vk_pipeline_report *report, meaning wanted, const char *name)
{
    double value = 0;
    if (find_statistic(report, wanted, &value))
        printf("  %s %g", name, value);
}

static void print_pipeline(const tuff__vk_pipeline_report *report, bool verbose)
{
    char constants[128] = "";
    size_t used = 0;
    if (report->local_size_x)
        used = (size_t)snprintf(constants, sizeof constants, "local %u ", report->local_size_x);
    for (uint32_t i = 0; i < report->constant_count && used < sizeof constants - 12; i++)
        used += (size_t)snprintf(constants + used, sizeof constants - used, i ? ",%u" : "%u", report->constants[i]);
    printf("%-28s %-20s", report->shader, constants);
    print_statistic(report, REGISTERS, "registers");
    print_statistic(report, SPILLS, "spills");
    print_statistic(report, SHARED, "shared");
    print_statistic(report, OCCUPANCY, "occupancy");
    puts(report->statistic_count ? "" : "  made");
    for (uint32_t i = 0; verbose && i < report->statistic_count; i++)
        printf("    %-40s %g\n", report->statistics[i].name, report->statistics[i].value);
}

/* -- the verdict -------------------------------------------------------------------------------------------------- */

/* Whether the pipeline is as it should be; says what is not. */
static bool judge(const tuff__vk_pipeline_report *report)
{
    double spills = 0;
    if (report->failure) {
        printf("FAILED %s: the driver answered %s\n", report->shader, report->failure);
        return false;
    }
    if (find_statistic(report, SPILLS, &spills) && spills > report->spill_allowance) {
        printf("FAILED %s: %g registers are spilled, %u are allowed\n", report->shader, spills,
               report->spill_allowance);
        return false;
    }
    return true;
}

static bool was_made(const tuff_device *device, const char *shader)
{
    for (size_t i = 0; i < tuff__vk_pipeline_count(device); i++)
        if (!strcmp(tuff__vk_pipeline_get(device, i).shader, shader))
            return true;
    return false;
}

/* Shaders of rungs that are not for this device. */
static void print_unused(const tuff_device *device)
{
    const char *name;
    const uint32_t *words;
    size_t word_count;
    for (size_t i = 0; tuff__vk_shader_get(i, &name, &words, &word_count); i++)
        if (!was_made(device, name))
            printf("%-28s not for this device\n", name);
}

static int report_all(const sweep *s, bool quiet, bool verbose)
{
    const size_t count = tuff__vk_pipeline_count(s->device);
    size_t failed = 0;
    for (size_t i = 0; i < count; i++) {
        const tuff__vk_pipeline_report report = tuff__vk_pipeline_get(s->device, i);
        if (!quiet && !report.failure)
            print_pipeline(&report, verbose);
        failed += !judge(&report);
    }
    if (!quiet && !s->filter)
        print_unused(s->device);
    const tuff_device_properties *properties = tuff_device_get_properties(s->device);
    printf("%s, %s: %zu pipelines of %zu graph%s, %zu failed\n", properties->name, properties->driver, count, s->graphs,
           s->graphs == 1 ? "" : "s", failed + s->failed_graphs);
    return failed + s->failed_graphs ? 1 : 0;
}

static tuff_status open_device(const char *name, tuff_device **out_device)
{
    const tuff_device_create_info info = {.device = name};
    TUFF_TRY(tuff__device_create(&info, true, out_device));
    const tuff_device_properties *properties = tuff_device_get_properties(*out_device);
    if (properties->backend == TUFF_BACKEND_VULKAN)
        return TUFF_SUCCESS;
    return tuff__fail(TUFF_ERROR_FEATURE_NOT_PRESENT,
                      "kernels: '%s' runs no pipelines; name a Vulkan device, such as --device vulkan:0",
                      properties->name);
}

static int make_all(const char *name, const char *filter, bool quiet, bool verbose)
{
    sweep s = {.filter = filter};
    int code = -1;
    if (open_device(name, &s.device) == TUFF_SUCCESS) {
        compile_all(&s);
        if (s.graphs > 0)
            code = report_all(&s, quiet, verbose);
        else
            tuff__fail(TUFF_ERROR_INVALID_ARGUMENT, "kernels: the name of no kernel for this device contains '%s'",
                       filter);
    }
    tuff_device_destroy(s.device);
    return code >= 0 ? code : tuff__report_failure();
}

/* -- the modules -------------------------------------------------------------------------------------------------- */

static tuff_status write_module(const char *folder, const char *name, const uint32_t *words, size_t word_count)
{
    char *path = tuff__asprintf("%s/%s.f32.spv", folder, name);
    if (!path)
        return tuff__fail_memory("a file name", 0);
    errno = 0;
    FILE *file = tuff__file_open(path, "wb");
    bool written = file && fwrite(words, sizeof *words, word_count, file) == word_count;
    if (file)
        written = fclose(file) == 0 && written;
    const tuff_status status = written ? TUFF_SUCCESS : tuff__fail_write(path);
    tuff__free(path);
    return status;
}

static int write_all(const char *folder)
{
    const char *name;
    const uint32_t *words;
    size_t word_count, count = 0;
    tuff_status status = tuff__directory_create(folder);
    for (; status == TUFF_SUCCESS && tuff__vk_shader_get(count, &name, &words, &word_count); count++)
        status = write_module(folder, name, words, word_count);
    if (status != TUFF_SUCCESS)
        return tuff__report_failure();
    printf("%zu SPIR-V modules are in %s\n", count, folder);
    return 0;
}

#else

static int make_all(const char *name, const char *filter, bool quiet, bool verbose)
{
    (void)name, (void)filter, (void)quiet, (void)verbose;
    fputs("tuff: kernels: this build of tuff has no Vulkan\n", stderr);
    return 1;
}

static int write_all(const char *folder)
{
    return make_all(folder, NULL, false, false);
}

#endif

int tuff__cmd_kernels(int argc, char **argv)
{
    const char *device = NULL, *filter = NULL, *folder = NULL;
    bool quiet = false, verbose = false;
    const tuff__arg options[] = {
        {.name = "device",
         .kind = TUFF__ARG_STRING,
         .value = &device,
         .metavar = "DEVICE",
         .help = "vulkan, vulkan:N or part of a device's name (default: the best Vulkan GPU)"},
        {.name = "filter",
         .kind = TUFF__ARG_STRING,
         .value = &filter,
         .metavar = "NAME",
         .help = "only kernels whose name contains NAME, such as matmul, 'matmul t1' or cast"},
        {.name = "quiet", .kind = TUFF__ARG_FLAG, .value = &quiet, .help = "print failures and the last line only"},
        {.name = "verbose",
         .kind = TUFF__ARG_FLAG,
         .value = &verbose,
         .help = "print every number that the driver tells of a pipeline"},
        {.name = "write",
         .kind = TUFF__ARG_STRING,
         .value = &folder,
         .metavar = "DIR",
         .help = "make no pipelines, but write the SPIR-V modules to DIR as <kernel>.f32.spv"},
        {0},
    };
    tuff__args args = {
        .command = "kernels",
        .usage = "",
        .summary = "Makes every pipeline that a Vulkan device could use and prints registers, spills and occupancy "
                   "where its driver tells them. Exits with 1 when a pipeline is refused, or spills more than the "
                   "allowance written beside its kernel.",
        .options = options,
    };
    const int code = tuff__args_parse(&args, argc, argv);
    if (code >= 0)
        return code;
    if (folder && (filter || device)) {
        fputs("tuff: kernels: --write goes without --filter and --device: it writes every module\n", stderr);
        return 2;
    }
    return folder ? write_all(folder) : make_all(device, filter, quiet, verbose);
}
