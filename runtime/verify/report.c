/*
 * report.c: owns what a finished report says: the grouping by operator, the verdict, and the JSON and JUnit files. The
 * page is report_html.c's. It judges nothing anew.
 */
#include "verify.h"

#include "../dtype.h"
#include "../io/file.h"
#include "../io/json.h"
#include "../io/utf8.h"
#include "../os.h"
#include "../shape.h"

#include <math.h>
#include <string.h>

/* -- grouping ----------------------------------------------------------------------------------------------------- */

static tuff__verify_group *group_of(tuff__verify_group *groups, size_t *count, const tuff_verify_record *record)
{
    for (size_t i = 0; i < *count; i++)
        if (!strcmp(groups[i].op, record->op) && !strcmp(groups[i].variant, record->variant))
            return &groups[i];
    groups[*count] = (tuff__verify_group){.op = record->op, .variant = record->variant, .worst = record};
    return &groups[(*count)++];
}

tuff_status tuff__verify_groups(const tuff_verify_report *report, tuff__verify_group **out_groups, size_t *out_count)
{
    *out_count = 0;
    *out_groups = tuff__calloc(report->count + 1, sizeof **out_groups);
    if (!*out_groups)
        return tuff__fail_memory("verify", report->count * sizeof **out_groups);
    for (size_t i = 0; i < report->count; i++) {
        const tuff_verify_record *record = &report->records[i];
        tuff__verify_group *group = group_of(*out_groups, out_count, record);
        group->records++;
        group->failures += record->bad > 0;
        group->elements += record->count;
        group->bad += record->bad;
        group->seconds += record->output == 0 ? record->seconds : 0; /* an operator's outputs share its time */
        if (record->ratio > group->worst->ratio)
            group->worst = record;
    }
    return TUFF_SUCCESS;
}

const char *tuff__verify_phase_name(tuff_verify_phase phase)
{
    static const char *const names[] = {
        [TUFF_VERIFY_FORWARD] = "forward",
        [TUFF_VERIFY_TRAINING] = "training",
        [TUFF_VERIFY_STEPS] = "steps",
    };
    return names[phase];
}

const char *tuff__verify_place(const tuff_verify_record *record)
{
    return record->label[0] ? record->label : "the top level";
}

static void describe_device(const tuff_device_properties *device, char text[544])
{
    snprintf(text, 544, device->driver[0] ? "%s with %s" : "%s", device->name, device->driver);
}

void tuff__verify_verdict(const tuff_verify_report *report, char text[TUFF__VERDICT_TEXT])
{
    char device[544];
    describe_device(&report->device, device);
    const tuff_verify_record *worst = NULL, *first = NULL;
    size_t unjudged = 0;
    bool sensitive = false, unstable = false;
    for (size_t i = 0; i < report->count; i++) {
        const tuff_verify_record *record = &report->records[i];
        unjudged += record->count == 0 && record->undecided > 0;
        sensitive = sensitive || record->sensitivity > 0;
        unstable = unstable || (record->count == 0 && strcmp(record->op, "loss") == 0);
        if (!worst || record->ratio > worst->ratio)
            worst = record;
        if (!first && record->bad > 0)
            first = record;
    }
    if (!worst)
        snprintf(text, TUFF__VERDICT_TEXT, "Nothing was compared on %s.", device);
    else if (!first)
        snprintf(text, TUFF__VERDICT_TEXT,
                 "%s %zu results on %s agree with the CPU reference; the nearest to its allowance is %s at %s, at "
                 "%.3g of it.",
                 report->stopped ? "The first" : "All", report->count, device, worst->op, tuff__verify_place(worst),
                 worst->ratio);
    else
        snprintf(text, TUFF__VERDICT_TEXT,
                 "%zu of %zu results on %s disagree with the CPU reference; the first is %s at %s.", report->failures,
                 report->count, device, first->op, tuff__verify_place(first));
    if (report->stopped)
        snprintf(text + strlen(text), TUFF__VERDICT_TEXT - strlen(text),
                 " It was ended early: what would have come then is not known.");
    if (first)
        return;
    char *end = text + strlen(text);
    const size_t room = TUFF__VERDICT_TEXT - strlen(text);
    if (unstable)
        snprintf(end, room,
                 " This model amplifies rounding too much to judge all of its steps: they move by more than 1/4096 of "
                 "themselves when each weight moves by one unit in its last place.");
    else if (sensitive)
        snprintf(
            end, room,
            " This model amplifies rounding: its steps are judged by how far they move when each weight moves by one "
            "unit in its last place.");
    else if (unjudged > 0)
        snprintf(end, room, " Not judged after the steps: %zu parameter%s whose gradients are nothing but rounding.",
                 unjudged, unjudged == 1 ? "" : "s");
}

