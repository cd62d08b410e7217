/* verify.c: `tuff verify`: arguments in, a table and a verdict out. What is compared, and how, is in runtime/verify. */
#include "args.h"

#include "dtype.h"
#include "op.h"
#include "os.h"
#include "tuff/model.h"
#include "verify/verify.h"

#include <stdio.h>
#include <string.h>

/* -- while it runs ------------------------------------------------------------------------------------------------ */

typedef struct progress {
    bool terminal, verbose;
    size_t done, failures;
    double latest; /* when the line was drawn */
} progress;

static void print_record(const tuff_verify_record *record)
{
    char shape[TUFF__SHAPE_TEXT];
    printf("%-9s %-26s %-6s %-50s %s %-18s %10.3g  %.3f ms\n", tuff__verify_phase_name(record->phase), record->op,
           record->variant, tuff__verify_place(record), tuff__dtype_name(record->dtype),
           tuff__shape_text(&record->shape, shape), record->ratio, record->seconds * 1e3);
}

static bool on_record(void *user, const tuff_verify_record *record)
{
    progress *p = user;
    p->done++;
    p->failures += record->bad > 0;
    if (p->verbose) {
        print_record(record);
    } else if (p->terminal && tuff__clock_seconds() - p->latest > 0.1) {
        char line[512];
        snprintf(line, sizeof line, "%zu results, %zu wrong; %s: %s %s", p->done, p->failures,
                 tuff__verify_phase_name(record->phase), record->op, record->label);
        const uint32_t columns = tuff__terminal_columns(stderr);
        fprintf(stderr, "\r%.*s\033[K", columns > 1 ? (int)columns - 1 : 1, line);
        p->latest = tuff__clock_seconds();
    }
    return true;
}

static void clear_progress(const progress *p)
{
    if (p->latest > 0)
        fputs("\r\033[K", stderr);
}

/* -- the outcome -------------------------------------------------------------------------------------------------- */

static void print_groups(const tuff__verify_group *groups, size_t count)
{
    printf("%-28s %-6s %7s %6s %12s %10s  %s\n", "operator", "kernel", "results", "wrong", "elements", "ratio",
           "nearest to its allowance, or furthest above");
    for (size_t i = 0; i < count; i++)
        printf("%-28s %-6s %7zu %6zu %12llu %10.3g  %s\n", groups[i].op, groups[i].variant, groups[i].records,
               groups[i].failures, (unsigned long long)groups[i].elements, groups[i].worst->ratio,
               tuff__verify_place(groups[i].worst));
}

static void print_failure(const tuff_verify_report *report, const tuff_verify_record *record)
{
    char text[256], shape[TUFF__SHAPE_TEXT];
    tuff_verify_record_text(record, text);
    printf("\n%s%s%s at %s, result %u, %s %s, %s\n", record->op, record->variant[0] ? " " : "", record->variant,
           tuff__verify_place(record), record->output, tuff__dtype_name(record->dtype),
           tuff__shape_text(&record->shape, shape), tuff__verify_phase_name(record->phase));
    printf("  on %s, %s\n  %s (element %llu)\n", report->device.name, report->device.driver, text,
           (unsigned long long)record->worst);
    if (record->got_nan || record->want_nan || record->got_inf || record->want_inf)
        printf("  %llu NaN and %llu infinite, where the reference has %llu and %llu\n",
               (unsigned long long)record->got_nan, (unsigned long long)record->got_inf,
               (unsigned long long)record->want_nan, (unsigned long long)record->want_inf);
}

static tuff_status print_report(const tuff_verify_report *report)
{
    enum { MOST_SHOWN = 50 };
    tuff__verify_group *groups = NULL;
    size_t count = 0, shown = 0;
    char verdict[TUFF__VERDICT_TEXT];
    TUFF_TRY(tuff__verify_groups(report, &groups, &count));
    printf("%s on %s with %s, %u rows of %u tokens\n\n", report->model, report->device.name, report->device.driver,
           report->info.batch_size, report->info.sequence_length);
    print_groups(groups, count);
    tuff__free(groups);
    for (size_t i = 0; i < report->count && shown < MOST_SHOWN; i++) {
        if (report->records[i].bad == 0)
            continue;
        print_failure(report, &report->records[i]);
        shown++;
    }
    if (report->failures > shown)
        printf("\nand %zu more, which --json lists\n", report->failures - shown);
    tuff__verify_verdict(report, verdict);
    printf("\n%s\n", verdict);
    return TUFF_SUCCESS;
}

/* The table of docs/numerics.md, which test_cli holds against this. */
static int print_allowances(void)
{
    puts("| operator | allowance | magnitude |\n| --- | ---: | --- |");
    for (int id = 1; id < TUFF__OP_COUNT; id++) {
        const tuff_op_desc *op = tuff__op_desc((tuff__op_id)id);
        printf("| `%s` | %g | %s |\n", op->name, (double)op->allowance,
               op->allowance == 0 ? "bitwise"
               : op->magnitude    ? "bound of the terms"
                                  : "largest result");
    }
    return 0;
}

/* -- the command -------------------------------------------------------------------------------------------------- */

typedef struct verify_options {
    const char *device, *json, *junit, *html;
    bool train, verbose, allowances;
    int64_t steps, batch_size, sequence_length, seed;
} verify_options;

static tuff_status write_files(const tuff_verify_report *report, const verify_options *o)
{
    if (o->json)
        TUFF_TRY(tuff_verify_report_write(report, TUFF_VERIFY_JSON, o->json));
    if (o->junit)
        TUFF_TRY(tuff_verify_report_write(report, TUFF_VERIFY_JUNIT, o->junit));
    if (o->html)
        TUFF_TRY(tuff_verify_report_write(report, TUFF_VERIFY_HTML, o->html));
    return TUFF_SUCCESS;
}