/* -- JSON --------------------------------------------------------------------------------------------------------- */

/* What JSON cannot say is a string: "NaN", "Infinity", "-Infinity". */
static void put_number(tuff__json_writer *writer, const char *key, double value)
{
    tuff__json_key(writer, key);
    if (isfinite(value))
        tuff__json_write_double(writer, value);
    else
        tuff__json_write_string(writer, isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
}

static void put_device(tuff__json_writer *writer, const tuff_device_properties *device)
{
    static const char *const backends[] = {
        [TUFF_BACKEND_CPU] = "cpu", [TUFF_BACKEND_REFERENCE] = "reference", [TUFF_BACKEND_VULKAN] = "vulkan"};
    char uuid[2 * sizeof device->uuid + 1];
    for (size_t i = 0; i < sizeof device->uuid; i++)
        snprintf(uuid + 2 * i, 3, "%02x", device->uuid[i]);
    tuff__json_key(writer, "device");
    tuff__json_begin_object(writer);
    tuff__json_put_string(writer, "name", device->name);
    tuff__json_put_string(writer, "driver", device->driver);
    tuff__json_put_string(writer, "backend", backends[device->backend]);
    tuff__json_put_count(writer, "api_version", device->api_version);
    tuff__json_put_count(writer, "vendor_id", device->vendor_id);
    tuff__json_put_count(writer, "device_id", device->device_id);
    tuff__json_put_count(writer, "driver_version", device->driver_version);
    tuff__json_put_string(writer, "uuid", uuid);
    tuff__json_end_object(writer);
}

static void put_record(tuff__json_writer *writer, const tuff_verify_record *record)
{
    tuff__json_begin_object(writer);
    tuff__json_put_string(writer, "phase", tuff__verify_phase_name(record->phase));
    tuff__json_put_string(writer, "op", record->op);
    tuff__json_put_string(writer, "variant", record->variant);
    tuff__json_put_string(writer, "label", record->label);
    tuff__json_put_count(writer, "output", record->output);
    tuff__json_put_string(writer, "dtype", tuff__dtype_name(record->dtype));
    tuff__json_put_shape(writer, "shape", &record->shape);
    tuff__json_put_count(writer, "count", record->count);
    tuff__json_put_count(writer, "bad", record->bad);
    tuff__json_put_count(writer, "undecided", record->undecided);
    tuff__json_put_count(writer, "worst", record->worst);
    put_number(writer, "got", record->got);
    put_number(writer, "want", record->want);
    put_number(writer, "allowed", record->allowed);
    put_number(writer, "ratio", record->ratio);
    put_number(writer, "max_abs_error", record->max_abs_error);
    put_number(writer, "sensitivity", record->sensitivity);
    tuff__json_put_count(writer, "got_nan", record->got_nan);
    tuff__json_put_count(writer, "want_nan", record->want_nan);
    tuff__json_put_count(writer, "got_inf", record->got_inf);
    tuff__json_put_count(writer, "want_inf", record->want_inf);
    put_number(writer, "seconds", record->seconds);
    tuff__json_end_object(writer);
}

static void put_group(tuff__json_writer *writer, const tuff__verify_group *group)
{
    tuff__json_begin_object(writer);
    tuff__json_put_string(writer, "op", group->op);
    tuff__json_put_string(writer, "variant", group->variant);
    tuff__json_put_count(writer, "records", group->records);
    tuff__json_put_count(writer, "failures", group->failures);
    tuff__json_put_count(writer, "elements", group->elements);
    tuff__json_put_count(writer, "bad", group->bad);
    put_number(writer, "ratio", group->worst->ratio);
    tuff__json_put_string(writer, "worst_label", group->worst->label);
    put_number(writer, "seconds", group->seconds);
    tuff__json_end_object(writer);
}

static void put_report(tuff__json_writer *writer, const tuff_verify_report *report, const tuff__verify_group *groups,
                       size_t group_count)
{
    char verdict[TUFF__VERDICT_TEXT];
    tuff__verify_verdict(report, verdict);
    tuff__json_begin_object(writer);
    tuff__json_put_string(writer, "tuff", tuff_version());
    tuff__json_put_string(writer, "verdict", verdict);
    tuff__json_put_string(writer, "model", report->model);
    put_device(writer, &report->device);
    tuff__json_put_bool(writer, "train", report->info.train);
    tuff__json_put_count(writer, "steps", report->info.train ? report->info.steps : 0);
    tuff__json_put_count(writer, "batch_size", report->info.batch_size);
    tuff__json_put_count(writer, "sequence_length", report->info.sequence_length);
    tuff__json_put_count(writer, "seed", report->info.seed);
    put_number(writer, "seconds", report->seconds);
    tuff__json_put_count(writer, "count", report->count);
    tuff__json_put_count(writer, "failures", report->failures);
    tuff__json_put_bool(writer, "complete", !report->stopped);
    tuff__json_key(writer, "operators");
    tuff__json_begin_array(writer);
    for (size_t i = 0; i < group_count; i++)
        put_group(writer, &groups[i]);
    tuff__json_end_array(writer);
    tuff__json_key(writer, "records");
    tuff__json_begin_array(writer);
    for (size_t i = 0; i < report->count; i++)
        put_record(writer, &report->records[i]);
    tuff__json_end_array(writer);
    tuff__json_end_object(writer);
}

/* -- JUnit XML ---------------------------------------------------------------------------------------------------- */

void tuff__verify_write_escaped(FILE *file, const char *text)
{
    size_t whole = tuff__utf8_check(text, strlen(text));
    for (size_t i = 0; text[i]; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (i == whole) { /* a byte that belongs to nothing: replaced, and on from the next */
            fputs("\xEF\xBF\xBD", file);
            whole = i + 1 + tuff__utf8_check(text + i + 1, strlen(text + i + 1));
        } else if (c == '<') {
            fputs("&lt;", file);
        } else if (c == '>') {
            fputs("&gt;", file);
        } else if (c == '&') {
            fputs("&amp;", file);
        } else if (c == '"') {
            fputs("&quot;", file);
        } else if (c == '\n' || c == '\t' || c >= ' ') {
            fputc(c, file);
        } else {
            fputs("\xEF\xBF\xBD", file); /* XML 1.0 has no way to say other control characters */
        }
    }
}

static void write_attribute(FILE *file, const char *name, const char *value)
{
    fprintf(file, " %s=\"", name);
    tuff__verify_write_escaped(file, value);
    fputc('"', file);
}

static void write_test_case(FILE *file, const tuff_verify_report *report, const tuff_verify_record *record)
{
    char name[640], class_name[128], text[256], shape[TUFF__SHAPE_TEXT];
    snprintf(name, sizeof name, "%s %s[%u]", record->label, record->op, record->output);
    snprintf(class_name, sizeof class_name, "tuff.verify.%s.%s", tuff__verify_phase_name(record->phase), record->op);
    fputs("  <testcase", file);
    write_attribute(file, "classname", class_name);
    write_attribute(file, "name", name);
    fprintf(file, " time=\"%.6f\"", record->seconds);
    if (record->bad == 0) {
        fputs("/>\n", file);
        return;
    }
    tuff_verify_record_text(record, text);
    fputs(">\n    <failure type=\"disagreement\"", file);
    write_attribute(file, "message", text);
    fputc('>', file);
    fprintf(file, "%s %s %s %s on ", record->op, record->variant, tuff__dtype_name(record->dtype),
            tuff__shape_text(&record->shape, shape));
    tuff__verify_write_escaped(file, report->device.name);
    fputs(", ", file);
    tuff__verify_write_escaped(file, report->device.driver);
    fprintf(file, ": %llu NaN and %llu infinite where the reference has %llu and %llu</failure>\n  </testcase>\n",
            (unsigned long long)record->got_nan, (unsigned long long)record->got_inf,
            (unsigned long long)record->want_nan, (unsigned long long)record->want_inf);
}

static void write_junit(FILE *file, const tuff_verify_report *report)
{
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite", file);
    write_attribute(file, "name", "tuff verify");
    fprintf(file, " tests=\"%zu\" failures=\"%zu\" errors=\"%d\" skipped=\"0\" time=\"%.6f\">\n  <properties>\n",
            report->count + report->stopped, report->failures, (int)report->stopped, report->seconds);
    const char *const properties[][2] = {{"model", report->model},
                                         {"device", report->device.name},
                                         {"driver", report->device.driver},
                                         {"tuff", tuff_version()}};
    for (size_t i = 0; i < sizeof properties / sizeof properties[0]; i++) {
        fputs("    <property", file);
        write_attribute(file, "name", properties[i][0]);
        write_attribute(file, "value", properties[i][1]);
        fputs("/>\n", file);
    }
    fputs("  </properties>\n", file);
    for (size_t i = 0; i < report->count; i++)
        write_test_case(file, report, &report->records[i]);
    if (report->stopped)
        fputs("  <testcase classname=\"tuff.verify\" name=\"to the end\"><error type=\"stopped\" message=\"the "
              "verification was ended early\"/></testcase>\n",
              file);
    fputs("</testsuite>\n</testsuites>\n", file);
}

/* -- files -------------------------------------------------------------------------------------------------------- */

static tuff_status write_json(const tuff_verify_report *report, const tuff__verify_group *groups, size_t count,
                              FILE *file, const char *path)
{
    tuff__json_writer writer = {.indent = 2};
    put_report(&writer, report, groups, count);
    return tuff__json_finish_line(&writer, file, path);
}

tuff_status tuff_verify_report_write(const tuff_verify_report *report, tuff_verify_format format, const char *path)
{
    tuff__verify_group *groups = NULL;
    size_t count = 0;
    tuff__file_writer writer = {0};
    void *locale = tuff__c_locale_begin();
    tuff_status status = tuff__verify_groups(report, &groups, &count);
    if (status == TUFF_SUCCESS)
        status = tuff__file_writer_open(&writer, path);
    if (status == TUFF_SUCCESS && format == TUFF_VERIFY_JSON)
        status = write_json(report, groups, count, writer.file, path);
    else if (status == TUFF_SUCCESS && format == TUFF_VERIFY_JUNIT)
        write_junit(writer.file, report); /* a write that fails shows at commit, which asks the stream */
    else if (status == TUFF_SUCCESS)
        status = tuff__verify_write_html(writer.file, report, groups, count);
    if (status == TUFF_SUCCESS)
        status = tuff__file_writer_commit(&writer);
    else
        tuff__file_writer_abort(&writer);
    tuff__c_locale_end(locale);
    tuff__free(groups);
    return status;
}