static tuff_status print_memory(const tuff_device *device, const char *dir, const tuff_verify_info *info)
{
    const double mebibyte = 1048576;
    tuff_memory_estimate memory;
    TUFF_TRY(tuff__verify_memory(dir, info, &memory));
    printf("memory needed on %s: %.1f MiB (weights %.1f, gradients %.1f, AdamW %.1f, activations %.1f)\n",
           tuff_device_get_properties(device)->name, (double)memory.total / mebibyte, (double)memory.weights / mebibyte,
           (double)memory.gradients / mebibyte, (double)memory.optimizer / mebibyte,
           (double)memory.activations / mebibyte);
    fflush(stdout);
    return TUFF_SUCCESS;
}

static tuff_status verify(const verify_options *o, const char *model, size_t *out_failures)
{
    const tuff_verify_info info = {
        .train = o->train,
        .steps = (uint32_t)o->steps,
        .batch_size = (uint32_t)o->batch_size,
        .sequence_length = (uint32_t)o->sequence_length,
        .seed = (uint64_t)o->seed,
    };
    progress p = {.terminal = tuff__is_terminal(stderr), .verbose = o->verbose};
    tuff_device *device = NULL;
    tuff_verify_report *report = NULL;
    char *dir = NULL;
    tuff_status status = tuff_model_find(model, &dir);
    if (status == TUFF_SUCCESS)
        status = tuff_device_create(&(tuff_device_create_info){.device = o->device}, &device);
    if (status == TUFF_SUCCESS)
        status = print_memory(device, dir, &info);
    if (status == TUFF_SUCCESS)
        status = tuff_verify_model(device, dir, &info, on_record, &p, &report);
    clear_progress(&p);
    if (status == TUFF_SUCCESS)
        status = print_report(report);
    if (status == TUFF_SUCCESS)
        status = write_files(report, o);
    if (status == TUFF_SUCCESS)
        *out_failures = tuff_verify_report_failures(report);
    tuff_verify_report_destroy(report);
    tuff_device_destroy(device);
    tuff_free(dir);
    return status;
}

static int parse(verify_options *o, int argc, char **argv, const char **out_model)
{
    const tuff__arg options[] = {
        {"train", TUFF__ARG_FLAG, &o->train, NULL, 0, 0, NULL,
         "verify a training step too, backward and optimizer, and several whole steps; needs a classification head",
         NULL},
        {"steps", TUFF__ARG_INT, &o->steps, NULL, 1, 1000, NULL,
         "with --train: optimizer steps held against the reference (default 3)", NULL},
        {"batch-size", TUFF__ARG_INT, &o->batch_size, NULL, 1, 4096, NULL, "rows of the synthetic batch (default 3)",
         NULL},
        {"sequence-length", TUFF__ARG_INT, &o->sequence_length, NULL, 1, 65536, NULL,
         "tokens of its first row; the others are shorter (default 20, or what the model takes)", NULL},
        {"seed", TUFF__ARG_INT, &o->seed, NULL, 0, 9007199254740992.0, NULL,
         "of token ids, labels, dropout and the weights that the folder lacks (default 0)", NULL},
        {"device", TUFF__ARG_STRING, &o->device, NULL, 0, 0, "DEVICE",
         "cpu, reference, vulkan, vulkan:N or part of a name (default: the one that tuff devices marks)", NULL},
        {"json", TUFF__ARG_STRING, &o->json, NULL, 0, 0, "FILE", "write every result there as JSON", NULL},
        {"junit", TUFF__ARG_STRING, &o->junit, NULL, 0, 0, "FILE", "the same as JUnit XML, for CI systems", NULL},
        {"html", TUFF__ARG_STRING, &o->html, NULL, 0, 0, "FILE", "the same as one page that needs nothing else", NULL},
        {"verbose", TUFF__ARG_FLAG, &o->verbose, NULL, 0, 0, NULL, "print every result as it comes", NULL},
        {"allowances", TUFF__ARG_FLAG, &o->allowances, NULL, 0, 0, NULL,
         "print what each operator's results may be off by, the table of docs/numerics.md; takes no MODEL", NULL},
        {0},
    };
    tuff__args args = {
        .command = "verify",
        .usage = "MODEL | --allowances",
        .summary = "Runs every operator of a model on a device and on the CPU reference, from the same inputs, and "
                   "compares every element of every result. Leaves with 1 when one is outside its allowance. MODEL is "
                   "a Hugging Face folder or the id of one in the local cache.",
        .epilogue = "Examples:\n  tuff verify my-model --train --device vulkan:0 --html report.html",
        .options = options,
        .max_positionals = 1,
    };
    const int code = tuff__args_parse(&args, argc, argv);
    if (code >= 0 || o->allowances)
        return code;
    if (args.positional_count == 0) {
        fputs("tuff verify: something is missing; usage: tuff verify MODEL (tuff verify --help)\n", stderr);
        return 2;
    }
    if (o->steps && !o->train) {
        fputs("tuff verify: --steps goes with --train (tuff verify --help)\n", stderr);
        return 2;
    }
    *out_model = args.positionals[0];
    return -1;
}

int tuff__cmd_verify(int argc, char **argv)
{
    verify_options o = {0};
    const char *model = NULL;
    size_t failures = 0;
    const int code = parse(&o, argc, argv, &model);
    if (code >= 0)
        return code;
    if (o.allowances)
        return print_allowances();
    if (verify(&o, model, &failures) != TUFF_SUCCESS)
        return tuff__report_failure();
    return failures > 0 ? 1 : 0;
}
